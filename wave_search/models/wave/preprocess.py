"""Preprocessing of decoded clips into inputs of the towers. Needs no weights, and can run ahead in any thread."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from wave_search.models.wave.clips import SAMPLE_RATE_HZ
from wave_search.models.wave.spectrograms import SHIFT, WINDOW, kaldi_fbank, whisper_log_mel, yamnet_log_mel
from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from wave_search.models.wave.config import WaveConfig
    from wave_search.types import Clip

PIECE_S = 300
_PIECE_SAMPLES = PIECE_S * SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class Patches:
    """The patches of frames."""

    rows: NDArray[np.uint8]
    """(patches, channels x frames x height x width), in the order that the vision tower expects."""
    grid_thw: tuple[int, int, int]
    """Patches along time, height and width."""
    frames: NDArray[np.uint8] | None = None
    """(frames, height, width, 3) RGB, for the classifier; None if the model has none."""


@dataclass(frozen=True, slots=True)
class AudioPiece:
    """Inputs of the two audio encoders for at most 300 s of audio."""

    mel: NDArray[np.float32]
    """(frames, mel bins) log-mel spectrogram for the audio tower."""
    fbank: NDArray[np.float32]
    """(frames, 128) normalised Kaldi filterbank for BEATs; (frames, 64) log-mel spectrogram for a classifier of
    sounds."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Inputs of the towers; None if the clip lacks the track, or it is not needed."""

    image: Patches | None = None
    video: Patches | None = None
    audio: tuple[AudioPiece, ...] | None = None


def prepare(config: WaveConfig, clip: Clip, modalities: Collection[Modality]) -> Prepared:
    """Compute the patches and spectrograms needed to embed as `modalities`. May run in any thread.

    Args:
        config: of the model.
        clip: a clip that `check_clip` accepts.
        modalities: the modalities to embed as.
    """
    visual = clip.frames is not None and not {Modality.VIDEO, Modality.AV}.isdisjoint(modalities)
    audible = clip.waveform is not None and not {Modality.AUDIO, Modality.AV}.isdisjoint(modalities)
    return Prepared(
        image_patches(config, clip.image) if clip.image is not None and Modality.IMAGE in modalities else None,
        video_patches(config, clip.frames.pixels) if visual and clip.frames else None,
        tuple(audio_pieces(config, clip.waveform.samples)) if audible and clip.waveform else None,
    )


def video_patches(config: WaveConfig, pixels: NDArray[np.uint8]) -> Patches:
    """Cut frames into patches; the last frame is repeated to fill the last patch.

    If the model has a classifier, it sees the frames as they are, and the vision tower sees them at half the size.

    Args:
        config: of the model.
        pixels: (frames, height, width, 3) RGB. Height and width are multiples of the sampling's `pixel_multiple`.

    Raises:
        ValueError: there are no frames, or a side is not such a multiple.
    """
    if config.classifier is None:
        return tower_patches(config, pixels)
    if pixels.shape[1] % 2 or pixels.shape[2] % 2:
        raise ValueError(f"need frames with even sides, got {pixels.shape[2]} x {pixels.shape[1]}")
    return replace(tower_patches(config, half_size(pixels)), frames=pixels)


def tower_patches(config: WaveConfig, pixels: NDArray[np.uint8]) -> Patches:
    """Cut frames into patches of the vision tower only.

    Args:
        config: of the model.
        pixels: (frames, height, width, 3) RGB; height and width multiples of patch size x spatial merge.

    Raises:
        ValueError: there are no frames, or a side is not such a multiple.
    """
    depth, side, merge = config.temporal_patch_size, config.patch_size, config.spatial_merge_size
    multiple = side * merge
    frames, height, width, channels = pixels.shape
    if frames == 0 or height % multiple or width % multiple:
        raise ValueError(
            f"need at least one frame with sides that are multiples of {multiple} px, "
            f"got {frames} of {width} x {height}"
        )
    if frames % depth:
        pixels = np.concatenate([pixels, np.repeat(pixels[-1:], -frames % depth, axis=0)])
    grid = (len(pixels) // depth, height // side, width // side)
    cells = pixels.reshape(
        grid[0], depth, grid[1] // merge, merge, side, grid[2] // merge, merge, side, channels
    )  # time, frame, row, row in token, y, column, column in token, x, channel
    rows = cells.transpose(0, 2, 5, 3, 6, 8, 1, 4, 7).reshape(grid[0] * grid[1] * grid[2], -1)
    return Patches(rows, grid)


def half_size(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Average each square of four pixels.

    Args:
        pixels: (frames, height, width, 3) RGB; height and width even.

    Returns:
        (frames, height / 2, width / 2, 3)
    """
    sums = pixels[:, ::2].astype(np.uint16) + pixels[:, 1::2]
    return ((sums[:, :, ::2] + sums[:, :, 1::2] + 2) // 4).astype(np.uint8)


def image_patches(config: WaveConfig, pixels: NDArray[np.uint8]) -> Patches:
    """Cut an image, (height, width, 3) RGB, into patches: a video of one frame."""
    return video_patches(config, pixels[None])


def audio_pieces(config: WaveConfig, samples: NDArray[np.float32]) -> list[AudioPiece]:
    """Cut audio into pieces of 300 s and compute the inputs of the audio encoders.

    Args:
        config: of the model.
        samples: (samples,) mono, 16 kHz, in [-1, 1]. A piece shorter than 1 s is padded with silence.

    Raises:
        ValueError: there are no samples.
    """
    second = kaldi_fbank if config.sound_classifier is None else yamnet_log_mel
    return [AudioPiece(log_mel(cut, config.mel_bins), second(cut)) for cut in cut_pieces(samples)]


def cut_pieces(samples: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Cut audio into pieces of 300 s, each padded with silence to at least 1 s.

    Raises:
        ValueError: there are no samples.
    """
    if len(samples) == 0:
        raise ValueError("the sound has no samples")
    cuts = [samples[at : at + _PIECE_SAMPLES] for at in range(0, len(samples), _PIECE_SAMPLES)]
    return [np.pad(cut, (0, max(0, SAMPLE_RATE_HZ - len(cut)))) for cut in cuts]


def log_mel(samples: NDArray[np.float32], bins: int) -> NDArray[np.float32]:
    """Compute Whisper's log-mel spectrogram of one piece.

    Args:
        samples: (samples,), at most 300 s.
        bins: of the mel scale.

    Returns:
        (ceil(samples / 160), bins)
    """
    return padded_log_mel(samples, bins)[: -(-len(samples) // SHIFT)]


def padded_log_mel(samples: NDArray[np.float32], bins: int) -> NDArray[np.float32]:
    """Compute `log_mel`, followed by the frames of the padding whose windows overlap the audio.

    The model was trained on pieces padded to 300 s. The windows of the last frames of the audio overlap the padding,
    and those of the first frames of the padding overlap the audio and contribute to the maximum that limits the range.
    All later frames are silent, have no effect, and are not computed.
    """
    total = min(_PIECE_SAMPLES, -(-(len(samples) + WINDOW) // SHIFT) * SHIFT)
    return whisper_log_mel(np.pad(samples, (0, total - len(samples))), bins)


def seconds_per_grid(config: WaveConfig, duration_s: float, frames: int) -> float:
    """Return the seconds between two steps of the temporal grid, given true duration and number of frames."""
    return config.temporal_patch_size * duration_s / frames
