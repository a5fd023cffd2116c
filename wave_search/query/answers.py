"""Multiple choice: the text that is nearest to a clip embedded with a question.

This is how WAVE answers questions (arXiv:2509.21990): the clip is embedded with the question as its prompt, the answers
as texts, and the nearest one is chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wave_search.errors import UsageError
from wave_search.query.encode import choose_modality
from wave_search.query.terms import check_range, parse_media, split_range
from wave_search.types import Clip, MediaRef, Modality

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from wave_search.query.encode import Encoder


@dataclass(frozen=True, slots=True)
class Answer:
    """One of the choices, with its score."""

    rank: int
    """From 1."""
    text: str
    score: float
    """Cosine similarity with the clip embedded with the question. Not a probability."""


def answer(
    encoder: Encoder,
    clip: str | os.PathLike[str] | MediaRef | Clip,
    question: str,
    choices: Sequence[str],
    modality: str | None = None,
) -> list[Answer]:
    """Rank the choices. For arguments and errors see `MediaEmbedder.ask`."""
    if not isinstance(question, str):
        raise UsageError(f"{question!r} is not a question", "Give a text.")
    if not question.strip():
        raise UsageError("the question is empty")
    if isinstance(choices, str) or len(choices) < 2 or len(set(choices)) < len(choices):
        raise UsageError("there must be two or more choices, all different", "Give each choice once.")
    asked = encoder.encode(_asked(encoder, clip, modality), question)
    scores = encoder.encode(choices) @ asked
    order = np.argsort(-scores, kind="stable")
    return [Answer(rank, choices[place], float(scores[place])) for rank, place in enumerate(order, start=1)]


def _asked(encoder: Encoder, clip: str | os.PathLike[str] | MediaRef | Clip, modality: str | None) -> MediaRef | Clip:
    """Return the clip of a question: with audio and frames, as far as it has both."""
    if isinstance(clip, Clip):
        if clip.text is not None:
            raise _about_text("the clip")
        return clip
    if modality is not None:
        if modality not in list(Modality):
            raise UsageError(f'there is no modality "{modality}"', f"Choose from {', '.join(Modality)}.")
        clip = parse_media(clip, Modality(modality))
    elif not isinstance(clip, MediaRef):
        path, start_s, stop_s = split_range(clip)
        check_range(path, start_s, stop_s)
        clip = MediaRef(path, choose_modality(encoder.identify(path).modalities), start_s, stop_s)
    if clip.modality == Modality.TEXT:
        raise _about_text(str(clip.path))
    return clip


def _about_text(what: str) -> UsageError:
    return UsageError(f"{what}: text is embedded without the question", "Ask about audio, video or images.")
