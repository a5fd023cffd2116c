"""Decoding in tests, and the processes that do it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from tests.media_samples import chord, wav_bytes
from wave_search.media import DecodedSegment, DecoderPool, MediaInfo, Segmentation
from wave_search.types import Modality, Span

ALL = tuple(Modality)


def decode(
    decoders: DecoderPool,
    path: Path,
    rule: str = "10",
    span: Span | None = None,
    modalities: tuple[Modality, ...] = ALL,
) -> tuple[MediaInfo, list[DecodedSegment]]:
    info = decoders.identify(path)
    return info, list(decoders.segments(path, info, Segmentation.parse(rule), modalities, span))


def write_wav(path: Path, seconds: float = 1.0, rate_hz: int = 16_000, channels: int = 1) -> Path:
    path.write_bytes(wav_bytes((chord(seconds, rate_hz, channels) * 32767).astype(np.int16), rate_hz))
    return path


def workers() -> set[int]:
    """Child processes of this one that decode."""
    children = set()
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            parent = next(line for line in status.read_text().splitlines() if line.startswith("PPid:")).split()[1]
            command = (status.parent / "cmdline").read_bytes()
        except (OSError, StopIteration):
            continue
        if int(parent) == os.getpid() and b"wave_search.media.worker" in command:
            children.add(int(status.parent.name))
    return children


def arrays(segment: DecodedSegment) -> list[np.ndarray]:
    frames, waveform = segment.clip.frames, segment.clip.waveform
    return [frames.pixels if frames else np.zeros(0), waveform.samples if waveform else np.zeros(0)]
