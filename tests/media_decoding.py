"""Decoding in tests, and the processes that do it."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.media_samples import chord, wav_bytes
from wave_search.media import DecodedSegment, DecoderPool, MediaInfo, Segmentation, worker_pool
from wave_search.media.worker_process import Worker
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


class KeptDecoders:
    """Real decoders that outlive the pool that started them and serve a later one."""

    def __init__(self) -> None:
        self._idle: defaultdict[int, list[Worker]] = defaultdict(list)
        """By the limit of their memory in bytes."""
        self._starter = ThreadPoolExecutor(1)  # they end with the thread that started them
        self._worker, self._close = Worker, DecoderPool.close

    def close(self) -> None:
        for workers in self._idle.values():
            for worker in workers:
                worker.kill()
        self._starter.shutdown()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Let pools take these, and leave theirs here."""

        def close(pool: DecoderPool) -> None:
            self._keep(pool)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(worker_pool, "Worker", self._take)
            patch.setattr(DecoderPool, "close", close)
            yield

    def _take(self, memory_bytes: int) -> Worker:
        idle = self._idle[memory_bytes]
        while idle:
            worker = idle.pop()
            if worker.alive():
                return worker
        return self._starter.submit(self._worker, memory_bytes).result()

    def _keep(self, pool: DecoderPool) -> None:
        pool.peak_memory_bytes()
        with pool._lock:
            idle, pool._idle = pool._idle, []
            pool._all.difference_update(idle)
        self._idle[pool._worker_bytes] += idle
        self._close(pool)
