"""What `index` and `watch` share: the options of a run, and the index that they open or create."""

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import wave_search as ws
from wave_search.commands.options import words
from wave_search.commands.usage import CONTENT, FILTER, SPEED
from wave_search.errors import ModelError, UsageError
from wave_search.media import Segmentation, parse_audio_track

if TYPE_CHECKING:
    from wave_search.render.terminal import Terminal

Modalities = Annotated[
    str | None,
    typer.Option(
        "--modalities",
        metavar="LIST",
        help="Modalities to embed: video,audio,av,text,image (default: all that the model supports).",
        rich_help_panel=CONTENT,
    ),
]
Segment = Annotated[
    str | None,
    typer.Option(
        "--segment",
        metavar="SECONDS|scene|none",
        help="Segment length of audio and video (default: 10).",
        rich_help_panel=CONTENT,
    ),
]
AudioTrack = Annotated[
    str | None,
    typer.Option(
        "--audio-track",
        metavar="auto|all|N|LANG",
        help="Audio track to index of files with several: all of them mixed, a number from 1, or a language "
        "(default: auto, the one that players play, unless it is silent).",
        rich_help_panel=CONTENT,
    ),
]
Instructions = Annotated[
    list[str] | None,
    typer.Option(
        "--instruction",
        metavar="TEXT",
        help="Also embed media with this instruction; repeatable.",
        rich_help_panel=CONTENT,
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude",
        metavar="GLOB",
        help="Exclude matching files, also in later runs of these folders; repeatable; '' for none.",
        rich_help_panel=FILTER,
    ),
]
MinShardRows = Annotated[
    int | None,
    typer.Option(
        "--min-shard-rows",
        min=1,
        metavar="N",
        help="Minimum number of unindexed segments for an IVF-PQ shard.",
        rich_help_panel=SPEED,
    ),
]
DecoderMemory = Annotated[
    float | None,
    typer.Option(
        "--decoder-memory",
        metavar="GIB",
        help="Memory of all decoder processes (default: a quarter of the machine's).",
        rich_help_panel=SPEED,
    ),
]
MaxDuration = Annotated[
    str | None,
    typer.Option(
        "--max-duration",
        metavar="TIME|none",
        help="Skip longer audio and video, also in later runs of these folders: seconds or h:mm:ss.",
        rich_help_panel=FILTER,
    ),
]


def run_options(
    instruction: Iterable[str] | None,
    exclude: Iterable[str] | None,
    min_shard_rows: int | None,
    recall: float | None,
    max_duration: str | None,
) -> dict[str, Any]:
    """Return arguments of `Index.add` from options.

    Raises:
        UsageError: one of them is not valid.
    """
    return {
        "instructions": [words(text) for text in instruction or ()],
        "exclude": None if exclude is None else [glob for glob in exclude if glob],
        "min_shard_rows": min_shard_rows or ws.MIN_SHARD_ROWS,
        "recall": recall,
        "max_duration_s": None if max_duration is None else _seconds(max_duration),
    }


def each(*listeners: Callable[[Any], object]) -> Callable[[Any], None]:
    """Return a function that calls several."""

    def call(value: Any) -> None:
        for listener in listeners:
            listener(value)

    return call


def _seconds(text: str) -> float:
    from wave_search.query.terms import parse_seconds

    return math.inf if text == "none" else parse_seconds(text)


def decoder_bytes(gib: float | None) -> int | None:
    """Return the value of --decoder-memory in bytes. Raises UsageError."""
    if gib is not None and not 0 < gib < 2**30:
        raise UsageError(f"--decoder-memory must be a number of GiB above 0, not {gib:g}")
    return None if gib is None else int(gib * 2**30)


def opened_or_created(
    path: Path,
    paths: list[Path],
    modalities: str | None,
    segment: str | None,
    audio_track: str | None,
    *,
    model: str,
    load: "ws.LoadOptions",
    workers: int | None,
    terminal: "Terminal",
    decoder_memory_bytes: int | None,
) -> "ws.Index":
    """Open an index, or create it if there is none, and print the notice of its model then.

    Raises:
        UsageError: a path does not exist, or a setting is not that of the index.
        IndexStateError: the index cannot be used.
        ModelError: the model cannot be loaded.
    """
    if not ws.exists(path):
        from wave_search.indexer.scan import resolve

        resolve(paths, path)  # before a mistyped name leaves an empty index
        created = ws.create(
            path,
            segment=segment or "10",
            audio_track=audio_track or "auto",
            modalities=_names(modalities),  # type: ignore[arg-type] # which checks them
            model=model,
            load=load,
            workers=workers,
            decoder_memory_bytes=decoder_memory_bytes,
        )
        terminal.notice(created.model)
        return created
    opened = ws.open(
        path,
        model,
        load=load,
        workers=workers,
        decoder_memory_bytes=decoder_memory_bytes,
        may_download=terminal.may_download,
    )
    _check_pinned(path, opened, modalities, segment, audio_track)
    return opened


def fetched(path: Path, paths: list[Path], model: str, terminal: "Terminal") -> None:
    """Download the model of an index that is to be created, if it is not here, and show the progress.

    Raises:
        UsageError: a path does not exist.
        ModelError: it cannot be downloaded.
    """
    if not ws.exists(path):
        from wave_search.indexer.scan import resolve

        pulled(model, terminal, lambda: resolve(paths, path))  # a mistyped name costs no download of gigabytes


def pulled(model: str, terminal: "Terminal", check: Callable[[], object] = lambda: None) -> None:
    """Download a model if it is not here, and show the progress; `check` is called before. Raises ModelError."""
    if model == "auto":
        return
    try:
        absent = ws.model_directory(model) is None
    except ModelError:  # to be explained when it is loaded; it may also be that of an installed package
        return
    if absent:
        check()
        with terminal.downloading(model) as progress:
            ws.pull_model(model, progress)


def check_settings(path: Path, modalities: str | None, segment: str | None, audio_track: str | None) -> None:
    """Check settings of an index as `opened_or_created` does, which needs no model.

    Raises:
        UsageError: one of them is not that of the index, or is not valid for a new one.
        IndexStateError: the index cannot be used.
    """
    if ws.exists(path):
        with ws.open(path) as opened:
            _check_pinned(path, opened, modalities, segment, audio_track)
        return
    from wave_search.types import parse_modality

    Segmentation.parse(segment or "10")
    parse_audio_track(audio_track or "auto")
    for name in _names(modalities) or ():
        parse_modality(name)


def _names(modalities: str | None) -> list[str] | None:
    return None if modalities is None else [name.strip() for name in modalities.split(",")]


def _check_pinned(
    path: Path, opened: "ws.Index", modalities: str | None, segment: str | None, audio_track: str | None
) -> None:
    info, wanted = opened.info(), _names(modalities)
    for option, given, pinned, same in (
        (
            "--segment",
            segment,
            info.segmentation,
            segment is None or str(Segmentation.parse(segment)) == info.segmentation,
        ),
        (
            "--audio-track",
            audio_track,
            info.audio_track,
            audio_track is None or parse_audio_track(audio_track) == info.audio_track,
        ),
        ("--modalities", modalities, ",".join(info.modalities), wanted is None or {*wanted} == {*info.modalities}),
    ):
        if not same:
            remedy = f"Leave {option} out, or make another index with --index."
            raise UsageError(f"{path} was made with {option} {pinned}, not {given}", remedy)
