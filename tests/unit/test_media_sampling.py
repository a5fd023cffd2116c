"""Which frames are chosen, and how they are resized. The golden test has all rows of the specification's tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wave_search.errors import ModelError
from wave_search.media import DecoderPool
from wave_search.media.sampling import policy_of
from wave_search.models.wave.clips import SAMPLING

POLICY = policy_of(SAMPLING)


@pytest.mark.parametrize(
    ("frames", "fps", "span", "expected"),
    [
        (1, 25.0, (None, None), [0]),
        (12, 25.0, (None, None), [0]),
        (8, 2.0, (None, None), [0, 1, 2, 3, 4, 5, 6, 7]),
        (250, 25.0, (1.0, 3.0), [25, 41, 58, 75]),
        (300, 29.97, (1.0, 3.0), [30, 50, 70, 90]),
        # 1.25 s and 1.75 s / 0.5 s = 2.5 and 3.5 frames: halves go to the even neighbour.
        (125, 100.0, (None, None), [0, 124]),
        (175, 100.0, (None, None), [0, 58, 116, 174]),
    ],
)
def test_indices_of_the_specification(
    frames: int, fps: float, span: tuple[float | None, float | None], expected: list[int]
) -> None:
    indices, _ = POLICY.frame_indices(frames, fps, *span)
    assert indices.tolist() == expected


def test_a_range_that_covers_the_video_is_the_video() -> None:
    whole = POLICY.frame_indices(300, 29.97)
    ranged = POLICY.frame_indices(300, 29.97, 0.0, 10.4)
    assert whole[0].tolist() == ranged[0].tolist()
    assert whole[1] == ranged[1] == 300 / 29.97


def test_a_range_ends_where_the_video_ends() -> None:
    indices, duration_s = POLICY.frame_indices(50, 10.0, 3.0, 13.0)
    assert indices.tolist() == [30, 36, 42, 49]
    assert duration_s == 2.0


@pytest.mark.parametrize("start_s", [5.0, 100.0])
def test_behind_the_last_frame_there_is_nothing(start_s: float) -> None:
    indices, duration_s = POLICY.frame_indices(50, 10.0, start_s, start_s + 10)
    assert (len(indices), duration_s) == (0, 0.0)


def test_long_videos_are_thinned_out() -> None:
    indices, duration_s = POLICY.frame_indices(90_000, 25.0)
    assert (len(indices), indices[0], indices[-1], duration_s) == (128, 0, 89_999, 3600.0)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((480, 640), (336, 476)),
        ((720, 1280), (308, 560)),
        ((42, 70), (56, 56)),  # 1.5 and 2.5 multiples: halves go to the even neighbour
        ((16, 16), (28, 28)),
        ((16, 3840), (28, 3836)),
        ((2, 100_000), (28, 6272)),
        ((16, 7000), (28, 6300)),  # shrunk to the largest area, one side would vanish
        ((7000, 16), (6300, 28)),
    ],
)
def test_sizes(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert POLICY.frame_size(*size) == expected


@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_sizes_stay_within_bounds(height: int, width: int) -> None:
    new_height, new_width = POLICY.frame_size(height, width)
    assert new_height % 28 == new_width % 28 == 0
    assert SAMPLING.numbers["min_pixels"] <= new_height * new_width <= SAMPLING.numbers["max_pixels"]


def test_a_size_within_the_bounds_is_kept() -> None:
    assert POLICY.frame_size(56, 84) == (56, 84)
    pixels = np.random.default_rng(0).integers(0, 256, (56, 84, 3), dtype=np.uint8)
    assert np.array_equal(POLICY.resize_image(pixels), pixels)


def test_an_unknown_policy_is_an_error() -> None:
    with pytest.raises(ModelError, match="the policy 'square', which is unknown here"):
        policy_of(replace(SAMPLING, policy="square"))
    with pytest.raises(ModelError, match="'uniform' does not take the parameters side"):
        policy_of(replace(SAMPLING, numbers={"side": 224}))
    with pytest.raises(ModelError, match="'square'"):
        DecoderPool(1, replace(SAMPLING, policy="square"))


def test_tiny_images_are_centred_on_black() -> None:
    resized = POLICY.resize_image(np.full((28, 5, 3), 200, np.uint8))
    assert resized.shape == (28, 28, 3)
    assert np.flatnonzero(resized[0, :, 0]).tolist() == [11, 12, 13, 14, 15]


def test_images_may_be_larger_than_frames() -> None:
    assert POLICY.resize_image(np.zeros((720, 1280, 3), np.uint8)).shape == (728, 1288, 3)
