"""The command line: options in, library calls, exit codes out."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal, TypedDict, Unpack

import typer

import wave_search as ws
from wave_search import output
from wave_search.errors import UsageError
from wave_search.exits import (
    DONE,
    FAILED,
    INTERRUPTED,
    NO_RESULT,
    PARTLY,
    GlobalOptions,
    occupy_closed_streams,
    reported,
    terminal_of,
)

Target = Literal["any", "text", "image", "audio", "video", "av"]

_EPILOG = """\b
Start:
  wave-search index ~/Videos ~/Sounds
  wave-search query --audio dog.wav --target video

Results go to stdout, all else to stderr. Exit codes: 0 done, 1 failed, 2 usage, 3 done but some files were skipped,
4 no result, 130 interrupted."""

app = typer.Typer(
    help="Search sound, pictures, video and text by sound, pictures, video or text.",
    epilog=_EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help needs no rich, and is there at once
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

IndexDir = Annotated[
    Path, typer.Option("--index", envvar="WAVE_SEARCH_INDEX", metavar="DIR", help="Where the index lives.")
]
Device = Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda[:N]", help="Where the model runs.")]
TokenBudget = Annotated[
    int | None,
    typer.Option("--token-budget", min=1, metavar="N", help="Tokens that the model takes at once."),
]
Workers = Annotated[int | None, typer.Option("--workers", min=1, metavar="N", help="Decoder processes.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, notes and reports on stderr.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DEFAULT_INDEX = Path(".wave-search")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wave-search {ws.__version__}")
        raise typer.Exit


@app.callback()
def main_options(
    ctx: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback has already acted on it
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    quiet: Quiet = False,
    traceback: Annotated[
        bool, typer.Option("--traceback", envvar="WAVE_SEARCH_DEBUG", help="Show where an error arose, for a report.")
    ] = False,
) -> None:
    """Keep the options that hold for any command."""
    ctx.obj = GlobalOptions(quiet, traceback)


@app.command(epilog="Example:  wave-search index ~/Videos ~/Sounds --exclude '*.tmp.mp4'")
@reported
def index(
    ctx: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", exists=True, help="Folders and files.")],
    *,
    index: IndexDir = DEFAULT_INDEX,
    model: Annotated[
        str, typer.Option(metavar="NAME|DIR|HUB_ID[@REV]", help="The model; `wave-search models` lists known ones.")
    ] = "auto",
    modalities: Annotated[
        str | None, typer.Option(metavar="LIST", help="Any of video,audio,av,text,image (default: all of the model).")
    ] = None,
    segment: Annotated[
        str | None, typer.Option(metavar="SECONDS|scene|none", help="How to cut sound and video (default: 10).")
    ] = None,
    device: Device = "auto",
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="Leave these files out; repeatable.")
    ] = None,
    ivf_from: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Build IVF-PQ shards from so many segments on.")
    ] = None,
    workers: Workers = None,
    token_budget: TokenBudget = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report as JSON to FILE.")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Index folders and files, or bring the index up to date."""
    terminal = terminal_of(ctx, quiet)
    if report:
        report.touch()  # that it cannot be written had better be known before hours of work
    with (
        terminal.progress() as progress,
        _opened_or_created(
            index, modalities, segment, model=model, device=device, workers=workers, token_budget=token_budget
        ) as it,
    ):
        terminal.notice(it.model)
        try:
            done = it.add(paths, exclude=exclude or (), ivf_from=ivf_from or ws.IVF_FROM, progress=progress)
        except ws.Interrupted as interrupted:
            done = interrupted.report
    record = output.to_json(output.report_record(done))
    if report:
        report.write_text(f"{record}\n", encoding="ascii")
    if json:
        terminal.lines([record])
    terminal.report(done)
    if done.interrupted:
        terminal.error(
            f"interrupted: what was done is kept in {output.printable(index)}. Run the same command to go on"
        )
        return INTERRUPTED
    return PARTLY if done.skipped or done.unreachable else DONE


class _Loading(TypedDict):
    """How the model of an index is loaded."""

    model: str
    device: str
    workers: int | None
    token_budget: int | None


def _opened_or_created(
    path: Path, modalities: str | None, segment: str | None, **loading: Unpack[_Loading]
) -> ws.Index:
    wanted = None if modalities is None else [name.strip() for name in modalities.split(",")]
    if not ws.exists(path):
        return ws.create(path, segment=segment or "10", modalities=wanted, **loading)
    opened = ws.open(path, **loading)
    info = opened.info()
    for option, given, pinned, same in (
        ("--segment", segment, info.segmenting, segment is None or opened.cuts_by(segment)),
        ("--modalities", modalities, ",".join(info.modalities), wanted is None or {*wanted} == {*info.modalities}),
    ):
        if not same:
            remedy = f"Leave {option} out, or make another index with --index."
            raise UsageError(f"{path} was made with {option} {pinned}, not {given}", remedy)
    return opened


@app.command(
    epilog="A media FILE may carry a range in seconds: clip.mp4@12.5-20. "
    "Output: a table on a terminal; in a pipe tab-separated rank, z, score, kind, time, path. "
    "Example:  wave-search query --audio dog.wav --target video -k 5",
)
@reported
def query(
    ctx: typer.Context,
    *,
    text: Annotated[str | None, typer.Option(metavar="TEXT", help="Words to search by; - reads stdin.")] = None,
    audio: Annotated[str | None, typer.Option(metavar="FILE", help="What is heard in FILE.")] = None,
    video: Annotated[str | None, typer.Option(metavar="FILE", help="What is seen in FILE.")] = None,
    image: Annotated[str | None, typer.Option(metavar="FILE", help="A picture.")] = None,
    av: Annotated[str | None, typer.Option(metavar="FILE", help="Sound and picture of FILE together.")] = None,
    instruction: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What to look for in the media query, as a prompt.")
    ] = None,
    target: Annotated[
        Target, typer.Option(help="What to find: video is what is seen, audio what is heard, av both together.")
    ] = "any",
    k: Annotated[int, typer.Option("-k", min=1, metavar="N", help="Number of results.")] = 10,
    min_score: Annotated[
        float | None, typer.Option(metavar="Z", help="Drop results less than Z standard deviations above the rest.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON Lines.")] = False,
    paths: Annotated[bool, typer.Option("--paths", help="Print only paths, each once, best first.")] = False,
    index: IndexDir = DEFAULT_INDEX,
    model: Annotated[
        str, typer.Option(metavar="NAME|DIR|HUB_ID[@REV]", help="Where to load the model of the index from.")
    ] = "auto",
    device: Device = "auto",
    workers: Workers = None,
    quiet: Quiet = False,
) -> int:
    """Search by one text, sound, video or picture."""
    if json and paths:
        raise UsageError("--json and --paths exclude each other")
    asked = {"text": text, "audio": audio, "video": video, "image": image, "av": av}
    given = {name: value for name, value in asked.items() if value is not None}
    if len(given) != 1:
        raise UsageError("give one of --text, --audio, --video, --image and --av")
    if text is not None:
        given["text"] = _words(_stdin() if text == "-" else os.fsencode(text))
    if instruction is not None:
        instruction = _words(os.fsencode(instruction))
    terminal = terminal_of(ctx, quiet)
    with ws.open(index, model, device=device, workers=workers) as opened:
        terminal.notice(opened.model)
        with terminal.working("loading the model, searching"):
            hits = opened.search(**given, target=target, k=k, min_score=min_score, instruction=instruction)
    if not hits:
        terminal.say("no result" if min_score is None else f"no result with z >= {min_score:g}")
        return NO_RESULT
    if paths:
        fit, unfit = output.distinct_paths(hits)
        for path in unfit:
            terminal.warning(f"{output.printable(path)}: has a newline in its name, left out. Use --json")
        terminal.write(b"".join(path + b"\n" for path in fit))
    elif json:
        terminal.lines(output.to_json(output.hit_record(hit)) for hit in hits)
    elif terminal.results_on_terminal:
        terminal.hits(hits)
    else:
        terminal.lines(output.hit_line(hit) for hit in hits)
    return DONE


def _stdin() -> bytes:
    return sys.stdin.buffer.read() if sys.stdin else b""  # None: a shell has closed it


def _words(typed: bytes) -> str:
    # A terminal or a pipe may deliver anything; a model reads text.
    return typed.decode("utf-8", "replace").strip()


@app.command()
@reported
def info(ctx: typer.Context, index: IndexDir = DEFAULT_INDEX, json: Json = False, quiet: Quiet = False) -> int:
    """Say what is in the index."""
    terminal = terminal_of(ctx, quiet)
    with ws.open(index) as opened:
        described = opened.info()
    if json:
        terminal.lines([output.to_json(output.info_record(described))])
    else:
        terminal.rows(output.info_rows(described))
    return DONE


@app.command()
@reported
def verify(ctx: typer.Context, index: IndexDir = DEFAULT_INDEX, json: Json = False, quiet: Quiet = False) -> int:
    """Check that the index is complete and undamaged; exit 1 if not."""
    terminal = terminal_of(ctx, quiet)
    with terminal.working("checking"):
        found = ws.verify(index)
    if json:
        terminal.lines(output.to_json(asdict(problem)) for problem in found)
    else:
        terminal.rows(output.problem_row(problem) for problem in found)
    problems = sum(not problem.orphan for problem in found)
    terminal.say(output.counted(problems, "problem") if problems else "no problem found")
    return FAILED if problems else DONE


@app.command()
@reported
def remove(
    ctx: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Files, and folders with all in them.")],
    index: IndexDir = DEFAULT_INDEX,
    quiet: Quiet = False,
) -> int:
    """Take files out of the index; the files themselves stay."""
    terminal = terminal_of(ctx, quiet)
    with ws.open(index) as opened:
        count = opened.remove(paths)
    if not count:
        terminal.error("no file of the index is at the given paths")
        return FAILED
    terminal.say(f"removed {output.counted(count, 'file')} from the index")
    return DONE


@app.command()
@reported
def models(ctx: typer.Context, json: Json = False, quiet: Quiet = False) -> int:
    """List the models that are known by name."""
    terminal = terminal_of(ctx, quiet)
    known = ws.known_models()
    if json:
        terminal.lines(output.to_json({"name": name, "description": what}) for name, what in known.items())
    else:
        terminal.rows(known.items())
    return DONE


def main() -> None:
    """Run the command line."""
    # Libraries log what concerns their developers; stderr is for what concerns the user.
    logging.disable(logging.WARNING)
    occupy_closed_streams()
    app()
