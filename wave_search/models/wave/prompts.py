"""What the model is asked about each kind of media."""

from __future__ import annotations

from types import MappingProxyType

from wave_search.types import Modality

PROMPTS = MappingProxyType(
    {
        Modality.IMAGE: "Please describe the image.",
        Modality.AUDIO: "Please describe the audio.",
        Modality.VIDEO: "Please describe the video.",
        Modality.AV: "Please describe the video.",
    }
)
"""Those of WAVE's published evaluation. Text is embedded bare, and has none."""


def prompt_of(modality: Modality, instruction: str | None) -> str:
    """Text that follows the media: the instruction if there is one, else the default prompt."""
    return PROMPTS[modality] if instruction is None else instruction
