"""Token ids as the readable layouts of the golden files, and prompts and padding of given ids."""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from wave_search.models.wave.config import SpecialTokens


def render(ids: np.ndarray, tokens: SpecialTokens) -> str:
    """For example `<|audio_bos|> <|AUDIO|>*50 <|audio_eos|> [5 word ids] <|im_end|>`."""
    names = {
        tokens.pad: "<|endoftext|>",
        tokens.end: "<|im_end|>",
        tokens.audio: "<|AUDIO|>",
        tokens.image: "<|IMAGE|>",
        tokens.video: "<|VIDEO|>",
        tokens.audio_start: "<|audio_bos|>",
        tokens.audio_end: "<|audio_eos|>",
        tokens.vision_start: "<|vision_bos|>",
        tokens.vision_end: "<|vision_eos|>",
    }
    parts = []
    for name, run in groupby(ids.tolist(), key=names.get):
        count = len(list(run))
        if name is None:
            parts.append(f"[{count} word ids]")
        else:
            parts.append(name if count == 1 else f"{name}*{count}")
    return " ".join(parts)


def runs(layout: str) -> list[tuple[str, int]]:
    """Return the runs of special tokens in a readable layout: name and length."""
    found = re.findall(r"<\|(\w+)\|>(?:\*(\d+))?", layout)
    return [(name, int(count or 1)) for name, count in found]


def prompt_ids(ids: np.ndarray, tokens: SpecialTokens) -> list[int]:
    """Return the ids after the media, without the end token: the golden prompts are ids, there was no tokenizer."""
    ends = np.flatnonzero(np.isin(ids, [tokens.audio_end, tokens.vision_end]))
    return ids[ends[-1] + 1 if len(ends) else 0 : -1].tolist()


def unpadded(ids: np.ndarray, pad: int) -> np.ndarray:
    """Remove the padding on the left."""
    return ids[int(np.argmax(ids != pad)) :]


def left_padded(rows: list[np.ndarray], pad: int) -> np.ndarray:
    longest = max(map(len, rows))
    return np.stack([np.pad(row, (longest - len(row), 0), constant_values=pad) for row in rows])
