"""Clips as sentence-transformers takes them, and how they are sampled for a model, by its processor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.types import Clip, Frames, Modality, Sampling, Waveform

if TYPE_CHECKING:
    from collections.abc import Iterator

_SAMPLE_RATE_HZ = 16_000
_FRAME_INTERVAL_S = 0.5
_MOST_FRAMES = 32
_FRAME_PIXELS = 512 * 512
_IMAGE_PIXELS = 1024 * 1024
"""Larger pictures are made smaller before the processor of a model resizes them to what it needs, mostly far less."""
_MOST_NARROW = 200
"""Sides of a picture, longest to shortest: others get black edges, because some processors refuse them."""
_LONGEST_SOUND_S = 30.0
"""If the processor does not say."""
_SHORTEST_SOUND_S = 0.1
"""Shorter ones get silence: of less, some models can make nothing."""


def _pixels(video: Any) -> int:
    """Return the largest area that a processor resizes a frame to, 0 if it does not say."""
    tokens = getattr(video, "max_soft_tokens", None)
    if tokens:
        return int(tokens * (video.pooling_kernel_size * video.patch_size) ** 2)
    size = getattr(video, "size", None)
    longest = size.get("longest_edge") if isinstance(size, Mapping) else getattr(size, "longest_edge", None)
    return int(longest or 0)


def _widened(pixels: Any) -> Any:
    """Return a picture or frames, (..., height, width, 3), with black edges if they are too narrow."""
    sides = pixels.shape[-3:-1]
    missing = [max(0, -(-max(sides) // _MOST_NARROW) - side) for side in sides]
    if not any(missing):
        return pixels
    edges = [(each // 2, each - each // 2) for each in missing]
    return np.pad(pixels, [(0, 0)] * (pixels.ndim - 3) + [*edges, (0, 0)])


class Inputs:
    """What a model takes.

    Args:
        processor: of its first module: a processor of several modalities, or of one.

    Attributes:
        sampling: how clips are decoded for it.
        arguments: for its processor, with media: frames have been chosen already, and what stands for media is not cut.
    """

    def __init__(self, processor: Any) -> None:
        video = getattr(processor, "video_processor", None)
        audio = getattr(processor, "feature_extractor", None) or processor
        fps, number = getattr(video, "fps", None), getattr(video, "num_frames", None)
        self.sampling = Sampling.uniform(
            # A processor with a number of frames takes that many of a film of any length.
            frame_interval_s=1 / fps if fps else 0.001 if number else _FRAME_INTERVAL_S,
            max_frames=int(number or min(getattr(video, "max_frames", None) or _MOST_FRAMES, _MOST_FRAMES)),
            max_pixels=min(max(_FRAME_PIXELS, _pixels(video)), _IMAGE_PIXELS),
            max_image_pixels=_IMAGE_PIXELS,
            sample_rate_hz=int(getattr(audio, "sampling_rate", None) or _SAMPLE_RATE_HZ),
        )
        longest = getattr(audio, "nb_max_samples", None) or getattr(audio, "n_samples", None)
        self._longest = int(longest or _LONGEST_SOUND_S * self.sampling.sample_rate_hz)
        names = ("image_token", "video_token", "audio_token")
        self._placeholders = [token for token in (getattr(processor, name, None) for name in names) if token]
        self.arguments = {
            "text": {"truncation": False},
            "image": {"input_data_format": "channels_last"},
            "video": {"do_sample_frames": False, "input_data_format": "channels_last"},
        }

    def of(self, modality: Modality) -> Any:
        """Return an input of a modality, to try a model with."""
        pixels = np.zeros((64, 64, 3), np.uint8)
        clip = Clip(
            "text",
            pixels,
            Frames(np.stack([pixels] * 2), 2.0),
            Waveform(np.zeros(self.sampling.sample_rate_hz, np.float32), self.sampling.sample_rate_hz),
        )
        return next(self.parts(clip, modality))

    def parts(self, clip: Clip, modality: Modality) -> Iterator[Any]:
        """Yield a clip as a modality, a long sound in parts of which none is longer than what the model takes."""
        if modality is Modality.TEXT:
            # By itself, one that looks like a path or an address is taken for a file.
            yield {"text": self._plain(clip.text or "")}
        elif modality is Modality.IMAGE:
            yield {"image": _widened(clip.image)}
        elif modality is Modality.VIDEO:
            yield {"video": self._film(clip)}
        elif modality is Modality.AV:
            yield {"video": self._film(clip), "audio": self._sounds(clip)[0]}
        else:
            for sound in self._sounds(clip):
                yield {"audio": sound}

    def _plain(self, text: str) -> str:
        """Return a text in which nothing stands for media that are not there."""
        for token in self._placeholders:
            text = text.replace(token, f"{token[:1]} {token[1:]}")
        return text

    @staticmethod
    def _film(clip: Clip) -> Any:
        assert clip.frames is not None  # noqa: S101 - by its modalities
        pixels, duration_s = _widened(clip.frames.pixels), clip.frames.duration_s
        metadata = {
            "fps": len(pixels) / duration_s,
            "total_num_frames": len(pixels),
            "duration": duration_s,
            "frames_indices": list(range(len(pixels))),
        }
        return {"array": pixels, "video_metadata": metadata}

    def _sounds(self, clip: Clip) -> list[Any]:
        assert clip.waveform is not None  # noqa: S101 - by its modalities
        samples, rate_hz = clip.waveform.samples, clip.waveform.sample_rate_hz
        missing = int(_SHORTEST_SOUND_S * rate_hz) - len(samples)
        if missing > 0:
            samples = np.pad(samples, (0, missing))
        count = -(-len(samples) // self._longest)
        return [{"array": part, "sampling_rate": rate_hz} for part in np.array_split(samples, count)]
