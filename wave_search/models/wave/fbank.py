"""Kaldi's log-mel filterbank, as BEATs takes it.

Source: the feature extraction of "BEATs: Audio Pre-Training with Acoustic Tokenizers", arXiv:2212.09058.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 128
_SAMPLE_RATE_HZ = 16_000
_WINDOW, _SHIFT, _FFT = 400, 160, 512
_LOW_HZ, _HIGH_HZ = 20.0, 8000.0
_FLOOR = 1.1920929e-07
_MEAN, _STD = 15.41663, 6.55582
# Bounds the memory of the double-precision spectra of a long sound.
_BLOCK_FRAMES = 2048


def kaldi_fbank(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the normalised filterbank.

    Args:
        samples: (samples,) in [-1, 1] at 16 kHz, at least 400.

    Returns:
        (frames, 128), one frame per 10 ms; only full windows of 25 ms count.
    """
    windows = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[::_SHIFT]
    blocks = [_log_mel(windows[at : at + _BLOCK_FRAMES]) for at in range(0, len(windows), _BLOCK_FRAMES)]
    return ((np.concatenate(blocks) - _MEAN) / (2 * _STD)).astype(np.float32)


def _log_mel(windows: NDArray[np.float32]) -> NDArray[np.float64]:
    frames = windows.astype(np.float64) * 32768
    frames -= frames.mean(axis=1, keepdims=True)
    previous = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    spectra = np.fft.rfft((frames - 0.97 * previous) * _povey_window(), _FFT)
    power = spectra.real**2 + spectra.imag**2
    return np.log(np.maximum(power @ _mel_filters(), _FLOOR))


@cache
def _povey_window() -> NDArray[np.float64]:
    return np.hanning(_WINDOW) ** 0.85


@cache
def _mel_filters() -> NDArray[np.float64]:
    """(257, 128) triangles, equally wide in mel; the narrowest hold no bin of the spectrum."""
    edges = np.linspace(_mel(_LOW_HZ), _mel(_HIGH_HZ), BINS + 2)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    bins = _mel(np.arange(_FFT // 2 + 1) * _SAMPLE_RATE_HZ / _FFT)[:, None]
    return np.maximum(0, np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)))


def _mel(frequency_hz: float | NDArray[np.float64]) -> NDArray[np.float64]:
    return 1127.0 * np.log1p(np.asarray(frequency_hz) / 700.0)
