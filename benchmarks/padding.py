"""Cost of padding: batches of similar length, padded to the longest, compared with packs without padding.

python benchmarks/padding.py
"""

from __future__ import annotations

import random

CLIPS, TEXTS = 32, 400
BUDGETS = (4096, 16_384, 32_768)
_PROMPT_TOKENS = 29
_AUDIO_TOKENS_PER_S, _VIDEO_TOKENS_PER_S = 50, 220


def padded(lengths: list[int], budget: int) -> int:
    """Return the tokens of all batches, each with as many rows as fit the budget at the length of its longest."""
    total, room, longest = 0, 0, 0
    for length in sorted(lengths, reverse=True):
        if room == 0:
            longest, room = length, max(1, budget // length)
        total += longest
        room -= 1
    return total


def clip(duration_s: float) -> list[int]:
    """Return the number of tokens of a clip as audio, as video and as both."""
    heard, seen = int(_AUDIO_TOKENS_PER_S * duration_s), int(duration_s) * _VIDEO_TOKENS_PER_S
    return [heard + _PROMPT_TOKENS, seen + _PROMPT_TOKENS, heard + seen + _PROMPT_TOKENS]


def main() -> None:
    """Print the share of padding for each kind of load and budget."""
    generator = random.Random(0)
    loads = {
        "clips of 10 s": [length for _ in range(CLIPS) for length in clip(10)],
        "clips of 2 to 10 s": [length for _ in range(CLIPS) for length in clip(generator.uniform(2, 10))],
        "texts of 3 to 40 tokens": [generator.randint(3, 40) for _ in range(TEXTS)],
    }
    for load, lengths in loads.items():
        shares = ", ".join(f"{padded(lengths, budget) / sum(lengths) - 1:.0%} at {budget}" for budget in BUDGETS)
        print(f"{load}: {shares}")


if __name__ == "__main__":
    main()
