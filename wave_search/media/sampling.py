"""Sampling policies: the selection of video frames, and the size of frames and images. Pure arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from wave_search.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from wave_search.types import Sampling


class SamplingPolicy(Protocol):
    """A rule that selects frames and sizes. Its parameters are `Sampling.numbers`."""

    def frame_indices(
        self, frames: int, fps: float, start_s: float | None = None, stop_s: float | None = None
    ) -> tuple[NDArray[np.int64], float]:
        """Select the frames that represent a video, or a range of it.

        Args:
            frames: number of frames of the whole video.
            fps: average frames per second.
            start_s: beginning of the range; None for the beginning of the video.
            stop_s: end of the range; None for the end of the video.

        Returns:
            (n,) int64 ascending indices, and the length of the sampled range in seconds. No indices and 0.0 seconds if
            the range begins after the last frame.
        """

    def frame_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the height and width that frames of a video are resized to."""

    def resize_image(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resize an image.

        Args:
            image: (height, width, 3) RGB.

        Returns:
            (new height, new width, 3) RGB.
        """

    def description(self) -> str:
        """Return a description of the policy and its parameters."""


def policy_of(sampling: Sampling) -> SamplingPolicy:
    """Return the implementation of a policy, with its parameters.

    Raises:
        ModelError: this version has no such policy, or the policy has other parameters.
    """
    make = _POLICIES.get(sampling.policy)
    if make is None:
        raise ModelError(
            f"the model samples media with the policy {sampling.policy!r}, which is unknown here",
            f"Known policies: {', '.join(_POLICIES)}. A newer version of wave-search may have it.",
        )
    try:
        return make(**sampling.numbers)
    except TypeError as error:
        raise ModelError(
            f"the sampling policy {sampling.policy!r} does not take the parameters {', '.join(sampling.numbers)}",
            "Use the version of wave-search that the index or the checkpoint was made with.",
        ) from error


@dataclass(frozen=True, slots=True)
class UniformFrames:
    """Frames at even intervals up to a maximum number, resized to an area; the policy "uniform".

    The rules are those of WAVE's published evaluation run. They are reproduced bit by bit (Python's rounding half to
    even, truncation of `linspace`, Pillow's bicubic filter on bytes), because other frames give other vectors.
    """

    frame_interval_s: float
    max_frames: int
    pixel_multiple: int
    """Height and width are multiples of this (patch size x spatial merge of the model)."""
    min_pixels: int
    """Smallest area of a frame or an image, in pixels."""
    max_pixels: int
    """Largest area of a frame, in pixels."""
    max_image_pixels: int
    """Largest area of an image, in pixels."""

    def frame_indices(
        self, frames: int, fps: float, start_s: float | None = None, stop_s: float | None = None
    ) -> tuple[NDArray[np.int64], float]:
        """See `SamplingPolicy.frame_indices`. The first and the last frame of the range are always selected."""
        first, last, duration_s = 0, frames - 1, frames / fps
        if start_s is not None or stop_s is not None:
            begin_s = 0.0 if start_s is None else start_s
            end_s = duration_s if stop_s is None else stop_s
            first, last = round(begin_s * fps), min(round(end_s * fps), frames - 1)
            duration_s = min(end_s, duration_s) - begin_s
        if first > last or duration_s <= 0:
            return np.zeros(0, dtype=np.int64), 0.0
        count = min(max(round(duration_s / self.frame_interval_s), 1), self.max_frames)
        return np.linspace(first, last, count).astype(np.int64), duration_s

    def frame_size(self, height: int, width: int) -> tuple[int, int]:
        """See `resized_size`."""
        return resized_size(height, width, self.pixel_multiple, self.min_pixels, self.max_pixels)

    def resize_image(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """See `SamplingPolicy.resize_image`. An image with a side below `pixel_multiple` is first centred on black."""
        image = _centred_on_black(image, self.pixel_multiple)
        height, width = image.shape[:2]
        size = resized_size(height, width, self.pixel_multiple, self.min_pixels, self.max_image_pixels)
        return resize_to(image, size)

    def description(self) -> str:
        """See `SamplingPolicy.description`."""
        return (
            f"a frame every {self.frame_interval_s:g} s, at most {self.max_frames} a clip and "
            f"{self.max_pixels:,} pixels each"
        )


_POLICIES: dict[str, Callable[..., SamplingPolicy]] = {"uniform": UniformFrames}


def resized_size(height: int, width: int, multiple: int, min_pixels: int, max_pixels: int) -> tuple[int, int]:
    """Return the size to resize a frame to: multiples of `multiple`, with the area within bounds.

    Args:
        height: of the frame, pixels.
        width: of the frame, pixels.
        multiple: both sides of the result are multiples of it.
        min_pixels: smallest area in pixels.
        max_pixels: largest area in pixels.

    Returns:
        (height, width). An extremely narrow frame, one side of which would vanish, keeps one `multiple` on that side.
    """
    new_height, new_width = round(height / multiple) * multiple, round(width / multiple) * multiple
    if new_height * new_width > max_pixels:
        shrink = math.sqrt(height * width / max_pixels)
        new_height = math.floor(height / shrink / multiple) * multiple
        new_width = math.floor(width / shrink / multiple) * multiple
    elif new_height * new_width < min_pixels:
        grow = math.sqrt(min_pixels / (height * width))
        new_height = math.ceil(height * grow / multiple) * multiple
        new_width = math.ceil(width * grow / multiple) * multiple
    longest = max_pixels // multiple // multiple * multiple
    return min(max(new_height, multiple), longest), min(max(new_width, multiple), longest)


def resize_to(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize with Pillow's bicubic filter, on bytes.

    Args:
        pixels: (height, width, 3) RGB.
        size: new height and width.

    Returns:
        (new height, new width, 3) RGB.
    """
    from PIL import Image

    height, width = size
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))


def _centred_on_black(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    if min(height, width) >= side:
        return image
    canvas = np.zeros((max(height, side), max(width, side), 3), dtype=np.uint8)
    top, left = (canvas.shape[0] - height) // 2, (canvas.shape[1] - width) // 2
    canvas[top : top + height, left : left + width] = image
    return canvas
