"""Inputs of a library: damaged files, and entries of a file system that are not what they look like."""

from __future__ import annotations

import os
import shutil
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Literal

from tests.hostile.containers import container_damage
from tests.hostile.damage import ANYWHERE
from tests.hostile.originals import Originals
from tests.hostile.texts import damaged_text

Expected = Literal["whole", "named", "free"]
"""What must become of the files of an input: indexed from beginning to end; indexed or named; or anything."""

TEXT_SUFFIXES = {".txt", ".md", ".srt", ".vtt", ".ass"}
NAMES = (
    *(
        b"-leading-dash",
        b"--help",
        b" blanks ",
        b"new\nline",
        b"tab\t",
        b"quote'\"",
        b"$(touch pwned)",
        b"`id`;&|",
        b"%00%2e",
    ),
    *(
        b"glob*[a]?",
        b"latin-\xe9\xff",
        b"\xe2\x80\xaertl",
        b"\x1b[31mred",
        b"file:...x",
        b"concat:a|b",
        b"clip@1-2",
        b"a@1e308-nan",
    ),
    *(
        b"\xf0\x9f\x90\x95" * 60,
        b"e\xcc\x81",
        b"\xc3\xa9",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"CON",
        b"a" * 250,
        b"\\\\server\\share",
        b"...",
    ),
)
TIMES_S = (-2208988800, -(1 << 31), -1, 0, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 10413792000, 15032385535, 1 << 33)
"""From 1900 to 2446, with the ends of common types."""
PLAYLISTS = {
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{url}/a.ts\n",
    "list.mp4": "#EXTM3U\n#EXTINF:10,\n/etc/passwd\n",
    "list.mkv": "ffconcat version 1.0\nfile '{home}/Videos/dog.wav'\n",
    "list.pls": "[playlist]\nFile1={url}/a.mp3\n",
    "list.mpd": "<?xml version='1.0'?><MPD><BaseURL>{url}/</BaseURL></MPD>",
    "list.ts": "v=0\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n",
    "list.svg": "<svg xmlns='http://www.w3.org/2000/svg'><image href='{url}/a.png'/></svg>",
    "list.wav": "http://127.0.0.1/{url}",
    "list.srt": "1\n00:00:01,000 --> 00:00:02,000\n<img src='{url}/a.png'>\n",
}


@dataclass(frozen=True)
class Entry:
    """An input in its place."""

    what: str
    expected: Expected
    mischief: Callable[[], object] | None = None
    """To be done while the library is indexed."""


@dataclass(frozen=True)
class Place:
    """Where an input belongs, and what it is made of."""

    folder: Path
    chance: Random
    originals: Originals
    home: Path
    url: str

    def original(self) -> tuple[str, bytes]:
        name = self.chance.choice(self.originals.names)
        return name, self.originals.read(name)

    def intact(self, name: bytes | None = None) -> Path:
        """Write an intact file, under a name of its own if one is given; the suffix is kept."""
        original, content = self.original()
        path = self.folder / original
        if name is not None:
            suffix = os.fsencode(path.suffix)
            path = self.folder / os.fsdecode(name[: 255 - len(suffix)] + suffix)
        path.write_bytes(content)
        return path


def media(place: Place) -> Entry:
    """A file, intact or damaged in up to three ways."""
    chance = place.chance
    name, intact = place.original()
    kind = chance.choices(("intact", "renamed", "spliced", "damaged"), (5, 4, 8, 83))[0]
    path, content, done = place.folder / name, intact, [kind]
    if kind == "renamed":
        path = path.with_suffix(
            chance.choice(place.originals.names).rpartition(".")[1]
            + chance.choice(place.originals.names).rpartition(".")[2]
        )
    elif kind == "spliced":
        other, end = place.original()
        content = content[: chance.randrange(len(content))] + end[chance.randrange(len(end)) :]
        done.append(other)
    elif kind == "damaged":
        done = []
        for _ in range(chance.choices((1, 2, 3), (60, 30, 10))[0]):
            content, how = damaged(content, path.suffix, chance)
            done.append(how)
    path.write_bytes(content)
    what = f"{name}: {', '.join(done)}"
    if content == intact and path.name == name:
        return Entry(f"{name}: intact", "whole")
    return Entry(what, "named")


def damaged(content: bytes, suffix: str, chance: Random) -> tuple[bytes, str]:
    """Return a content with some damage, and what was done."""
    if not content:
        return content, "empty"
    if suffix in TEXT_SUFFIXES and chance.random() < 0.7:
        return damaged_text(content, chance), "text"
    changed = bytearray(content)
    fitting = container_damage(changed)
    damage = fitting if fitting is not None and chance.random() < 0.5 else chance.choice(ANYWHERE)
    damage(changed, chance)
    return bytes(changed), damage.__name__


def odd_name(place: Place) -> Entry:
    name = place.chance.choice(
        (*NAMES, bytes(place.chance.choices([*range(1, 47), *range(48, 256)], k=20)).lstrip(b"."))
    )
    place.intact(name or b"x")
    return Entry(f"name {name!r}", "whole")


def odd_time(place: Place) -> Entry:
    path, time_s = place.intact(), place.chance.choice(TIMES_S)
    os.utime(path, ns=(time_s * 10**9, time_s * 10**9 + place.chance.choice((0, 1, 999_999_999))))
    return Entry(f"modified at {time_s}", "whole")


def link(place: Place) -> Entry:
    """Links are not followed: loops, nothing, devices, and files and folders elsewhere."""
    targets = (
        "self.mp4",
        "missing.mp4",
        "..",
        ".",
        "/dev/zero",
        "/proc/self/mem",
        "/",
        str(place.home),
        str(place.home / "Videos" / "dog.wav"),
    )
    target = place.chance.choice(targets)
    (place.folder / "self.mp4").symlink_to(target)
    return Entry(f"link to {target}", "free")


def hard_links(place: Place) -> Entry:
    path = place.intact()
    for number in range(3):
        (place.folder / f"{number}{path.suffix}").hardlink_to(path)
    return Entry("hard links", "whole")


def no_file(place: Place) -> Entry:
    """A pipe, socket, device or folder with the name of a medium."""
    path = place.folder / place.chance.choice(("a.wav", "a.mp4", "a.txt", "a.jpg"))
    kind = place.chance.choice(("pipe", "socket", "device", "folder"))
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        here = os.open(place.folder, os.O_RDONLY)
        with socket.socket(socket.AF_UNIX) as server:  # a short name, as names of sockets have to be
            server.bind(f"/proc/self/fd/{here}/{path.name}")
        os.close(here)
    elif kind == "device":
        with suppress(PermissionError):
            os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))
    else:
        path.mkdir()
    return Entry(f"a {kind} named {path.name}", "named" if kind in ("pipe", "socket") else "free")


def sparse(place: Place) -> Entry:
    """Gigabytes of zeros, behind the beginning of a real file or not."""
    size = 1 << 26  # those of many formats are searched for a next frame
    if place.chance.random() < 0.5:
        path = place.intact()
    else:
        path = place.folder / place.chance.choice(("a.mp4", "a.wav", "a.txt", "a.srt", "a.png"))
        path.touch()
        size = place.chance.choice((1 << 28, 1 << 31, (1 << 32) + 1, 1 << 40))
    with suppress(OSError):  # not every file system has files of that size
        os.truncate(path, size)
    return Entry(f"{path.name} of {size} bytes", "named")


def unreadable(place: Place) -> Entry:
    path = place.intact()
    inner = place.folder / "closed"
    inner.mkdir()
    shutil.copy(path, inner)
    (path if place.chance.random() < 0.5 else inner).chmod(0)
    return Entry("may not be read", "free")


def deep(place: Place) -> Entry:
    """Folders in folders, up to the longest path that there is and beyond."""
    name, content = place.original()
    here = os.open(place.folder, os.O_RDONLY)
    for _ in range(place.chance.choice((5, 40, 30 + place.chance.randrange(20)))):
        os.mkdir("d" * 100, dir_fd=here)
        inner = os.open("d" * 100, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    with open(name, "wb", opener=lambda path, flags: os.open(path, flags, dir_fd=here)) as file:
        file.write(content)
    os.close(here)
    return Entry("deep folders", "free")


def empty(place: Place) -> Entry:
    path = place.folder / place.chance.choice(place.originals.names)
    path.write_bytes(bytes(place.chance.choice((0, 1, 4096))))
    return Entry(f"{path.name}: empty", "named")


def playlist(place: Place) -> Entry:
    """Files that name other files and hosts."""
    name = place.chance.choice(list(PLAYLISTS))
    text = PLAYLISTS[name].format(url=place.url, home=place.home)
    (place.folder / name).write_text(text)
    return Entry(name, "free")


def changing(place: Place) -> Entry:
    """A file that is removed, replaced, cut, written to or renamed while it is read."""
    path = place.intact()
    other = place.original()[1]
    changes: dict[str, Callable[[], object]] = {
        "removed": path.unlink,
        "replaced": partial(path.write_bytes, other),
        "cut": partial(os.truncate, path, path.stat().st_size // 2),
        "grown": partial(append, path, other),
        "a pipe": partial(become, path, lambda: os.mkfifo(path)),
        "a folder": partial(become, path, path.mkdir),
        "a link": partial(become, path, lambda: path.symlink_to(place.home / "Videos" / "dog.wav")),
        "without its folder": partial(shutil.rmtree, place.folder, ignore_errors=True),
        "renamed": lambda: path.rename(path.with_stem("renamed")),
    }
    name = place.chance.choice(list(changes))
    return Entry(f"during the run {name}", "free", changes[name])


def append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def become(path: Path, make: Callable[[], object]) -> None:
    path.unlink()
    make()


FILE_SYSTEM = (
    odd_name,
    odd_name,
    odd_time,
    link,
    hard_links,
    no_file,
    sparse,
    unreadable,
    deep,
    empty,
    playlist,
    changing,
    changing,
)


def put(place: Place, family: str) -> Entry:
    """Make an input in its place."""
    place.folder.mkdir()
    make = media if family == "media" else place.chance.choice(FILE_SYSTEM)
    entry = make(place)
    return entry if family == "media" else replace(entry, what=f"{make.__name__}: {entry.what}")
