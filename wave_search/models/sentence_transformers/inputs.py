"""Clips as sentence-transformers takes them, and how they are sampled for a model, by its processor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.types import Clip, Frames, Modality, Sampling, Waveform

if TYPE_CHECKING:
    from collections.abc import Iterator

_SAMPLE_RATE_HZ = 16_000
_FRAME_PIXELS = 512 * 512
_IMAGE_PIXELS = 1024 * 1024
"""Larger pictures are made smaller before the processor of a model resizes them to what it needs, mostly far less."""
_LONGEST_SOUND_S = 30.0
"""If the processor does not say."""


class Inputs:
    """What a model takes.

    Args:
        processor: of its first module: a processor of several modalities, or of one.

    Attributes:
        sampling: how clips are decoded for it.
        arguments: for its processor: frames have been chosen already.
    """

    def __init__(self, processor: Any) -> None:
        video = getattr(processor, "video_processor", None)
        audio = getattr(processor, "feature_extractor", None) or processor
        fps = getattr(video, "fps", None)
        # A processor with a number of frames takes that many of a film of any length.
        frames = getattr(video, "max_frames", None) or getattr(video, "num_frames", None)
        self.sampling = Sampling.uniform(
            frame_interval_s=1 / fps if fps else 0.001 if frames else 1.0,
            max_frames=int(frames or 32),
            max_pixels=_FRAME_PIXELS,
            max_image_pixels=_IMAGE_PIXELS,
            sample_rate_hz=int(getattr(audio, "sampling_rate", None) or _SAMPLE_RATE_HZ),
        )
        longest = getattr(audio, "nb_max_samples", None) or getattr(audio, "n_samples", None)
        self._longest = int(longest or _LONGEST_SOUND_S * self.sampling.sample_rate_hz)
        self.arguments = {
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
            yield {"text": clip.text}  # by itself, one that looks like a path or an address is taken for a file
        elif modality is Modality.IMAGE:
            yield {"image": clip.image}
        elif modality is Modality.VIDEO:
            yield {"video": self._film(clip)}
        elif modality is Modality.AV:
            yield {"video": self._film(clip), "audio": self._sounds(clip)[0]}
        else:
            for sound in self._sounds(clip):
                yield {"audio": sound}

    @staticmethod
    def _film(clip: Clip) -> Any:
        assert clip.frames is not None  # noqa: S101 - by its modalities
        pixels, duration_s = clip.frames.pixels, clip.frames.duration_s
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
        count = -(-len(samples) // self._longest)
        return [{"array": part, "sampling_rate": rate_hz} for part in np.array_split(samples, count)]
