"""Which frames are chosen, and how they are resized. The golden test has all rows of the specification's tables."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wave_search.media.sampling import frame_indices, resize_frames, resize_image, resized_size
from wave_search.types import Sampling

SAMPLING = Sampling()


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
    indices, _ = frame_indices(frames, fps, SAMPLING, *span)
    assert indices.tolist() == expected


def test_a_range_that_covers_the_video_is_the_video() -> None:
    whole = frame_indices(300, 29.97, SAMPLING)
    ranged = frame_indices(300, 29.97, SAMPLING, 0.0, 10.4)
    assert whole[0].tolist() == ranged[0].tolist()
    assert whole[1] == ranged[1] == 300 / 29.97


def test_a_range_ends_where_the_video_ends() -> None:
    indices, duration_s = frame_indices(50, 10.0, SAMPLING, 3.0, 13.0)
    assert indices.tolist() == [30, 36, 42, 49]
    assert duration_s == 2.0


@pytest.mark.parametrize("start_s", [5.0, 100.0])
def test_behind_the_last_frame_there_is_nothing(start_s: float) -> None:
    indices, duration_s = frame_indices(50, 10.0, SAMPLING, start_s, start_s + 10)
    assert (len(indices), duration_s) == (0, 0.0)


def test_long_videos_are_thinned_out() -> None:
    indices, duration_s = frame_indices(90_000, 25.0, SAMPLING)
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
    assert resized_size(*size, 28, SAMPLING.min_pixels, SAMPLING.max_pixels) == expected


@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_sizes_stay_within_bounds(height: int, width: int) -> None:
    new_height, new_width = resized_size(height, width, 28, SAMPLING.min_pixels, SAMPLING.max_pixels)
    assert new_height % 28 == new_width % 28 == 0
    assert SAMPLING.min_pixels <= new_height * new_width <= SAMPLING.max_pixels


def test_frames_of_the_right_size_are_left_alone() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 56, 84, 3), dtype=np.uint8)
    assert np.array_equal(resize_frames(frames, SAMPLING), frames)


def test_frames_are_resized_one_by_one() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 50, 70, 3), dtype=np.uint8)
    together = resize_frames(frames, SAMPLING)
    assert together.shape == (3, 56, 56, 3)
    assert np.array_equal(together[1:2], resize_frames(frames[1:2], SAMPLING))


def test_tiny_images_are_centred_on_black() -> None:
    resized = resize_image(np.full((28, 5, 3), 200, np.uint8), SAMPLING)
    assert resized.shape == (28, 28, 3)
    assert np.flatnonzero(resized[0, :, 0]).tolist() == [11, 12, 13, 14, 15]


def test_images_may_be_larger_than_frames() -> None:
    assert resize_image(np.zeros((720, 1280, 3), np.uint8), SAMPLING).shape == (728, 1288, 3)
