"""The types of the library as programs see them. `make lint` checks them; nothing runs this.

An expected error is marked with its code: mypy reports a mark that marks nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import assert_type

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

import wave_search as ws


def searches(index: ws.Index, samples: NDArray[np.float32], request: ws.SearchRequest) -> None:
    assert_type(index.search(text="rain"), ws.Hits)
    assert_type(index.search(request), ws.Hits)
    hits = index.search(text=["rain", ws.Not("snow")], target=["audio", "video"], k=3)
    assert_type(hits[0], ws.Hit)
    assert_type(hits[:2], ws.Hits)
    assert_type([hit.path for hit in hits], list[Path])
    assert_type(index.search_many(["rain", request, {"text": "snow", "k": 3}], target="audio"), list[ws.Hits])
    index.search(
        audio=(samples, 16_000), image=Image.new("RGB", (9, 9)), video=ws.Frames(np.zeros((2, 9, 9, 3), np.uint8), 1)
    )
    index.search(similar=Path("a.mp4"), av=b"...", like=hits[0], target=ws.Modality.AUDIO)
    index.search(vector=ws.Weighted([1.0, 2.0], modality="text"), among=hits)
    index.search(text="rain", target="sound")  # type: ignore[arg-type]
    index.search(text="rain", target=["audio", "sound"])  # type: ignore[list-item]
    index.search(request, k=3)  # type: ignore[call-overload]  # one such call: mypy takes seconds for each
    ws.Weighted("rain", modality="words")  # type: ignore[arg-type]


def remote_searches(index: ws.RemoteIndex, request: ws.SearchRequest) -> None:
    assert_type(index.search(request), ws.Hits)
    assert_type(index.search(text="rain", target=("audio",)), ws.Hits)


def reads(index: ws.Index) -> None:
    segments = index.segments("kind = 'audio'", modality=["audio", ws.Modality.VIDEO])
    for segment in segments:
        assert_type(segment.vector, NDArray[np.float32])
    for batch in segments.batches():
        pa.Table.from_batches([batch])
    index.segments(modality="sound")  # type: ignore[arg-type]
    assert_type(index.segment(1), tuple[ws.SegmentDetails, ws.FileDetails])
    assert_type(next(index.files()).status == "damaged", bool)


def encodes(embedder: ws.MediaEmbedder) -> None:
    assert_type(embedder.encode("rain"), NDArray[np.float32])
    assert_type(embedder.encode(["rain", ws.Audio("a.wav"), np.zeros((9, 9))], batch_size=8), NDArray[np.float32])
    assert_type(embedder.encode(["rain"], errors="skip"), ws.Encoded)
    assert_type(ws.similarity([1.0], [[1.0]]), NDArray[np.float32])
    embedder.encode(["rain"], errors="ignore")  # type: ignore[call-overload]
    embedder.ask("a.wav", "What?", ["a", "b"], modality="sound")  # type: ignore[arg-type]


class InObject(ws.Embedder):
    """Its identity depends on an argument."""

    spec: ws.ModelSpec

    def __init__(self, name: str) -> None:
        self.spec = ws.ModelSpec(name, "1", 2, (ws.Modality.TEXT,), ws.Sampling.uniform())

    def embed(
        self, clips: Sequence[ws.Clip], modalities: Sequence[ws.Modality] | None = None, instruction: str | None = None
    ) -> list[dict[ws.Modality, NDArray[np.float32]]]:
        return [{ws.Modality.TEXT: np.ones(2, np.float32)} for _ in clips]


def creates(own: ws.Embedder) -> None:
    assert_type(ws.create("index", embedder=own, modalities=["text", ws.Modality.IMAGE], segment=5), ws.Index)
    assert_type(ws.open(Path("index"), load=ws.LoadOptions(dtype="bfloat16", quantization="8bit")), ws.Index)
    assert_type(ws.load_embedder(embedder=own).spec, ws.ModelSpec)
    ws.load_embedder(embedder=InObject("a"))
    ws.create("index", modalities=["sound"])  # type: ignore[list-item]
    ws.create("index", embedder=ws.LoadOptions())  # type: ignore[arg-type]
    ws.LoadOptions(dtype="float16")  # type: ignore[arg-type]
    ws.LoadOptions(quantization="2bit")  # type: ignore[arg-type]
