"""Order of the tokens of picture and sound of one span."""

from __future__ import annotations

import math
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# The audio tower makes one token of four mel frames of 10 ms, whatever a configuration says.
AUDIO_TOKENS_PER_SECOND = 25
_GRIDS_PER_CHUNK = 2.0


def interleave(
    grid_thw: tuple[int, int, int], merge: int, seconds_per_grid: float, audio_tokens: int
) -> NDArray[np.bool_]:
    """Interleave video and audio tokens by time, in chunks of two temporal grids.

    Args:
        grid_thw: patches along time, height and width.
        merge: patches per token, along height and along width.
        seconds_per_grid: time between two steps of the grid.
        audio_tokens: of both audio encoders together, so an even number.

    Returns:
        (video tokens + audio tokens,) true where the token is of the sound.
    """
    steps, height, width = grid_thw
    per_step = (height // merge) * (width // merge)
    chunk = _GRIDS_PER_CHUNK * seconds_per_grid * AUDIO_TOKENS_PER_SECOND
    video = _runs([step * seconds_per_grid * AUDIO_TOKENS_PER_SECOND for step in range(steps)], chunk, per_step)
    # Each token of the audio tower is followed by one of BEATs.
    audio = _runs(list(range(audio_tokens // 2)), chunk, 2)
    parts = [
        np.repeat([False, True], [video_count, audio_count])
        for video_count, audio_count in zip_longest(video, audio, fillvalue=0)
    ]
    return np.concatenate(parts)


def _runs(times: Sequence[float], chunk: float, width: int) -> list[int]:
    """Lengths of the runs that fall into each chunk, where every time stands for `width` tokens.

    An entry opens at most one new chunk, also when it lies several chunks ahead: so the release does it.
    """
    counts = [0]
    for time in times:
        border = len(counts) * chunk
        if time >= border or math.isclose(time, border, rel_tol=1e-5):
            counts.append(0)
        counts[-1] += width
    return counts
