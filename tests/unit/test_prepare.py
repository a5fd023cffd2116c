from __future__ import annotations

from threading import Event, current_thread, main_thread

import numpy as np
import pytest

from wave_search.models import LoadOptions, load
from wave_search.models.wave.prepare import ahead, prepare
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


@pytest.mark.parametrize("count", [0, 1, 2, 3, 40])
def test_order_is_kept(count: int) -> None:
    assert list(ahead(lambda number: number * number, range(count))) == [number * number for number in range(count)]


def test_only_one_is_computed_before_it_is_wanted() -> None:
    seen: list[int] = []
    results = ahead(seen.append, range(100))
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert len(seen) <= 2


def test_other_threads_work_while_the_caller_does() -> None:
    second = Event()

    def compute(number: int) -> bool:
        if number == 1:
            second.set()
        return current_thread() is main_thread()

    results = ahead(compute, range(2))
    assert next(results) is False
    # Set without the caller asking for it.
    assert second.wait(10)
    assert list(results) == [False]


def test_an_error_reaches_the_caller() -> None:
    def fail(number: int) -> int:
        return 1 // (3 - number)

    with pytest.raises(ZeroDivisionError):
        list(ahead(fail, range(50)))
