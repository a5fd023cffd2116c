"""The whole way, from files to hits, on a system that lacks what only POSIX has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import wave_search
from tests.media_factory import write_sound

# Run by each interpreter when it starts, also those of decoders. It hides what Windows lacks from the package, but not
# from other packages, which are built for this system.
BARE = """
import builtins, errno, fcntl, os, signal, socket, sys, types

LACKING = {
    "os": "O_NOFOLLOW O_NONBLOCK O_DIRECTORY O_NOCTTY O_CLOEXEC SEEK_HOLE pread pwrite sched_getaffinity setpriority "
    "killpg",
    "signal": "SIGHUP SIGPIPE SIGALRM SIGKILL SIGSTOP SIGCONT SIGBUS SIGTRAP setitimer pthread_kill pthread_sigmask",
    "errno": "EREMOTEIO",
    "socket": "AF_UNIX SO_PEERCRED",
    "sys": "platform",
}

class Bare(types.ModuleType):
    def __getattr__(self, name):
        if name in LACKING[self.__name__].split():
            raise AttributeError(name)
        return getattr(real[self.__name__], name)

def locking(descriptor, mode, size_bytes):
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_UN, fcntl.LOCK_EX, fcntl.LOCK_EX | fcntl.LOCK_NB)[mode])
    except BlockingIOError as error:
        raise OSError(errno.EACCES, "Permission denied") from error

def find(name, globals=None, *rest, found=__import__, **named):
    if globals and globals.get("__name__", "").startswith("wave_search"):
        if name == "msvcrt":
            return types.SimpleNamespace(LK_UNLCK=0, LK_LOCK=1, LK_NBLCK=2, locking=locking)
        if name in ("fcntl", "resource"):
            raise ModuleNotFoundError(name)
        if name in bare:
            return bare[name]
    return found(name, globals, *rest, **named)

real = {"os": os, "signal": signal, "errno": errno, "socket": socket, "sys": sys}
bare = {name: Bare(name) for name in real}
vars(bare["sys"])["platform"] = "another"
builtins.__import__ = find
"""
USE = """
import wave_search as ws

class Lengths(ws.Embedder):
    spec = ws.ModelSpec("lengths", "1", 2, ("text", "audio"), ws.Sampling.uniform())

    def embed(self, clips, modalities=None, instruction=None):
        return [{one: [1.0, len(clip.text or "")] for one in modalities if one in clip.modalities} for clip in clips]

with ws.create("index", embedder=Lengths(), workers=1) as index:
    report = index.add(["media"])
    assert (report.indexed, report.skipped) == (2, ()), report
    print(*sorted(hit.path.name for hit in index.search(audio="media/tone.wav", k=9, where="size_bytes > 0")))
    print(index.add(["media"]).unchanged)
"""


def test_a_library_is_indexed_and_searched_without_what_only_posix_has(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(BARE)
    (tmp_path / "media").mkdir()
    write_sound(tmp_path / "media" / "tone.wav")
    (tmp_path / "media" / "notes.txt").write_text("a dog barks")
    result = subprocess.run(
        [sys.executable, "-c", USE],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path / 'site'}:{Path(wave_search.__file__).parents[1]}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout.splitlines()) == (0, ["notes.txt tone.wav", "2"]), result.stderr
