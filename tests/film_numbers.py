"""What transformers makes of films, as numbers: `python -m tests.film_numbers` records them, and needs torchvision.

The tests compare what is made without torchvision.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

RECORDED = Path(__file__).parent / "data" / "film_numbers.json"
OPTIONS: dict[str, dict[str, Any]] = {
    "EmbeddingGemma2VideoProcessor": {"max_soft_tokens": 70, "do_normalize": False},
    "Qwen2VLVideoProcessor": {"min_pixels": 64 * 28 * 28, "max_pixels": 96 * 28 * 28},
}
"""Class -> options with which it is made."""
_SHAPES = ((3, 90, 124), (1, 700, 500), (1, 36, 900))
"""Frames, height and width: some become larger, others smaller, one is far from square."""
_VALUES = 150


def numbers(processor: Any) -> dict[str, Any]:
    """Return what a processor makes of noise, of which nothing is lost on resizing without being noticed."""
    films = [
        np.random.default_rng(number).integers(0, 256, (*shape, 3), np.uint8) for number, shape in enumerate(_SHAPES)
    ]
    made = processor(films, do_sample_frames=False, input_data_format="channels_last", return_tensors="pt")
    return {name: _sampled(np.asarray(made[name], np.float64)) for name in sorted(made) if name != "video_metadata"}


def _sampled(array: np.ndarray) -> dict[str, Any]:
    places = np.unique(np.linspace(0, array.size - 1, _VALUES).astype(int))
    return {"shape": [*array.shape], "mean": array.mean(), "values": [*map(float, array.ravel()[places].round(6))]}


if __name__ == "__main__":
    from transformers.models.embedding_gemma2.video_processing_embedding_gemma2 import EmbeddingGemma2VideoProcessor
    from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

    made = {
        each.__name__: numbers(each(**OPTIONS[each.__name__]))
        for each in (EmbeddingGemma2VideoProcessor, Qwen2VLVideoProcessor)
    }
    RECORDED.write_text(f"{json.dumps(made)}\n")
