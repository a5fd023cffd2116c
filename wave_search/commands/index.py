"""Index folders and files."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

import wave_search as ws
from wave_search.commands.exit_codes import DONE, INTERRUPTED, PARTLY, reported, terminal_of
from wave_search.commands.options import (
    DEFAULT_INDEX,
    Device,
    Dtype,
    IndexDir,
    Json,
    Model,
    Quantization,
    Quiet,
    Recall,
    TokenBudget,
    Workers,
    words,
)
from wave_search.commands.usage import epilog
from wave_search.errors import UsageError
from wave_search.media import Segmentation, parse_audio_track
from wave_search.render.records import report_record, to_json
from wave_search.render.run_log import logging_to
from wave_search.render.text import slow_line

EPILOG = epilog(
    "",
    "index ~/Videos ~/Sounds",
    "index ~/Videos --exclude '*.tmp.mp4'",
)


@reported
def index(
    ctx: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Folders and files.")],
    *,
    index: IndexDir = DEFAULT_INDEX,
    model: Model = "auto",
    modalities: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Modalities to embed: video,audio,av,text,image (default: all that the model supports).",
        ),
    ] = None,
    segment: Annotated[
        str | None, typer.Option(metavar="SECONDS|scene|none", help="Segment length of audio and video (default: 10).")
    ] = None,
    audio_track: Annotated[
        str | None,
        typer.Option(
            metavar="auto|all|N|LANG",
            help="Audio track to index of files with several: all of them mixed, a number from 1, or a language "
            "(default: auto, the one that players play, unless it is silent).",
        ),
    ] = None,
    instruction: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="Also embed media with this instruction; repeatable."),
    ] = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    quantization: Quantization = None,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="Exclude matching files; repeatable.")
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Retry files that were skipped in earlier runs.")] = False,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Also list files that earlier runs skipped, and exit with 3 because of them."),
    ] = False,
    min_shard_rows: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Minimum number of unindexed segments for an IVF-PQ shard.")
    ] = None,
    recall: Recall = None,
    workers: Workers = None,
    decoder_memory: Annotated[
        float | None,
        typer.Option(metavar="GIB", help="Memory of all decoder processes (default: a quarter of the machine's)."),
    ] = None,
    max_duration: Annotated[
        str | None, typer.Option(metavar="TIME", help="Skip longer audio and video: seconds or h:mm:ss.")
    ] = None,
    token_budget: TokenBudget = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report as JSON to FILE.")] = None,
    log: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Append progress and skipped files to FILE, as JSON Lines.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Index folders and files, or update the index."""
    from wave_search.alerts import run_alerts
    from wave_search.index import check_add

    terminal = terminal_of(ctx, quiet)
    options: dict[str, Any] = {
        "instructions": [words(text) for text in instruction or ()],
        "exclude": exclude or (),
        "retry": retry,
        "min_shard_rows": min_shard_rows or ws.MIN_SHARD_ROWS,
        "recall": recall,
        "max_duration_s": None if max_duration is None else _seconds(max_duration),
    }
    check_add(**options)  # before a mistake leaves an empty index
    if report:
        report.open("a").close()  # fail before hours of work rather than after
    with (
        logging_to(log) as events,
        terminal.progress() as progress,
        _opened_or_created(
            index,
            paths,
            modalities,
            segment,
            audio_track,
            model=model,
            load=ws.LoadOptions(device=device, dtype=dtype, quantization=quantization, token_budget=token_budget),
            workers=workers,
            may_download=terminal.may_download,
            decoder_memory_bytes=_bytes(decoder_memory),
        ) as it,
    ):
        terminal.notice(it.model)
        try:
            done = it.add(
                paths,
                **options,
                warn=_each(lambda slow: terminal.warning(slow_line(slow)), events.slow),
                progress=_each(progress, events.progress) if progress else events.progress,
                skipped=events.skipped,
            )
        except ws.Interrupted as interrupted:
            done = interrupted.report
        alerts = () if done.interrupted else run_alerts(it)
        delivered = [asdict(one) for one in alerts]
        events.report(done, delivered)
    record = to_json({**report_record(done), "alerts": delivered})
    if report:
        report.write_text(f"{record}\n", encoding="ascii")
    if json:
        terminal.lines([record])
    terminal.report(done, strict=strict)
    for one in alerts:
        (terminal.warning if one.failure else terminal.message)(str(one))
    if done.interrupted:
        terminal.error(f"interrupted: completed work is kept in {index}. Run the same command to resume")
        return INTERRUPTED
    return PARTLY if done.unreachable or any(strict or not one.known for one in done.skipped) else DONE


def _each(*listeners: Callable[[Any], object]) -> Callable[[Any], None]:
    """Return a function that calls several."""

    def call(value: Any) -> None:
        for listener in listeners:
            listener(value)

    return call


def _seconds(text: str) -> float:
    from wave_search.query.terms import parse_seconds

    return parse_seconds(text)


def _bytes(gib: float | None) -> int | None:
    if gib is not None and not 0 < gib < 2**30:
        raise UsageError(f"--decoder-memory must be a number of GiB above 0, not {gib:g}")
    return None if gib is None else int(gib * 2**30)


def _opened_or_created(
    path: Path,
    paths: list[Path],
    modalities: str | None,
    segment: str | None,
    audio_track: str | None,
    *,
    model: str,
    load: "ws.LoadOptions",
    workers: int | None,
    may_download: Callable[[str], bool],
    decoder_memory_bytes: int | None,
) -> "ws.Index":
    wanted = None if modalities is None else [name.strip() for name in modalities.split(",")]
    if not ws.exists(path):
        from wave_search.indexer.scan import resolve

        resolve(paths, path)  # before a mistyped name leaves an empty index
        return ws.create(
            path,
            segment=segment or "10",
            audio_track=audio_track or "auto",
            modalities=wanted,
            model=model,
            load=load,
            workers=workers,
            decoder_memory_bytes=decoder_memory_bytes,
        )
    opened = ws.open(
        path,
        model,
        load=load,
        workers=workers,
        decoder_memory_bytes=decoder_memory_bytes,
        may_download=may_download,
    )
    info = opened.info()
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
    return opened
