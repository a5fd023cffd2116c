"""What a search is asked for: exactly one text, file or vector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wave_search.errors import UsageError
from wave_search.query.parse import parse_media

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from wave_search.types import MediaRef, Modality


def one_query(
    text: str | None,
    media: Mapping[Modality, str | os.PathLike[str] | MediaRef | None],
    vector: ArrayLike | None,
) -> str | MediaRef | NDArray[np.float32]:
    """Find the one thing that was given.

    Args:
        text: words, or None.
        media: a file for each modality, or None.
        vector: (dim,) or (rows, dim), or None.

    Returns:
        The text, the file, or the vector as (rows, dim) of unit norm.

    Raises:
        UsageError: nothing or more than one thing is given, there is no such file, or the vector is not one.
    """
    refs = [parse_media(item, modality) for modality, item in media.items() if item is not None]
    given: list[str | MediaRef | NDArray[np.float32]] = [*refs]
    if text is not None:
        given.append(text)
    if vector is not None:
        given.append(_unit(vector))
    if len(given) != 1:
        raise UsageError(f"{len(given)} queries are given", "Give exactly one of text, audio, video, image and av.")
    return given[0]


def _unit(vector: ArrayLike) -> NDArray[np.float32]:
    try:
        rows = np.atleast_2d(np.asarray(vector, np.float32))
    except (TypeError, ValueError):
        rows = np.zeros((0, 0), np.float32)
    norms = np.linalg.norm(rows, axis=-1, keepdims=True)
    if rows.ndim != 2 or not len(rows) or not (np.isfinite(norms) & (norms > 0)).all():
        raise UsageError("the vector is not one", "Give finite numbers, not all 0, of shape (dim,) or (rows, dim).")
    unit: NDArray[np.float32] = rows / norms
    return unit
