"""The terms of a query as typed on the command line, with optional weights: `rain^0.5`."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import wave_search as ws
from wave_search.commands.options import words
from wave_search.commands.usage import SEARCH
from wave_search.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Anything = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="WORD|FILE", help="Text to search for; media files are used as by --similar.", show_default=False
    ),
]
Text = Annotated[
    list[str] | None, typer.Option(metavar="TEXT", help="Text to search for; - reads stdin.", rich_help_panel=SEARCH)
]
Audio = Annotated[list[str] | None, typer.Option(metavar="FILE", help="Audio of FILE.", rich_help_panel=SEARCH)]
Video = Annotated[
    list[str] | None,
    typer.Option(metavar="FILE", help="Visual track of FILE, without its audio.", rich_help_panel=SEARCH),
]
Image = Annotated[list[str] | None, typer.Option(metavar="FILE", help="Image.", rich_help_panel=SEARCH)]
AV = Annotated[
    list[str] | None,
    typer.Option(metavar="FILE", help="Audio and visual track of FILE together.", rich_help_panel=SEARCH),
]
Like = Annotated[
    list[str] | None, typer.Option(metavar="RANK", help="Result of the last query, by rank.", rich_help_panel=SEARCH)
]
Similar = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE", help="Similar segments, by stored vectors if FILE is indexed.", rich_help_panel=SEARCH
    ),
]
NotText = Annotated[list[str] | None, typer.Option(metavar="TEXT", help="Text to avoid.", rich_help_panel=SEARCH)]
NotLike = Annotated[
    list[str] | None, typer.Option(metavar="RANK", help="Earlier result to avoid.", rich_help_panel=SEARCH)
]
NotFile = Annotated[list[str] | None, typer.Option(metavar="FILE", help="File to avoid.", rich_help_panel=SEARCH)]
_WEIGHTED = re.compile(r"(?P<item>.*)\^(?P<weight>-?(?:\d+(?:\.\d*)?|\.\d+))", re.DOTALL)
_STDIN = "-"
_PATHS = tuple(f"{begin}{separator}" for begin in (".", "..", "~") for separator in {"/", os.sep})


def weighted(typed: str, *, is_path: bool = False) -> tuple[str, float | None]:
    """Split "rain^0.5" into the item and its weight, None if there is none.

    The last ^NUMBER is the weight, so that a text that itself ends in one is written "2^10^1". An existing file whose
    name ends in ^NUMBER takes precedence over a weight.
    """
    match = None if is_path and os.path.lexists(typed) else _WEIGHTED.fullmatch(typed)
    return (match["item"], float(match["weight"])) if match else (typed, None)


def split(typed: Sequence[str], folder: str = "") -> tuple[list[str], list[str]]:
    """Split what is typed without an option into texts and media files. Words without a weight are one text.

    A file is recognised by its content, or by the suffix of its name even if there is no such file: a mistyped name
    must not become a text. Neither must a path: what begins like one ("./", "../", "~/", "/"), or is in a folder that
    there is.

    Args:
        typed: words and names of files.
        folder: that relative names start from; "" for the current one.
    """
    files = [one for one in typed if _is_path(one, folder) or _is_media(os.path.join(folder, one))]  # noqa: PTH118
    words = [one for one in typed if one not in files]
    plain = [word for word in words if weighted(word)[1] is None]
    return [*([" ".join(plain)] if plain else []), *(word for word in words if word not in plain)], files


def is_stdin(typed: str) -> bool:
    """Return whether a text is to be read from stdin."""
    return weighted(typed)[0] == _STDIN


def _is_path(typed: str, folder: str) -> bool:
    """Return whether words cannot be meant; "AC/DC" and "and/or" are, and a word may be the name of a folder."""
    if typed.startswith(_PATHS) or os.path.isabs(typed):  # noqa: PTH117 - of what is typed
        return True
    inside = os.path.dirname(typed)  # noqa: PTH120
    return bool(inside) and os.path.isdir(os.path.join(folder, inside))  # noqa: PTH112, PTH118


def _is_media(typed: str) -> bool:
    from wave_search.media import looks_like_media

    name, _ = weighted(typed, is_path=True)
    whole, at, _ = name.rpartition("@")
    return looks_like_media(Path(name)) or (bool(at) and looks_like_media(Path(whole)))


def read(
    wanted: Mapping[str, Sequence[str] | None], avoided: Mapping[str, Sequence[str] | None], hits: Sequence[int] | None
) -> dict[str, list[ws.Weighted]]:
    """Convert command-line values to arguments of `Index.search`.

    Args:
        wanted: values to find, by argument.
        avoided: values to avoid, by argument.
        hits: segments that the last query found, for "like"; None if unknown.

    Raises:
        UsageError: a weight or a rank is not valid.
    """
    if sum(is_stdin(typed) for terms in (wanted, avoided) for typed in terms.get("text") or ()) > 1:
        raise UsageError("--text - is given twice, but stdin can be read only once")
    found: dict[str, list[ws.Weighted]] = {}
    for make, terms in ((ws.Weighted, wanted), (ws.Not, avoided)):
        for name, given in terms.items():
            for typed in given or ():
                content, weight = weighted(typed, is_path=name not in ("text", "like"))
                item = _item(name, content, hits)
                found.setdefault(name, []).append(make(item) if weight is None else make(item, weight))
    return found


def _item(name: str, content: str, hits: Sequence[int] | None) -> str | int:
    if name == "like":
        return _hit(content, hits)
    if name != "text":
        return content
    return words(_stdin() if content == _STDIN else content)


def _stdin() -> bytes:
    return sys.stdin.buffer.read() if sys.stdin else b""  # None: a shell has closed it


def _hit(rank: str, hits: Sequence[int] | None) -> int:
    if not re.fullmatch(r"0*[1-9]\d{0,8}", rank, re.ASCII):
        raise UsageError(f'"{rank}" is not the rank of a hit', "The first hit is 1.")
    if hits is None:
        raise UsageError("the hits of your last query are not known", "Search first, with this --index.")
    if int(rank) > len(hits):
        raise UsageError(f"there is no hit {rank}: the last query had {len(hits)}", "Search again, with a larger -k.")
    return hits[int(rank) - 1]
