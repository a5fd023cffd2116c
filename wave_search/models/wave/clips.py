"""Clips as WAVE expects them: sampling, prompts, and validation."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from wave_search.types import Modality, Sampling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wave_search.types import Clip

SAMPLE_RATE_HZ = 16_000
SAMPLING = Sampling.uniform(pixel_multiple=28, max_image_pixels=2_073_600, sample_rate_hz=SAMPLE_RATE_HZ)
"""The sampling of WAVE's published evaluation run. A checkpoint may override its numbers in config.json."""

PROMPTS = MappingProxyType(
    {
        Modality.IMAGE: "Please describe the image.",
        Modality.AUDIO: "Please describe the audio.",
        Modality.VIDEO: "Please describe the video.",
        Modality.AV: "Please describe the video.",
    }
)
"""Prompts of WAVE's published evaluation. Text is embedded without a prompt."""


def prompt_of(modality: Modality, instruction: str | None) -> str:
    """Return the text that follows the media: the instruction if there is one, else the default prompt."""
    return PROMPTS[modality] if instruction is None else instruction


def wanted_modalities(clip: Clip, modalities: Sequence[Modality] | None) -> tuple[Modality, ...]:
    """Return those of `modalities` that the clip has; None for all that it has.

    Raises:
        ValueError: the clip has none of them.
    """
    wanted = tuple(modality for modality in clip.modalities if modalities is None or modality in modalities)
    if not wanted:
        asked = "" if modalities is None else f" of {', '.join(modalities)}"
        raise ValueError(f"a clip with {', '.join(clip.modalities) or 'nothing in it'} has none{asked} to embed")
    return wanted


def check_clip(clip: Clip, sampling: Sampling) -> None:
    """Check shapes, dtypes and rates of a clip. Conversion is left to the decoders.

    Raises:
        ValueError: the clip does not conform to `sampling` and `Clip`.
    """
    multiple = int(sampling.numbers["pixel_multiple"])
    if clip.image is not None:
        _check_pixels("image", clip.image, 3, multiple)
    if clip.frames is not None:
        _check_pixels("frames", clip.frames.pixels, 4, multiple)
        if not 0 < clip.frames.duration_s < np.inf:
            raise ValueError(f"frames: a duration of {clip.frames.duration_s} s")
    if clip.waveform is not None:
        _check_sound(clip.waveform.samples, clip.waveform.sample_rate_hz, sampling.sample_rate_hz)


def _check_pixels(what: str, pixels: NDArray[np.uint8], dimensions: int, multiple: int) -> None:
    if pixels.dtype != np.uint8 or pixels.ndim != dimensions or pixels.shape[-1] != 3 or pixels.size == 0:
        layout = "(frames, height, width, 3)" if dimensions == 4 else "(height, width, 3)"
        raise ValueError(f"{what}: need {layout} uint8, got {pixels.shape} {pixels.dtype}")
    height, width = pixels.shape[-3:-1]
    if height % multiple or width % multiple:
        raise ValueError(f"{what}: height and width must be multiples of {multiple}, got {height} x {width}")


def _check_sound(samples: NDArray[np.float32], rate_hz: int, expected_hz: int) -> None:
    if samples.dtype != np.float32 or samples.ndim != 1 or samples.size == 0:
        raise ValueError(f"waveform: need (samples,) float32, got {samples.shape} {samples.dtype}")
    if rate_hz != expected_hz:
        raise ValueError(f"waveform: sampled at {rate_hz} Hz, need {expected_hz} Hz")
    if not np.isfinite(samples).all():
        raise ValueError("waveform: has samples that are not finite")
