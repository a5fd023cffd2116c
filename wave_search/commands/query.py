"""Query an index."""

import functools
import os
from pathlib import Path
from typing import Annotated, Any

import typer

import wave_search as ws
from wave_search.commands import last_hits, output, results, terms
from wave_search.commands.exit_codes import reported, terminal_of
from wave_search.commands.options import DEFAULT_INDEX, Device, Dtype, IndexDir, IndexModel, Quantization, Quiet, words
from wave_search.commands.question import Question
from wave_search.commands.usage import FILTER, OUTPUT, SEARCH, epilog
from wave_search.errors import UsageError

EPILOG = epilog(
    "Words are one text, those with a weight are terms of their own, and media files among them are used as by "
    "--similar; `search` is the same command. The options from --text to --not-similar can be combined and repeated. "
    "Results are ordered by z; with several terms, z is high only for segments that match all of them. With --where "
    "alone, files are listed, as by wave-search list. Output: a table on a terminal, otherwise "
    "tab-separated rank, z, score, modality, time, path.\n\n"
    "A FILE may have a range in seconds or h:mm:ss: clip.mp4@12-20, clip.mp4@1:02- (to the end), clip.mp4@-5 (the "
    "first 5 seconds); --image film.mp4@3 is the still at 3 seconds. Every term may have a weight, 'rain^0.5' (default "
    "1, and 0.5 for --not-...); with a weight below 0, 'dog^-1', it is one to avoid.",
    "query a dog barking",
    "query --audio dog.wav@1:02- --target video -n 5",
    "query --text 'a beach' --not-text 'people^0.3' --where \"kind = 'video'\"",
    "query --image film.mp4@3 --export found.edl",
)


def asked(
    ctx: typer.Context,
    anything: terms.Anything = None,
    *,
    text: terms.Text = None,
    audio: terms.Audio = None,
    video: terms.Video = None,
    image: terms.Image = None,
    av: terms.AV = None,
    like: terms.Like = None,
    similar: terms.Similar = None,
    not_text: terms.NotText = None,
    not_audio: terms.NotFile = None,
    not_video: terms.NotFile = None,
    not_image: terms.NotFile = None,
    not_av: terms.NotFile = None,
    not_like: terms.NotLike = None,
    not_similar: terms.NotFile = None,
    instruction: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", help="Instruction to embed media with, such as a question.", rich_help_panel=SEARCH
        ),
    ] = None,
    rerank: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Embed the N best results with the instruction and reorder them.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    target: results.Target = None,
    k: results.Limit = 10,
    min_z: Annotated[
        float | None,
        typer.Option(
            metavar="Z", help="Minimum z: standard deviations above unrelated segments.", rich_help_panel=FILTER
        ),
    ] = None,
    where: results.Where = None,
    where_timeout: results.WhereTimeout = 30.0,
    columns: results.Columns = None,
    segments: results.Segments = False,
    per_file: results.PerFile = None,
    dedupe: results.Dedupe = None,
    copies: results.Copies = False,
    thumbnails: results.Thumbnails = None,
    open: results.Open = None,  # noqa: A002 - the name of the option
    reveal: results.Reveal = None,
    export: results.Export = None,
    save: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Keep the search with the index, for wave-search searches.", rich_help_panel=OUTPUT
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="With --save: replace a search of that name.", rich_help_panel=OUTPUT)
    ] = False,
    json: results.JsonLines = False,
    paths: results.Paths = False,
    index: IndexDir = DEFAULT_INDEX,
    model: IndexModel = "auto",
    device: Device = "auto",
    dtype: Dtype = "auto",
    quantization: Quantization = None,
    quiet: Quiet = False,
) -> Question:
    """Search by text, audio, video, images and earlier results."""
    output.check_output(json=json, paths=paths)
    if replace and save is None:
        raise UsageError("--replace needs a name", "Add --save NAME.")
    folder = ctx.obj.folder
    if export is not None and not Path(folder, export).parent.is_dir():
        raise UsageError(f"{export}: there is no folder {export.parent}", "Make it, or choose another one.")
    texts, files = terms.split(anything or (), folder)
    media = {"audio": audio, "video": video, "image": image, "av": av, "similar": [*files, *(similar or ())]}
    others = {"audio": not_audio, "video": not_video, "image": not_image, "av": not_av, "similar": not_similar}
    wanted = {"text": [*texts, *(text or ())], **_placed(media, folder), "like": like or []}
    avoided = {"text": not_text or [], **_placed(others, folder), "like": not_like or []}
    shown, exported = output.names(columns), output.columns_for(export)
    lists = where is not None and not any((*wanted.values(), *avoided.values()))
    if lists:
        _check_unused(
            {
                "--instruction": instruction is not None,
                "--rerank": rerank is not None,
                "--target": target is not None,
                "--min-z": min_z is not None,
                "--segments": segments,
                "--per-file": per_file is not None,
                "--dedupe": dedupe is not None,
                "--copies": copies,
                "--open": open is not None,
                "--reveal": reveal is not None,
                "--export": export is not None,
            }
        )
    return Question(
        wanted,
        avoided,
        {
            "target": results.target_of(target),
            "k": k,
            "min_z": min_z,
            "where": where,
            "where_timeout_s": where_timeout,
            "columns": tuple(dict.fromkeys((*shown, *exported))),
            "moments": not segments,
            "per_file": per_file,
            "dedupe": dedupe,
            "copies": copies,
            "instruction": words(instruction) if instruction is not None else None,
            "rerank": rerank,
        },
        output.Output(
            json=json,
            paths=paths,
            columns=shown,
            export=None if export is None else os.fspath(export),
            open=open,
            reveal=reveal,
            thumbnails=thumbnails,
            limit=k,
            min_z=min_z,
            is_filtered=bool(where),
        ),
        index=index,
        model=model,
        load={"device": device, "dtype": dtype, "quantization": quantization},
        quiet=quiet,
        lists=lists,
        save=save,
        replace=replace,
    )


@reported
@functools.wraps(asked)
def query(ctx: typer.Context, **options: Any) -> int:
    """Ask the index, and show what it answers."""
    question = asked(ctx, **options)
    terminal = terminal_of(ctx, question.quiet)
    if question.lists:
        with ws.open(question.index) as opened:
            if question.save is not None:
                where = question.arguments["where"]
                opened.save_search(question.save, where=where, replace=question.replace)
            shown = question.output
            return output.show_files(terminal, question.files(opened), shown.limit, json=shown.json, paths=shown.paths)
    load = ws.LoadOptions(**question.load)
    with ws.open(question.index, question.model, load=load, may_download=terminal.may_download) as opened:
        request = question.request(last_hits.kept_hits(opened.path, opened.created))
        if question.save is not None:
            opened.save_search(question.save, request, replace=question.replace)
        with terminal.progress() if request.rerank else terminal.working("searching") as progress:
            found = question.find(opened, request, progress if request.rerank else None)
        output.keep(terminal, found, opened.path)
        if question.output.export is not None:
            with terminal.working("exporting"):
                output.write(Path(question.output.export), found.hits, opened)
    return output.show_found(terminal, question.output, found)


def _placed(given: dict[str, list[str] | None], folder: str) -> dict[str, list[str]]:
    """Return files with the folder that relative names start from; an empty name is an error that comes later."""

    def placed(file: str) -> str:
        return os.path.join(folder, file) if file else file  # noqa: PTH118 - keeps the name as typed

    return {name: [*map(placed, files or ())] for name, files in given.items()}


def _check_unused(given: dict[str, bool]) -> None:
    """Check that no option is given that only a search can do. Raises UsageError."""
    for option, is_given in given.items():
        if is_given:
            raise UsageError(f"{option} needs something to search for", "Add a term, such as --text 'a dog'.")
