"""Index folders and files."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import wave_search as ws
from wave_search.commands.exit_codes import DONE, INTERRUPTED, PARTLY, reported, terminal_of
from wave_search.commands.indexing import (
    AudioTrack,
    DecoderMemory,
    Exclude,
    Instructions,
    MaxDuration,
    MinShardRows,
    Modalities,
    Segment,
    check_settings,
    decoder_bytes,
    each,
    fetched,
    opened_or_created,
    run_options,
)
from wave_search.commands.options import (
    DEFAULT_INDEX,
    Device,
    Dim,
    DryRun,
    Dtype,
    IndexDir,
    Json,
    Model,
    Quantization,
    Quiet,
    Recall,
    TokenBudget,
    Workers,
    of_family,
)
from wave_search.commands.usage import FILTER, OUTPUT, epilog
from wave_search.render.records import report_record, to_json
from wave_search.render.run_log import logging_to
from wave_search.render.text import plan_sentence, slow_line
from wave_search.wire import to_record

if TYPE_CHECKING:
    from wave_search.render.terminal import Terminal
    from wave_search.reports import IndexPlan

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
    modalities: Modalities = None,
    segment: Segment = None,
    audio_track: AudioTrack = None,
    instruction: Instructions = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    quantization: Quantization = None,
    dim: Dim = None,
    exclude: Exclude = None,
    retry: Annotated[
        bool, typer.Option("--retry", help="Retry files that were skipped in earlier runs.", rich_help_panel=FILTER)
    ] = False,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Also list files that earlier runs skipped, and exit with 3 because of them.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    min_shard_rows: MinShardRows = None,
    recall: Recall = None,
    workers: Workers = None,
    decoder_memory: DecoderMemory = None,
    max_duration: MaxDuration = None,
    token_budget: TokenBudget = None,
    dry_run: DryRun = False,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report as JSON to FILE.", rich_help_panel=OUTPUT)
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Append progress and skipped files to FILE, as JSON Lines.", rich_help_panel=OUTPUT
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Index folders and files, or update the index."""
    from wave_search.alerts import run_alerts
    from wave_search.index import check_add

    terminal = terminal_of(ctx, quiet)
    options = {**run_options(instruction, exclude, min_shard_rows, recall, max_duration), "retry": retry}
    check_add(**options)  # before a mistake leaves an empty index
    if dry_run:
        check_settings(index, modalities, segment, audio_track)
        return _planned(terminal, ws.plan_add(index, paths, **options), json=json)
    if report:
        report.open("a").close()  # fail before hours of work rather than after
    fetched(index, paths, model, terminal)
    with (
        logging_to(log) as events,
        terminal.progress() as progress,
        opened_or_created(
            index,
            paths,
            modalities,
            segment,
            audio_track,
            model=model,
            load=ws.LoadOptions(
                device=device,
                dtype=dtype,
                quantization=quantization,
                token_budget=token_budget,
                family=of_family(dim),
            ),
            workers=workers,
            terminal=terminal,
            decoder_memory_bytes=decoder_bytes(decoder_memory),
        ) as it,
    ):
        try:
            done = it.add(
                paths,
                **options,
                warn=each(lambda slow: terminal.warning(slow_line(slow)), events.slow),
                progress=each(progress, events.progress) if progress else events.progress,
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


def _planned(terminal: "Terminal", plan: "IndexPlan", *, json: bool) -> int:
    """Print what a run would do; return the exit code."""
    if json:
        terminal.lines([to_json(to_record(plan))])
    else:
        named = {"new": plan.new, "changed": plan.changed, "removed": plan.removed}
        terminal.lines(f"{what}\t{path}" for what, paths in named.items() for path in paths)
    terminal.message(plan_sentence(plan))
    return DONE
