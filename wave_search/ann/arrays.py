"""Arrays in the files of a shard: mapped into memory without reading them, or read in parts."""

from __future__ import annotations

import io
import math
import mmap
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from wave_search.files import check_holes, open_regular
from wave_search.store.shards import damaged, read_errors

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)
_READ_AROUND_BYTES = 1 << 26
"""A file no larger than this may be searched completely, and is soon in memory anyway."""


def map_array(
    folder: Path, name: str, dtype: type[Number], shape: tuple[int, ...]
) -> np.ndarray[tuple[int, ...], np.dtype[Number]]:
    """Map a file of raw numbers without reading it, for access to single rows.

    For a large file, the kernel is advised to read only the pages in use. By default it would also read those around
    them, up to megabytes.

    Raises:
        IndexCorruptError: it is missing, or not of the expected length.
        IndexStateError: it cannot be read at the moment.
    """
    size_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    with read_errors(folder, name), open_regular(folder / name) as file:
        check_holes(file, folder / name)
        found_bytes = file.seek(0, 2)
        if found_bytes != size_bytes or not size_bytes:
            raise damaged(folder, f"{name} has {found_bytes} bytes, not {size_bytes}")
        mapped = mmap.mmap(file.fileno(), size_bytes, access=mmap.ACCESS_READ)
        if size_bytes > _READ_AROUND_BYTES and hasattr(mmap, "MADV_RANDOM"):
            mapped.madvise(mmap.MADV_RANDOM)
    return np.frombuffer(mapped, dtype).reshape(shape)


def read_array(
    folder: Path, name: str, dtype: type[Number], start: int, shape: tuple[int, int]
) -> np.ndarray[tuple[int, ...], np.dtype[Number]]:
    """Read consecutive rows of a file of raw numbers.

    Args:
        folder: of the shard.
        name: of the file.
        dtype: of the numbers.
        start: the first row to read.
        shape: (rows, columns) to read.

    Raises:
        IndexCorruptError: it is missing, or too short.
        IndexStateError: it cannot be read at the moment.
    """
    with read_errors(folder, name), open_regular(folder / name) as file:
        rows = np.empty(shape, dtype)
        file.seek(start * shape[1] * rows.itemsize)
        left = rows.view(np.uint8).data.cast("B")
        while left:
            if not (read_bytes := file.readinto(left)):
                raise damaged(folder, f"{name} is too short")
            left = left[read_bytes:]
    return rows


def parse_array(folder: Path, name: str, data: bytes, shape: tuple[int | None, ...]) -> NDArray[np.float32]:
    """Return the float32 array of an .npy file.

    Args:
        folder: of the codebook.
        name: of the file.
        data: its content.
        shape: expected; None for any size.

    Raises:
        IndexCorruptError: it holds another array, or values that are not finite.
    """
    try:
        array: NDArray[np.float32] = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # numpy parses the header as Python
        raise damaged(folder, f"{name} is not valid: {error}") from error
    fits = array.ndim == len(shape) and all(
        want in (None, found) for want, found in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype != np.float32 or not array.size or not np.isfinite(array).all():
        wanted = ", ".join("any" if want is None else str(want) for want in shape)
        raise damaged(folder, f"{name} has {array.dtype} of {array.shape}, not finite float32 of ({wanted})")
    return array


def map_ids(folder: Path, name: str, count: int) -> NDArray[np.int64]:
    """Map an .npy file of (count,) int64 that ascends.

    Raises:
        IndexCorruptError: it is missing, or holds another array.
        IndexStateError: it cannot be read at the moment.
    """
    with read_errors(folder, name):
        try:
            mapped = np.load(folder / name, mmap_mode="r")
        except (OSError, MemoryError):
            raise
        except Exception as error:
            raise damaged(folder, f"{name} is not valid: {error}") from error
    if mapped.shape != (count,) or mapped.dtype != np.int64:
        raise damaged(folder, f"{name} has {mapped.dtype} of {mapped.shape}, not int64 of ({count},)")
    ids: NDArray[np.int64] = mapped.view(np.ndarray)
    if (ids[1:] <= ids[:-1]).any():
        raise damaged(folder, f"{name} does not ascend")
    return ids
