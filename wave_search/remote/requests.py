"""A `SearchRequest` as JSON and files, and back: what a client of the same version sends to a server."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.arguments import is_number
from wave_search.errors import UsageError, shown
from wave_search.query import SearchRequest, Weighted, parse_modality, read_target
from wave_search.query.in_memory import MemoryMedia, read_memory
from wave_search.query.terms import (
    AudioVideoPair,
    QueryVectors,
    SegmentRef,
    SimilarFile,
    check_range,
    media_ref,
)
from wave_search.types import Clip, Frames, MediaRef, Waveform
from wave_search.wire import to_plain

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from wave_search.types import Modality

_VECTORS = np.dtype("<f4")
_NORM_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Packed:
    """A request as it is sent."""

    record: dict[str, Any]
    files: dict[str, Path | bytes]
    """Name in the record -> a file, or the bytes of one."""
    names: dict[str, str]
    """Name in the record -> how messages call the file."""


def pack(request: SearchRequest) -> Packed:
    """Return a request as JSON and the files that it names."""
    packed = Packed({}, {}, {})
    for field in fields(request):
        if field.name != "terms":
            packed.record[field.name] = to_plain(getattr(request, field.name))
    packed.record["terms"] = [{**_packed(term.item, packed), "weight": term.weight} for term in request.terms]
    packed.record["names"] = packed.names
    return packed


def _packed(item: Any, packed: Packed) -> dict[str, Any]:
    match item:
        case str():
            return {"text": item}
        case SegmentRef():
            return {"segment": item.segment_id}
        case QueryVectors():
            name = f"vectors{len(packed.files)}"
            packed.files[name] = np.ascontiguousarray(item.rows, _VECTORS).tobytes()
            return {"vectors": name, "dim": item.rows.shape[1], "modality": to_plain(item.modality)}
        case AudioVideoPair():
            return {"sound": _packed(item.sound, packed), "picture": _packed(item.picture, packed)}
        case MemoryMedia():
            return _packed_memory(item, packed)
        case MediaRef() | SimilarFile():
            kind = "media" if isinstance(item, MediaRef) else "similar"
            name = _file(item.path, packed)
            place = {"modality": to_plain(item.modality), "start_s": item.start_s, "stop_s": item.stop_s}
            return {kind: name, **place}
    raise UsageError(f"{shown(item)} cannot be sent to a server", "Make a request with SearchRequest.build.")


def _packed_memory(media: MemoryMedia, packed: Packed) -> dict[str, Any]:
    """Return media in memory as a file, or as arrays."""
    modality = to_plain(media.modality)
    if isinstance(media.content, bytes):
        return {"bytes": _add(media.content, packed), "modality": modality}
    image, frames, sound = media.content.image, media.content.frames, media.content.waveform
    return {
        "clip": {
            "image": None if image is None else _add(_array_bytes(image), packed),
            "frames": None if frames is None else [_add(_array_bytes(frames.pixels), packed), frames.duration_s],
            "sound": None if sound is None else [_add(_array_bytes(sound.samples), packed), sound.sample_rate_hz],
        },
        "modality": modality,
    }


def _array_bytes(array: NDArray[Any]) -> bytes:
    written = io.BytesIO()
    np.save(written, array, allow_pickle=False)
    return written.getvalue()


def _add(content: bytes, packed: Packed) -> str:
    name = f"file{len(packed.files)}"
    packed.files[name] = content
    return name


def _file(path: Path, packed: Packed) -> str:
    """Return the name of a file in the request; it is sent once, however often it is used."""
    for name, known in packed.files.items():
        if known == path:
            return name
    name = f"file{len(packed.files)}"
    packed.files[name] = path
    packed.names[name] = str(path)
    return name


def unpack(record: Mapping[str, Any], files: Mapping[str, Path]) -> SearchRequest:
    """Return the request of a record, which may come from anyone.

    Args:
        record: what `pack` has made.
        files: where the files of the request are now.

    Raises:
        UsageError: it is not valid.
    """
    known = {field.name for field in fields(SearchRequest)}
    given = {name: value for name, value in record.items() if name in known}
    terms = given.pop("terms", None)
    columns = given.pop("columns", ())
    if isinstance(given.get("target"), list):
        given["target"] = read_target(given["target"])
    if not isinstance(terms, list) or not isinstance(columns, list):
        raise _invalid()
    among = given.pop("among", None)
    if among is not None:
        if not isinstance(among, list) or not all(type(each) is int for each in among):
            raise _invalid()
        among = frozenset(among)
    items = [Weighted(_item(term, files), term["weight"]) for term in map(_weighted, terms)]
    return SearchRequest(tuple(items), columns=tuple(columns), among=among, **given)


def _weighted(term: Any) -> Mapping[str, Any]:
    if not isinstance(term, Mapping) or "weight" not in term:
        raise _invalid()
    return term


def _item(term: Mapping[str, Any], files: Mapping[str, Path]) -> Any:
    match term:
        case {"text": str(text)}:
            return text
        case {"segment": int(number)} if 0 <= number < 1 << 63:
            return SegmentRef(number)
        case {"vectors": str(name), "dim": int(dim), "modality": modality} if name in files and dim > 0:
            return _vectors(files[name].read_bytes(), dim, _modality(modality))
        case {"sound": Mapping() as sound, "picture": Mapping() as picture}:
            return AudioVideoPair(_medium(sound, files), _medium(picture, files))
        case {"media": str()} | {"clip": Mapping()} | {"bytes": str()}:
            return _medium(term, files)
        case {"similar": str(name), "modality": modality, "start_s": start_s, "stop_s": stop_s} if name in files:
            check_range(files[name], start_s, stop_s)
            return SimilarFile(files[name], _modality(modality), start_s, stop_s)
    raise _invalid()


def _medium(term: Mapping[str, Any], files: Mapping[str, Path]) -> MediaRef | MemoryMedia:
    match term:
        case {"clip": {"image": image, "frames": frames, "sound": sound}, "modality": modality}:
            clip = Clip(
                image=None if image is None else _array(image, files),
                frames=None if frames is None else Frames(*_measured(frames, files)),
                waveform=None if sound is None else Waveform(*_measured(sound, files)),
            )
            return read_memory(clip, _modality(modality))
        case {"bytes": str(name), "modality": modality} if name in files:
            return read_memory(files[name].read_bytes(), _modality(modality))
    return _media(term, files)


def _measured(pair: Any, files: Mapping[str, Path]) -> tuple[NDArray[Any], Any]:
    if not isinstance(pair, list) or len(pair) != 2:
        raise _invalid()
    return _array(pair[0], files), pair[1]


def _array(name: Any, files: Mapping[str, Path]) -> NDArray[Any]:
    if not isinstance(name, str) or name not in files:
        raise _invalid()
    try:
        array: NDArray[Any] = np.load(files[name], mmap_mode="r", allow_pickle=False)  # no larger than its file
    except (ValueError, OSError, EOFError):
        raise _invalid() from None
    return array


def _media(term: Mapping[str, Any], files: Mapping[str, Path]) -> MediaRef:
    match term:
        case {"media": str(name), "modality": str(modality), "start_s": start_s, "stop_s": stop_s} if name in files:
            return media_ref(files[name], parse_modality(modality), start_s, stop_s)
    raise _invalid()


def _modality(name: Any) -> Modality | None:
    if name is not None and not isinstance(name, str):
        raise _invalid()
    return None if name is None else parse_modality(name)


def _vectors(data: bytes, dim: int, modality: Modality | None) -> QueryVectors:
    """Return vectors with the very digits that the client has."""
    if not data or len(data) % (dim * _VECTORS.itemsize):
        raise _invalid()
    rows = np.frombuffer(data, _VECTORS).astype(np.float32).reshape(-1, dim)
    norms = np.linalg.norm(rows, axis=1)
    if not bool(np.all(np.abs(norms - 1) < _NORM_TOLERANCE)):  # false for NaN
        raise _invalid()
    return QueryVectors(rows, modality)


def seconds(value: Any, most_s: float) -> float:
    """Return a number of seconds from a request, at most `most_s`. Raises UsageError."""
    if not is_number(value) or not 0 < value < math.inf:
        raise _invalid()
    return min(float(value), most_s)


def _invalid() -> UsageError:
    return UsageError("the request is not valid", "Use wave_search.connect() of the server's version.")
