from __future__ import annotations

import numpy as np
import pytest

from wave_search.models import LoadOptions, load
from wave_search.models.wave.preprocess import prepare
from wave_search.types import Clip, Frames, Modality, Waveform

CLIP = Clip(
    image=np.zeros((28, 28, 3), np.uint8),
    frames=Frames(np.zeros((2, 28, 56, 3), np.uint8), 1.0),
    waveform=Waveform(np.zeros(16_000, np.float32), 16_000),
)


@pytest.mark.parametrize(
    ("wanted", "made"),
    [
        ({Modality.TEXT}, set()),
        ({Modality.AUDIO}, {"audio"}),
        ({Modality.VIDEO, Modality.TEXT}, {"video"}),
        ({Modality.AV}, {"audio", "video"}),
        (set(Modality), {"audio", "video", "image"}),
    ],
)
def test_nothing_that_is_not_wanted(wanted: set[Modality], made: set[str]) -> None:
    prepared = prepare(load("wave-tiny", LoadOptions(device="cpu")).wave.config, CLIP, wanted)  # type: ignore[attr-defined]
    assert {name for name in ("image", "video", "audio") if getattr(prepared, name) is not None} == made
