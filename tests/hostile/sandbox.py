"""Work in a child process in front of a decoy home folder, and what it did there that it should not."""

from __future__ import annotations

import ctypes
import faulthandler
import hashlib
import os
import pickle
import resource
import select
import shutil
import signal
import socket
import stat
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from tests import hostile_index
from tests.crash.rounds import in_child
from tests.media_factory import write_sound

MEMORY_BYTES = 8 << 30
"""Limit of a child, for the sake of the machine: what needs more fails."""
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH, _PR_CAPBSET_DROP = 1, 2, 24
_CAPABILITIES_V3 = 0x20080522


@dataclass(frozen=True)
class Ending:
    """How a child ended."""

    result: Any
    """What the work returned; None if it did not."""
    failure: str
    """Why it did not return: a signal, a hang or an exception, each with a traceback; "" if it did."""
    violations: tuple[str, ...]
    """What it did outside of its workplace."""
    peak_bytes: int
    longest_wait_s: float
    """Between two signs of life."""


@dataclass
class Watch:
    """Ends this process if it shows no sign of life. Of a child.

    Args:
        patience_s: how long one may take.
        log: the file for the tracebacks of all threads.
    """

    patience_s: float
    log: int
    longest_s: float = 0.0
    last_s: float = field(default_factory=time.monotonic)

    def beat(self) -> None:
        """Show a sign of life."""
        now_s = time.monotonic()
        self.longest_s, self.last_s = max(self.longest_s, now_s - self.last_s), now_s
        # A thread of C, which notices a process that hangs in C as well.
        faulthandler.dump_traceback_later(self.patience_s, exit=True, file=self.log)

    def stop(self) -> None:
        self.beat()
        faulthandler.cancel_dump_traceback_later()


Work = Callable[[Watch], Any]


class Sandbox:
    """A workplace, a decoy home folder, and a server that nobody should call.

    Args:
        root: an empty folder.
        patience_s: after how long without a sign of life work counts as hanging.
    """

    def __init__(self, root: Path, patience_s: float) -> None:
        self.root = root
        self.home = root / "home"
        self.work = root / "work"
        self._patience_s = patience_s
        make_home(self.home)
        self._home_before = listing(self.home)
        os.environ.update(
            HOME=str(self.home),
            XDG_CACHE_HOME=str(root / "cache"),
            XDG_STATE_HOME=str(root / "state"),
            HF_HOME=str(root / "cache" / "hf"),
            TMPDIR=str(root / "tmp"),
        )
        (root / "tmp").mkdir()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        torch.set_num_threads(1)

    def fresh(self) -> Path:
        """Return an empty folder to work in; the one before is removed, and what was moved out of it."""
        for path in (self.work, *self.root.glob("moved-*")):
            if path.is_dir():
                forget(path)
            else:
                path.unlink(missing_ok=True)
        self.work.mkdir()
        return self.work

    def run(self, work: Work, limits: Mapping[int, int] | None = None, *, as_owner: bool = False) -> Ending:
        """Work in a child, whose current folder is the decoy.

        Args:
            work: what to do; its result must be picklable.
            limits: of resources, besides that of memory (`resource.RLIMIT_...`).
            as_owner: heed permissions of files even as root.
        """
        result, log = self.root / "result", self.root / "log"
        result.unlink(missing_ok=True)
        sys.stdout.flush()
        process = in_child(lambda: self._work(work, result, log, limits or {}, as_owner))
        _, status, usage = os.wait4(process, 0)
        code = os.waitstatus_to_exitcode(status)
        said = "\n".join(line[:400] for line in log.read_text(errors="replace").splitlines()[-80:])
        value: Any = None
        waited_s, failure, violations = 0.0, "", list(self._touched())
        if code == 0 and result.exists():
            value, waited_s, called = pickle.loads(result.read_bytes())  # noqa: S301 - our own
            violations += called
        elif "Timeout (" in said:
            waited_s = self._patience_s
            failure = f"no sign of life for {self._patience_s:g} s\n{said}"
        else:
            how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            failure = f"the run ended with {how}\n{said}"
        return Ending(value, failure, tuple(violations), usage.ru_maxrss * 1024, waited_s)

    def _work(self, work: Work, result: Path, log: Path, limits: Mapping[int, int], as_owner: bool) -> None:
        os.setsid()
        os.chdir(self.home)
        said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(said, stream)
        faulthandler.enable(said)
        calls: list[str] = []
        sys.addaudithook(lambda event, arguments: note_call(calls, event, arguments))
        if as_owner:
            heed_permissions()
        for limit, value in {resource.RLIMIT_DATA: MEMORY_BYTES, **limits}.items():
            resource.setrlimit(limit, (value, resource.getrlimit(limit)[1]))
        watch = Watch(self._patience_s, said)
        watch.beat()
        value = work(watch)
        watch.stop()
        for limit in limits:
            resource.setrlimit(limit, (resource.getrlimit(limit)[1],) * 2)
        result.write_bytes(pickle.dumps((value, watch.longest_s, calls)))

    def accept_home(self) -> None:
        """Take the home folder as it is: what was done there so far was done by the harness."""
        self._home_before = listing(self.home)

    def _touched(self) -> list[str]:
        """What was done to the home folder and the server, which is put right again."""
        violations = []
        now = listing(self.home)
        if now != self._home_before:
            changed = sorted(
                name for name in {*now, *self._home_before} if now.get(name) != self._home_before.get(name)
            )
            violations.append(f"changed outside of the index: {', '.join(map(os.fsdecode, changed[:10]))}")
            forget(self.home)
            make_home(self.home)
            self._home_before = listing(self.home)
        while select.select([self._server], [], [], 0)[0]:
            self._server.accept()[0].close()
            violations.append("called a server")
        return violations


def note_call(calls: list[str], event: str, arguments: tuple[Any, ...]) -> None:
    """Note when Python calls another machine."""
    if event == "socket.getaddrinfo" or (event == "socket.connect" and isinstance(arguments[1], tuple)):
        calls.append(f"called a server: {event} {arguments[-1] if event == 'socket.connect' else arguments[0]}")


def heed_permissions() -> None:
    """Drop the right of root to read and write any file, for this process and those that it starts."""
    if os.geteuid():
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_V3, 0)
    sets = (ctypes.c_uint32 * 6)()
    libc.capget(header, sets)
    for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
        for number in range(3):
            sets[number] &= ~(1 << capability)
    if libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), "capset")


def make_home(home: Path) -> None:
    """A home folder with all that one would not like to lose."""
    hostile_index.make_home(home)
    for folder in ("Videos/2019", "lance/files.lance/data", "shards/audio/1"):
        (home / folder).mkdir(parents=True)
    (home / "lance" / "files.lance" / "data" / "1.lance").write_bytes(bytes(100))
    (home / "shards" / "audio" / "1" / "index.faiss").write_bytes(bytes(100))
    (home / "Videos" / "2019" / "diary.txt").write_text("Dear diary, a dog barked.\n")
    write_sound(home / "Videos" / "dog.wav", 1.0)


def listing(folder: Path) -> dict[bytes, tuple[object, ...]]:
    """All that is below a folder, with everything about it but the times of access and the number of links."""
    found = {}
    for parent, folders, files in os.walk(os.fsencode(folder)):
        for name in (*folders, *files):
            path = os.path.join(parent, name)  # noqa: PTH118
            status = os.lstat(path)
            content: object = None
            if stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:  # noqa: PTH123
                    content = hashlib.file_digest(file, "blake2b").digest()
            elif stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)  # noqa: PTH115
            found[os.path.relpath(path, os.fsencode(folder))] = (
                *(status.st_mode, status.st_ino, status.st_size, status.st_mtime_ns),
                content,
            )
    return found


def forget(folder: Path) -> None:
    """Remove a folder whatever the permissions and depth of what is in it."""
    for parent, folders, _ in os.walk(os.fsencode(folder)):
        for name in folders:
            path = os.path.join(parent, name)  # noqa: PTH118
            with suppress(OSError):  # its name is too long
                if not stat.S_ISLNK(os.lstat(path).st_mode):
                    os.chmod(path, 0o700)  # noqa: PTH101
    shutil.rmtree(os.fsencode(folder))
