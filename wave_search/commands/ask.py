"""Ask about a clip."""

from dataclasses import asdict
from typing import Annotated, Literal

import typer

import wave_search as ws
from wave_search.commands.exit_codes import DONE, reported, terminal_of
from wave_search.commands.options import Device, Dtype, Json, Model, Quantization, Quiet, words
from wave_search.commands.render import text as output

EPILOG = (
    "CLIP may carry a range in seconds: clip.mp4@12.5-20. The answers are compared with the clip, embedded with "
    "the question as its prompt; the score is their cosine, not a probability. "
    "Example:  wave-search ask dog.wav 'What animal is heard?' --choice 'a dog' --choice 'a cat'"
)


@reported
def ask(
    ctx: typer.Context,
    clip: Annotated[str, typer.Argument(metavar="CLIP", help="A sound, a video or a picture.")],
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="What to ask about it.")],
    *,
    choice: Annotated[list[str], typer.Option(metavar="ANSWER", help="A possible answer; give two or more.")],
    perceived_as: Annotated[
        Literal["audio", "video", "av", "image"] | None,
        typer.Option("--as", help="What of the clip counts (default: sound and picture as far as there are both)."),
    ] = None,
    model: Model = "auto",
    device: Device = "auto",
    dtype: Dtype = "auto",
    quantization: Quantization = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Answer a question about a clip by choosing among answers. Needs no index."""
    terminal = terminal_of(ctx, quiet)
    asked, *choices = (words(typed) for typed in (question, *choice))
    with (
        terminal.working("loading the model, asking"),
        ws.load_embedder(model, device=device, dtype=dtype, quantization=quantization) as embedder,
    ):
        spec, answers = embedder.spec, embedder.ask(clip, asked, choices, modality=perceived_as)
    terminal.notice(spec)
    if json:
        terminal.lines(output.to_json(asdict(answer)) for answer in answers)
    else:
        terminal.rows(output.answer_row(answer) for answer in answers)
    terminal.say(f"the first is ahead of the second by {answers[0].score - answers[1].score:.3f}")
    return DONE
