"""The hits of a search as a list, and what tables and notebooks make of it."""

from __future__ import annotations

import base64
import html
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

from wave_search.arguments import path_of
from wave_search.errors import MediaError, UsageError
from wave_search.files import mtime_ns
from wave_search.types import Hit, Modality, Sampling

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from wave_search.media import DecoderPool
    from wave_search.media.source import IndexedFile

_SHOWN = 20
"""Most hits that a notebook shows."""
_SOUND_S = 15.0
"""Most seconds of sound of a hit in a notebook: 8 kB a second."""
_SIDE, _JPEG_BYTES = 240, 30_000
_CARD = "display:inline-block;vertical-align:top;width:240px;margin:0 12px 16px 0;font:13px/1.4 system-ui,sans-serif"
_MUTED = "opacity:.7;overflow-wrap:anywhere"


class Hits(list[Hit]):
    """The hits of a search, best first: a list, also after slicing and pickling. A notebook shows pictures and players.

    Pictures and sounds of the first 20 hits are read from their files. Those of a server are on another machine, and
    are shown only where this one has the same files.
    """

    @overload
    def __getitem__(self, place: SupportsIndex, /) -> Hit: ...
    @overload
    def __getitem__(self, place: slice, /) -> Hits: ...
    def __getitem__(self, place: SupportsIndex | slice, /) -> Hit | Hits:
        return Hits(super().__getitem__(place)) if isinstance(place, slice) else super().__getitem__(place)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the hits as values of JSON: see `Hit.to_dict`."""
        return [hit.to_dict() for hit in self]

    def to_arrow(self) -> pa.Table:
        """Return a table of Arrow with the columns of `Hit.to_dict`, also if there are no hits.

        Bytes of a path that are not UTF-8 are replaced.
        """
        import pyarrow as pa

        whole, number, text = pa.int64(), pa.float64(), pa.string()
        types = {"rank": whole, "segment_id": whole, "segments": whole, "path": text, "modality": text, "kind": text}
        types |= {"text": text} | dict.fromkeys(("score", "z", "start_s", "stop_s", "duration_s"), number)
        types |= dict.fromkeys(("peak_start_s", "peak_stop_s"), number)
        types |= {"matched": pa.list_(text), "copies": whole, "gone": pa.bool_()}
        rows = self.to_dicts()
        own = dict.fromkeys(name for row in rows for name in row if name not in types)
        columns = {name: [_utf8(row.get(name)) for row in rows] for name in [*_FIELDS, *own]}
        return pa.table({name: pa.array(values, types.get(name)) for name, values in columns.items()})

    def to_pandas(self) -> pd.DataFrame:
        """Return a data frame of pandas with the columns of `Hit.to_dict`.

        Raises:
            UsageError: pandas is not installed.
        """
        try:
            frame: pd.DataFrame = self.to_arrow().to_pandas()
        except ImportError as error:
            raise UsageError("pandas is not installed", "Run: pip install pandas, or use to_arrow().") from error
        return frame

    def _repr_html_(self) -> str:
        """Return what a notebook shows: pictures, players of the sound, names and times."""
        from wave_search.media import DecoderPool

        with DecoderPool(1, Sampling.uniform()) as decoders:
            cards = "".join(_card(hit, decoders) for hit in self[:_SHOWN])
        rest = f'<p style="{_MUTED}">and {len(self) - _SHOWN:,} more</p>' if len(self) > _SHOWN else ""
        return f"<div>{cards or 'no hits'}{rest}</div>"


_FIELDS = tuple(name for name in Hit.__dataclass_fields__ if name != "columns")


def _utf8(value: Any) -> Any:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _card(hit: Hit, decoders: DecoderPool) -> str:
    media, fault = "", ""
    try:
        media = _media(hit, decoders)
    except MediaError as error:
        fault = f'<div style="{_MUTED}">{html.escape(error.cause)}</div>'
    times = "" if hit.start_s is None or hit.stop_s is None else f"{hit.start_s:.1f} to {hit.stop_s:.1f} s, "
    words = f"<div>{html.escape(_utf8(hit.text)[:400])}</div>" if hit.text else ""
    columns = "".join(f"<br>{html.escape(_utf8(f'{name}: {value}'))}" for name, value in hit.columns.items())
    name, folder = html.escape(_utf8(hit.path.name)), html.escape(_utf8(str(hit.path)), quote=True)
    return (
        f'<div style="{_CARD}">{media}{fault}<div title="{folder}"><b>{hit.rank}. {name}</b></div>{words}'
        f'<div style="{_MUTED}">{times}{"+".join(hit.matched or (hit.modality,))}, z {hit.z:.1f}{columns}</div></div>'
    )


def _media(hit: Hit, decoders: DecoderPool) -> str:
    """Return a picture and a player, as far as a hit has them. Raises MediaError."""
    from wave_search.media.excerpt import DrawFrames, EncodeSound

    if hit.modality is Modality.TEXT:
        return ""
    file, found = _file(hit), ""
    start_s, stop_s = hit.start_s or 0.0, hit.stop_s or 0.0
    if hit.kind in ("image", "video"):
        at_s = ((hit.peak_start_s or 0.0) + (hit.peak_stop_s or 0.0)) / 2
        picture = decoders.preview(DrawFrames(file, (at_s,), _SIDE, _JPEG_BYTES))
        name = html.escape(_utf8(hit.path.name), quote=True)
        found += f'<img alt="{name}" style="max-width:100%" src="{_data("image/jpeg", picture)}">'
    if hit.kind in ("audio", "video") and stop_s > start_s:
        with suppress(MediaError) if hit.kind == "video" else nullcontext():  # a film may be silent
            sound = decoders.preview(EncodeSound(file, start_s, min(stop_s, start_s + _SOUND_S)))
            found += f'<audio controls preload="none" style="width:100%" src="{_data("audio/mpeg", sound)}"></audio>'
    return found


def _file(hit: Hit) -> IndexedFile:
    """Return the file of a hit as it is now. Raises MediaError."""
    from wave_search.media.source import IndexedFile

    try:
        status = path_of(hit.path).stat()
    except OSError as error:
        raise MediaError(hit.path, "there is no such file on this machine") from error
    return IndexedFile(hit.path, hit.kind, status.st_size, mtime_ns(status))


def _data(kind: str, content: Any) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
