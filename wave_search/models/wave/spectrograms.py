"""Spectrograms for the audio encoders: Whisper's log-mel, Kaldi's filterbank as used by BEATs, YAMNet's log-mel.

They are computed in double precision to be independent of the processor: the single-precision Fourier transform of
torch, which transformers uses, differs by up to 1.5e-5 between types of CPU. Sources: "Robust Speech Recognition via
Large-Scale Weak Supervision", arXiv:2212.04356; "BEATs: Audio Pre-Training with Acoustic Tokenizers", arXiv:2212.09058.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from wave_search.models.wave.clips import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

WINDOW, SHIFT = 400, 160
"""Window and hop length in samples: 25 and 10 ms."""
# Bounds the memory for double-precision spectra of long audio.
_BLOCK_FRAMES = 2048

# Whisper's
_SMALLEST_POWER = 1e-10
_RANGE = 8.0
"""Powers of ten below the loudest bin at which the others are clipped."""

# Kaldi's
BINS = 128
_FFT = 512
_LOW_HZ, _HIGH_HZ = 20.0, 8000.0
_FLOOR = 1.1920929e-07
_MEAN, _STD = 15.41663, 6.55582

# YAMNet's
_YAMNET_BINS = 64
_YAMNET_LOW_HZ, _YAMNET_HIGH_HZ = 125.0, 7500.0
_YAMNET_OFFSET = 0.001
YAMNET_SILENCE = float(np.log(_YAMNET_OFFSET))


def whisper_log_mel(samples: NDArray[np.float32], bins: int) -> NDArray[np.float32]:
    """Compute Whisper's log-mel spectrogram.

    Args:
        samples: (samples,) in [-1, 1] at 16 kHz, more than 200; padded by reflection at both ends.
        bins: of the mel scale.

    Returns:
        (samples // 160, bins)
    """
    windows = _windows(np.pad(samples, WINDOW // 2, mode="reflect"))[: len(samples) // SHIFT]
    # Whisper's window is periodic: a symmetric window with one more sample, without its last one.
    window, filters = np.hanning(WINDOW + 1)[:-1], _slaney_filters(bins)
    mel = _in_blocks(windows, lambda frames: np.maximum(_power(frames * window, WINDOW) @ filters, _SMALLEST_POWER))
    log = np.log10(mel)
    limited: NDArray[np.float64] = np.maximum(log, log.max() - _RANGE)
    return ((limited + 4) / 4).astype(np.float32)


def kaldi_fbank(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the normalised filterbank.

    Args:
        samples: (samples,) in [-1, 1] at 16 kHz, at least 400.

    Returns:
        (frames, 128), one frame per 10 ms; only full windows of 25 ms count.
    """
    return ((_in_blocks(_windows(samples), _kaldi_log_mel) - _MEAN) / (2 * _STD)).astype(np.float32)


def yamnet_log_mel(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute YAMNet's log-mel spectrogram of magnitudes.

    Args:
        samples: (samples,) in [-1, 1] at 16 kHz, at least 400.

    Returns:
        (frames, 64), one frame per 10 ms; only full windows of 25 ms count.
    """
    window, filters = np.hanning(WINDOW + 1)[:-1], _yamnet_filters()
    magnitudes = _in_blocks(_windows(samples), lambda frames: np.sqrt(_power(frames * window, _FFT)) @ filters)
    return np.log(magnitudes + _YAMNET_OFFSET).astype(np.float32)


def _kaldi_log_mel(windows: NDArray[np.float32]) -> NDArray[np.float64]:
    frames = windows.astype(np.float64) * 32768
    frames -= frames.mean(axis=1, keepdims=True)
    previous = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    power = _power((frames - 0.97 * previous) * _povey_window(), _FFT)
    return np.log(np.maximum(power @ _kaldi_filters(), _FLOOR))


def _windows(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::SHIFT]


def _in_blocks(
    windows: NDArray[np.float32], spectrum: Callable[[NDArray[np.float32]], NDArray[np.float64]]
) -> NDArray[np.float64]:
    starts = range(0, len(windows), _BLOCK_FRAMES)
    return np.concatenate([spectrum(windows[start : start + _BLOCK_FRAMES]) for start in starts])


def _power(frames: NDArray[np.float64], points: int) -> NDArray[np.float64]:
    spectra = np.fft.rfft(frames, points)
    return spectra.real**2 + spectra.imag**2


@cache
def _slaney_filters(bins: int) -> NDArray[np.float64]:
    """Return (201, bins) triangular filters of equal area."""
    from transformers.audio_utils import mel_filter_bank

    return np.asarray(
        mel_filter_bank(
            num_frequency_bins=WINDOW // 2 + 1,
            num_mel_filters=bins,
            min_frequency=0.0,
            max_frequency=SAMPLE_RATE_HZ / 2,
            sampling_rate=SAMPLE_RATE_HZ,
            norm="slaney",
            mel_scale="slaney",
        )
    )


@cache
def _povey_window() -> NDArray[np.float64]:
    return np.hanning(WINDOW) ** 0.85


@cache
def _kaldi_filters() -> NDArray[np.float64]:
    return _mel_filters(BINS, _LOW_HZ, _HIGH_HZ)


@cache
def _yamnet_filters() -> NDArray[np.float64]:
    filters = _mel_filters(_YAMNET_BINS, _YAMNET_LOW_HZ, _YAMNET_HIGH_HZ)
    filters[0] = 0
    return filters


def _mel_filters(bins: int, low_hz: float, high_hz: float) -> NDArray[np.float64]:
    """Return (257, bins) triangular filters of equal width in mel; the narrowest contain no bin of the spectrum."""
    edges = np.linspace(_mel(low_hz), _mel(high_hz), bins + 2)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    hertz = _mel(np.arange(_FFT // 2 + 1) * SAMPLE_RATE_HZ / _FFT)[:, None]
    return np.maximum(0, np.minimum((hertz - left) / (centre - left), (right - hertz) / (right - centre)))


def _mel(frequency_hz: float | NDArray[np.float64]) -> NDArray[np.float64]:
    return 1127.0 * np.log1p(np.asarray(frequency_hz) / 700.0)
