"""float16 to float32, for products of many vectors with many queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HALF_BITS = np.uint32(0x8FFFE000).view(np.int32)
"""Where sign, exponent and mantissa of a float16 are once it is shifted to the place that they have in a float32."""
_HALF_SCALE = np.float32(2.0**112)
"""Between a float16 and what its bits mean there: the difference of the two biases."""


def widened(vectors: NDArray[np.float16], out: NDArray[np.float32]) -> NDArray[np.float32]:
    """Finite float16 vectors (n, dim) as float32, times 2^-112, into the first n rows of `out`.

    numpy converts one by one, and faiss too, which takes several times as long as moving the bits to where a float32
    has them.
    """
    bits = out[: len(vectors)].view(np.int32)
    bits[:] = vectors.view(np.int16)
    np.left_shift(bits, 13, out=bits)
    np.bitwise_and(bits, _HALF_BITS, out=bits)
    return out[: len(vectors)]


def scaled(queries: NDArray[np.float32]) -> NDArray[np.float32]:
    """Queries of unit norm, so that their inner products with `widened` vectors are those with the vectors."""
    return queries * _HALF_SCALE
