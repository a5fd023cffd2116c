"""The parts of the model that a request may need or not: a query in words needs neither tower."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Collection


class Part(StrEnum):
    """Weights that are loaded together."""

    DECODER = "decoder"
    HEAD = "head"
    """Of the fusion; a twentieth of the model, and only media go through it."""
    VISION = "vision"
    AUDIO = "audio"
    """Audio tower and BEATs."""

    @property
    def prefixes(self) -> tuple[str, ...]:
        """What its keys begin with. Each key of the model belongs to one part."""
        return _PREFIXES[self]


_PREFIXES = {
    Part.DECODER: ("model.",),
    Part.HEAD: ("classify_linear.",),
    Part.VISION: ("visual.",),
    Part.AUDIO: ("audio_tower.", "beats.", "beats_ln.", "beats_proj."),
}
_SEEN = {Modality.IMAGE, Modality.VIDEO, Modality.AV}
_HEARD = {Modality.AUDIO, Modality.AV}


def parts_for(wanted: Collection[Modality]) -> tuple[Part, ...]:
    """The parts that embedding as `wanted` needs."""
    needed = {
        Part.DECODER: True,
        Part.HEAD: any(modality is not Modality.TEXT for modality in wanted),
        Part.VISION: not _SEEN.isdisjoint(wanted),
        Part.AUDIO: not _HEARD.isdisjoint(wanted),
    }
    return tuple(part for part, is_needed in needed.items() if is_needed)
