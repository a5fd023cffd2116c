"""Query an index."""

from typing import Annotated, Any

import typer

import wave_search as ws
from wave_search import desktop
from wave_search.commands import last_hits, listing, results, terms
from wave_search.commands.exit_codes import DONE, NO_RESULT, reported, terminal_of
from wave_search.commands.options import DEFAULT_INDEX, Device, Dtype, IndexDir, IndexModel, Quantization, Quiet, words
from wave_search.errors import UsageError
from wave_search.render.text import skipped_line
from wave_search.types import Target

EPILOG = (
    "Words are one text, and media files among them are used as by --similar; `search` is the same command. "
    "The options from --text to --not-similar can be combined and repeated. A FILE may have a range in seconds, "
    "clip.mp4@12.5-20, and every term a weight, 'rain^0.5' (default: 1, and 0.5 for --not-...). "
    "With --where alone, files are listed, as by wave-search list. "
    "Results are ordered by z; with several terms, z is high only for segments that match all of them. "
    "Output: a table on a terminal, otherwise tab-separated rank, z, score, modality, time, path. "
    "Examples:  wave-search query a dog barking; wave-search query --audio dog.wav --target video -k 5"
)


@reported
def query(
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
        str | None, typer.Option(metavar="TEXT", help="Instruction to embed media with, such as a question.")
    ] = None,
    rerank: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Embed the N best results with the instruction and reorder them."),
    ] = None,
    target: Annotated[
        Target, typer.Option(help="Modality of the results; video is the visual track alone, av both tracks.")
    ] = "any",
    k: Annotated[int, typer.Option("-k", "-n", "--limit", min=1, metavar="N", help="Maximum number of results.")] = 10,
    min_z: Annotated[
        float | None, typer.Option(metavar="Z", help="Minimum z: standard deviations above unrelated segments.")
    ] = None,
    where: results.Where = None,
    where_timeout: results.WhereTimeout = 30.0,
    columns: results.Columns = None,
    segments: results.Segments = False,
    per_file: results.PerFile = None,
    dedupe: results.Dedupe = None,
    open: results.Open = False,  # noqa: A002 - the name of the option
    reveal: results.Reveal = False,
    export: results.Export = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON Lines.")] = False,
    paths: Annotated[bool, typer.Option("--paths", help="Print only the distinct paths, best first.")] = False,
    index: IndexDir = DEFAULT_INDEX,
    model: IndexModel = "auto",
    device: Device = "auto",
    dtype: Dtype = "auto",
    quantization: Quantization = None,
    quiet: Quiet = False,
) -> int:
    """Search by text, audio, video, images and earlier results."""
    results.check_output(json=json, paths=paths)
    texts, files = terms.split(anything or ())
    wanted = {"text": [*texts, *(text or ())], "audio": audio, "video": video, "image": image, "av": av}
    avoided = {"text": not_text, "audio": not_audio, "video": not_video, "image": not_image, "av": not_av}
    wanted |= {"like": like, "similar": [*files, *(similar or ())]}
    avoided |= {"like": not_like, "similar": not_similar}
    if where is not None and not any((*wanted.values(), *avoided.values())):
        _check_unused(
            {
                "--instruction": instruction is not None,
                "--rerank": rerank is not None,
                "--target": target != "any",
                "--min-z": min_z is not None,
                "--segments": segments,
                "--per-file": per_file is not None,
                "--dedupe": dedupe is not None,
                "--open": open,
                "--reveal": reveal,
                "--export": export is not None,
            }
        )
        with ws.open(index) as opened:
            listed = opened.files(where, columns=results.names(columns), where_timeout_s=where_timeout)
            return listing.show(terminal_of(ctx, quiet), listed, k, json=json, paths=paths)
    instruction = words(instruction) if instruction is not None else None
    shown = results.names(columns)
    exported = results.columns_for(export)
    terminal = terminal_of(ctx, quiet)
    load = ws.LoadOptions(device=device, dtype=dtype, quantization=quantization)
    with ws.open(index, model, load=load, may_download=terminal.may_download) as opened:
        arguments: dict[str, Any] = {**terms.read(wanted, avoided, last_hits.kept_hits(opened.path))}
        request = ws.SearchRequest.build(
            **arguments,
            target=target,
            k=k,
            min_z=min_z,
            where=where,
            where_timeout_s=where_timeout,
            columns=dict.fromkeys((*shown, *exported)),
            moments=not segments,
            per_file=per_file,
            dedupe=dedupe,
            instruction=instruction,
            rerank=rerank,
        )
        terminal.notice(opened.model)
        lost: list[ws.Skipped] = []
        with terminal.progress() if rerank else terminal.working("searching") as progress:
            hits = opened.search(request, progress=progress if rerank else None, warn=lost.append)
        kept = last_hits.keep_hits(opened.path, [hit.segment_id for hit in hits])
        if not kept and last_hits.kept_hits(opened.path) is not None:
            terminal.warning("--like will refer to an earlier query: the index cannot be written")
        if export:
            with terminal.working("exporting"):
                results.write(export, hits, opened)
        if instruction is not None and 0 < (share := _coverage(opened.info(), instruction, target)) < 1:
            terminal.warning(f"only {share:.0%} is indexed with this instruction, and only that was searched")
    for file in lost:
        terminal.warning(f"moved to the end: {skipped_line(file)}")
    if not hits:
        where_not = " for this filter" if where else ""
        terminal.message(f"no results{where_not}" if min_z is None else f"no results{where_not} with z >= {min_z:g}")
        return NO_RESULT
    results.show(terminal, [results.only(hit, shown) for hit in hits], json=json, paths=paths)
    if open:
        desktop.play(hits[0].path, hits[0].start_s, hits[0].stop_s)
    if reveal:
        desktop.reveal(hits[0].path)
    return DONE


def _check_unused(given: dict[str, bool]) -> None:
    """Check that no option is given that only a search can do. Raises UsageError."""
    for option, is_given in given.items():
        if is_given:
            raise UsageError(f"{option} needs something to search for", "Add a term, such as --text 'a dog'.")


def _coverage(info: "ws.IndexInfo", instruction: str, target: Target) -> float:
    """Return the share of the media segments of a target that are indexed with an instruction, from 0 to 1."""
    counts = {(one.modality, one.instruction): one.segments for one in info.partitions}
    media = [modality for modality, _ in counts if modality != "text" and target in ("any", modality)]
    instructed = sum(counts.get((modality, instruction), 0) for modality in {*media})
    return instructed / max(1, sum(counts.get((modality, ""), 0) for modality in {*media}))
