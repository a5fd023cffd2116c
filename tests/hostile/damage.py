"""Damage to any file: bits, blocks, lengths and numbers, wherever they are."""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random

Damage = Callable[[bytearray, Random], None]
"""Changes a content in place. Contents are not empty."""

EXTREMES = (0, 1, 2, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
WIDE_EXTREMES = (*EXTREMES, 1 << 32, (1 << 53) + 1, (1 << 62) - 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
FLOAT_EXTREMES = (0.0, -0.0, -1.0, 1e-300, 1e38, 1e300, float("nan"), float("inf"), float("-inf"))
LARGEST_BYTES = 1 << 20
"""Repeated damage does not make a file larger than this."""


def some(chance: Random, most: int) -> int:
    """A number from 1 to `most`; each order of magnitude is as likely."""
    return min(most, round(most ** chance.random()))


def somewhere(content: bytearray, chance: Random) -> int:
    """A position, often one of the first, where headers are."""
    reach = chance.choice((64, 512, 4096, len(content)))
    return chance.randrange(min(reach, len(content)))


def extent(content: bytearray, chance: Random) -> slice:
    """A block of up to 64 KiB."""
    start = somewhere(content, chance)
    return slice(start, start + some(chance, min(1 << 16, len(content))))


def flip_bits(content: bytearray, chance: Random) -> None:
    for _ in range(some(chance, 200)):
        content[somewhere(content, chance)] ^= 1 << chance.randrange(8)


def truncate(content: bytearray, chance: Random) -> None:
    del content[max(1, chance.choice((somewhere(content, chance), len(content) - some(chance, len(content))))) :]


def behead(content: bytearray, chance: Random) -> None:
    del content[: min(some(chance, len(content)), len(content) - 1)]


def fill(content: bytearray, chance: Random) -> None:
    where = extent(content, chance)
    length = len(content[where])
    content[where] = chance.choice((bytes(length), b"\xff" * length, chance.randbytes(length)))


def remove(content: bytearray, chance: Random) -> None:
    where = extent(content, chance)
    if len(content[where]) < len(content):
        del content[where]


def repeat(content: bytearray, chance: Random) -> None:
    block = content[extent(content, chance)]
    times = min(chance.choice((1, 2, 100, 10_000)), LARGEST_BYTES // len(block))
    place = somewhere(content, chance)
    content[place:place] = block * times


def move(content: bytearray, chance: Random) -> None:
    where = extent(content, chance)
    block = content[where]
    if len(block) < len(content):
        del content[where]
        place = somewhere(content, chance)
        content[place:place] = block


def insert(content: bytearray, chance: Random) -> None:
    place = somewhere(content, chance)
    length = some(chance, 1 << 16)
    content[place:place] = chance.choice((bytes(length), b"\xff" * length, chance.randbytes(length)))


def overwrite(content: bytearray, place: int, data: bytes) -> None:
    """Replace bytes, as far as there are any."""
    data = data[: max(0, len(content) - place)]
    content[place : place + len(data)] = data


def extreme(chance: Random, width: int, order: str) -> bytes:
    """An integer as a field of `width` bytes. `order` is "<" or ">", as for `struct`."""
    value = chance.choice([value for value in WIDE_EXTREMES if value < 1 << 8 * width])
    return value.to_bytes(width, "little" if order == "<" else "big")


def extreme_float(chance: Random, width: int, order: str) -> bytes:
    value = chance.choice(FLOAT_EXTREMES)
    if width == 4 and 1e38 < abs(value) < float("inf"):
        value = 3e38
    return struct.pack(f"{order}{'f' if width == 4 else 'd'}", value)


def set_number(content: bytearray, chance: Random) -> None:
    """Set a field to an extreme value; most fields begin at even offsets."""
    width, order = chance.choice((1, 2, 4, 4, 8)), chance.choice("<>")
    place = somewhere(content, chance)
    if chance.random() < 0.7:
        place -= place % min(width, 4)
    is_float = width >= 4 and chance.random() < 0.1
    overwrite(content, place, (extreme_float if is_float else extreme)(chance, width, order))


def set_number_near(content: bytearray, chance: Random, name: bytes) -> None:
    """Set one of the fields behind a name to an extreme value."""
    places = find_all(content, name)
    if places:
        place = chance.choice(places) + len(name) + 4 * chance.randrange(24)
        overwrite(content, place, extreme(chance, chance.choice((2, 4, 4, 8)), ">"))


def find_all(content: bytes | bytearray, name: bytes, most: int = 1000) -> list[int]:
    """The first places of a name."""
    places, start = [], content.find(name)
    while start >= 0 and len(places) < most:
        places.append(start)
        start = content.find(name, start + 1)
    return places


ANYWHERE: tuple[Damage, ...] = (
    flip_bits,
    flip_bits,
    truncate,
    behead,
    fill,
    remove,
    repeat,
    move,
    insert,
    set_number,
    set_number,
    set_number,
)
