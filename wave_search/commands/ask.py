"""Answer a question about a clip."""

from dataclasses import asdict
from typing import Annotated, Literal

import typer

import wave_search as ws
from wave_search.commands.exit_codes import DONE, reported, terminal_of
from wave_search.commands.options import Device, Dtype, Json, Model, Quantization, Quiet, words
from wave_search.commands.usage import epilog
from wave_search.render.records import to_json
from wave_search.render.text import answer_row

EPILOG = epilog(
    "CLIP may have a range in seconds: clip.mp4@12.5-20. The clip is embedded with the question as its prompt and "
    "compared with each answer; the score is a cosine similarity, not a probability.",
    "ask dog.wav 'What animal is heard?' --choice 'a dog' --choice 'a cat'",
)


@reported
def ask(
    ctx: typer.Context,
    clip: Annotated[str, typer.Argument(metavar="CLIP", help="Audio, video or image file.")],
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="Question about the clip.")],
    *,
    choice: Annotated[list[str], typer.Option(metavar="ANSWER", help="Candidate answer; at least two are required.")],
    modality: Annotated[
        Literal["audio", "video", "av", "image"] | None,
        typer.Option("--as", help="Modality of the clip to use (default: av if it has both, else what it has)."),
    ] = None,
    model: Model = "auto",
    device: Device = "auto",
    dtype: Dtype = "auto",
    quantization: Quantization = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Answer a question about a clip by choosing from given answers."""
    from wave_search.query import check_question
    from wave_search.query.terms import check_range, split_range

    terminal = terminal_of(ctx, quiet)
    asked, *choices = (words(typed) for typed in (question, *choice))
    check_question(asked, choices)  # before the model is loaded
    path, start_s, stop_s = split_range(clip)
    if modality != "image":  # which may be a still
        check_range(path, start_s, stop_s)
    with (
        terminal.working("loading the model, embedding"),
        ws.load_embedder(model, load=ws.LoadOptions(device=device, dtype=dtype, quantization=quantization)) as embedder,
    ):
        spec, answers = embedder.spec, embedder.ask(clip, asked, choices, modality=modality)
    terminal.notice(spec)
    if json:
        terminal.lines(to_json(asdict(answer)) for answer in answers)
    else:
        terminal.rows(answer_row(answer) for answer in answers)
    terminal.message(f"margin between the first and the second: {answers[0].score - answers[1].score:.3f}")
    return DONE
