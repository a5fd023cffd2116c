"""Which frames of a video are looked at, and how large: pure arithmetic, as WAVE was evaluated.

The rules are those of WAVE's published evaluation run. They are reproduced to the bit (Python's rounding half to
even, truncation of `linspace`, Pillow's bicubic filter on bytes), because other frames mean other vectors.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wave_search.types import Sampling


def frame_indices(
    frames: int, fps: float, sampling: Sampling, start_s: float | None = None, stop_s: float | None = None
) -> tuple[NDArray[np.int64], float]:
    """Choose the frames that stand for a video, or for a range of it.

    Args:
        frames: number of frames of the whole video.
        fps: average frames per second.
        sampling: interval and maximum.
        start_s: beginning of the range; None is the beginning of the video.
        stop_s: end of the range; None is the end of the video.

    Returns:
        (n,) int64 indices, rising, the first and last frame of the range among them, and the length of the sampled
        range in seconds. No indices and 0.0 seconds if the range lies behind the last frame.
    """
    first, last, duration_s = 0, frames - 1, frames / fps
    if start_s is not None or stop_s is not None:
        begin_s = 0.0 if start_s is None else start_s
        end_s = duration_s if stop_s is None else stop_s
        first, last = round(begin_s * fps), min(round(end_s * fps), frames - 1)
        duration_s = min(end_s, duration_s) - begin_s
    if first > last or duration_s <= 0:
        return np.zeros(0, dtype=np.int64), 0.0
    count = min(max(round(duration_s / sampling.frame_interval_s), 1), sampling.max_frames)
    return np.linspace(first, last, count).astype(np.int64), duration_s


def resized_size(height: int, width: int, multiple: int, min_pixels: int, max_pixels: int) -> tuple[int, int]:
    """Choose the size that a frame is resized to: multiples of `multiple`, area within bounds.

    Args:
        height: of the frame, pixels.
        width: of the frame, pixels.
        multiple: both sides of the result are multiples of it.
        min_pixels: smallest area.
        max_pixels: largest area.

    Returns:
        (height, width). An extremely narrow frame, of which one side would vanish, keeps one `multiple` of that side.
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


def video_size(height: int, width: int, sampling: Sampling) -> tuple[int, int]:
    """Choose the size that the frames of a video are resized to, as `resized_size` does."""
    return resized_size(height, width, sampling.pixel_multiple, sampling.min_pixels, sampling.max_pixels)


def resize_frames(frames: NDArray[np.uint8], sampling: Sampling) -> NDArray[np.uint8]:
    """Resize the frames of a video.

    Args:
        frames: (n, height, width, 3) RGB.
        sampling: bounds of the size.

    Returns:
        (n, new height, new width, 3) RGB.
    """
    size = video_size(frames.shape[1], frames.shape[2], sampling)
    return np.stack([resize_to(frame, size) for frame in frames])


def resize_image(image: NDArray[np.uint8], sampling: Sampling) -> NDArray[np.uint8]:
    """Resize an image; one with a side under `sampling.pixel_multiple` is first centred on black.

    Args:
        image: (height, width, 3) RGB.
        sampling: bounds of the size.

    Returns:
        (new height, new width, 3) RGB.
    """
    image = _centred_on_black(image, sampling.pixel_multiple)
    size = resized_size(
        image.shape[0], image.shape[1], sampling.pixel_multiple, sampling.min_pixels, sampling.max_image_pixels
    )
    return resize_to(image, size)


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
