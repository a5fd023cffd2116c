"""Order and position ids of the tokens of a sequence.

Position ids have three axes (time, height, width) for the decoder's multimodal rotary embedding. Source: "Qwen2.5-Omni
Technical Report", arXiv:2503.20215, and the WAVE release for audio with video.
"""

from __future__ import annotations

import math
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# The audio tower makes one token from four mel frames of 10 ms, whatever the configuration.
AUDIO_TOKENS_PER_SECOND = 25
_GRIDS_PER_CHUNK = 2.0


def interleave(
    grid_thw: tuple[int, int, int], merge: int, frame_tokens: int, seconds_per_grid: float, audio_tokens: int
) -> NDArray[np.bool_]:
    """Interleave video and audio tokens by time, in chunks of two temporal grids.

    Args:
        grid_thw: patches along time, height and width.
        merge: patches per token, along both height and width.
        frame_tokens: further tokens of each step.
        seconds_per_grid: time between two steps of the grid.
        audio_tokens: number of tokens of both audio encoders together, which is even.

    Returns:
        (video tokens + audio tokens,) true where the token is an audio token.
    """
    steps, height, width = grid_thw
    per_step = frame_tokens + (height // merge) * (width // merge)
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
    """Return the number of tokens in each chunk; each time applies to `width` tokens.

    As in the release, an entry opens at most one new chunk, even if it is several chunks ahead.
    """
    counts = [0]
    for time in times:
        border = len(counts) * chunk
        if time >= border or math.isclose(time, border, rel_tol=1e-5):
            counts.append(0)
        counts[-1] += width
    return counts


def sequential(length: int) -> NDArray[np.int64]:
    """Return positions 0, 1, 2, ... on all axes.

    Returns:
        (3, length)
    """
    return np.tile(np.arange(length, dtype=np.int64), (3, 1))


def grid(
    grid_thw: tuple[int, int, int], merge: int, frame_tokens: int, seconds_per_grid: float, positions_per_second: int
) -> NDArray[np.int64]:
    """Return the positions of the tokens of an image or a video, counted from 0.

    Args:
        grid_thw: patches along time, height and width.
        merge: patches per token, along height and along width.
        frame_tokens: tokens of each step that precede its grid; they are a row of their own at its top.
        seconds_per_grid: time between two steps of the grid; 0 for an image.
        positions_per_second: increase of positions on the time axis per second.

    Returns:
        (3, tokens)
    """
    steps, height, width = grid_thw[0], grid_thw[1] // merge, grid_thw[2] // merge
    cells = np.indices((steps, height, width), dtype=np.int64).reshape(3, steps, -1)
    row = np.zeros((3, steps, frame_tokens), dtype=np.int64)
    row[0], row[2] = np.indices((steps, frame_tokens))
    block = np.concatenate([row, cells], axis=2).reshape(3, -1)
    # Single precision, because the model was trained with positions that were truncated from it.
    block[0] = block[0].astype(np.float32) * np.float32(seconds_per_grid) * np.float32(positions_per_second)
    return block


def around_block(block: NDArray[np.int64], before: int, length: int) -> NDArray[np.int64]:
    """Return the positions of a sequence that contains one image or silent video.

    Args:
        block: positions of the block's tokens, counted from 0.
        before: number of tokens before the block.
        length: of the whole sequence.

    Returns:
        (3, length): text positions increase by one, starting after the block from its largest position.
    """
    start = before + block.shape[1]
    position_ids = sequential(length)
    position_ids[:, before:start] = before + block
    position_ids[:, start:] += before + int(block.max()) + 1 - start
    return position_ids


def audiovisual_aligned(is_audio: NDArray[np.bool_], block: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Return the positions of a sequence that starts with interleaved video and audio, as in WAVE's training.

    Positions of video tokens follow their time; those of audio tokens, of which there are two where the underlying
    model has one, increase by one each. Both start together. The two start tokens share a position, as do the two end
    tokens, immediately after the last run of one kind of token.

    Args:
        is_audio: (media tokens,) whether an interleaved token is audio.
        block: (3, video tokens) positions of the video tokens, counted from 0.
        length: of the whole sequence: 2 start tokens, the media tokens, 2 end tokens, text.

    Returns:
        (3, length)
    """
    media = np.empty((3, len(is_audio)), dtype=np.int64)
    media[:, is_audio] = 1 + np.arange(int(is_audio.sum()))
    media[:, ~is_audio] = 1 + block
    changes = np.flatnonzero(is_audio[1:] != is_audio[:-1])
    last_run = media[:, changes[-1] + 1 if len(changes) else 0 :]
    end = 1 + int(last_run.max())

    position_ids = np.zeros((3, length), dtype=np.int64)
    stop = 2 + len(is_audio)
    position_ids[:, 2:stop] = media
    position_ids[:, stop : stop + 2] = end
    position_ids[:, stop + 2 :] = end + 1 + np.arange(length - stop - 2)
    return position_ids
