"""How much the decoder takes at once: as much as is useful, as long as it fits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# By type of device. More at once makes nothing faster: the products are as large as the device can use.
FEWEST_TOKENS = 1024
MOST_TOKENS = {"cpu": 2048, "cuda": 32_768}
FEED_FORWARD_ROWS = {"cpu": 512, "cuda": 4096}
"""Tokens that the widest part of a layer takes at once. It is several times as wide as the rest."""
TOWER_PATCHES = {"cpu": 2048, "cuda": 16_384}
"""Of one clip, in the vision tower."""

_SHARE = 4
"""Of the free memory a fourth; the rest is for what comes beside: the towers, other programs, other threads."""
_ROWS_PER_TOKEN = 12
"""Rows of the hidden width that a token needs at the peak: eight in a layer, and four that wait for their pack."""


def token_budget(free_bytes: int | None, hidden: int, item_bytes: int, device_type: str) -> int:
    """Decide how many tokens a pack has.

    Args:
        free_bytes: memory of the device that is free once the weights are there; None if that is not known.
        hidden: width of the decoder.
        item_bytes: of one number.
        device_type: "cpu" or "cuda".
    """
    most = MOST_TOKENS[device_type]
    if free_bytes is None:
        return most
    fitting = free_bytes // _SHARE // (_ROWS_PER_TOKEN * hidden * item_bytes)
    return max(FEWEST_TOKENS, min(most, fitting))


def free_bytes(device: torch.device) -> int | None:
    """Memory that is free on a device; None if the system does not say."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")), None)
