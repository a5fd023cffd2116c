"""Surroundings in which an intact library is indexed: a full disk, too few files, killed decoders, lost folders."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import wave_search as ws
from tests.conftest import DEMO_MEDIA
from tests.hostile.indexes import MEDIA, Uses, judgement
from tests.hostile.library import Judgement
from tests.hostile.sandbox import Sandbox, Watch
from wave_search.reports import IndexReport


@dataclass(frozen=True)
class Trouble:
    """What gets in the way of a run.

    Attributes:
        what: for people.
        limits: of resources.
        as_owner: whether permissions count.
        before: done before the run.
        during: done in the run, once the first file is done.
        after: puts everything right again.
    """

    what: str
    limits: dict[int, int]
    as_owner: bool = False
    before: Callable[[], object] = lambda: None
    during: Callable[[], object] = lambda: None
    after: Callable[[], object] = lambda: None


def trouble(folder: Path, chance: Random) -> Trouble:
    index, library = folder / "index", folder / "library"
    size = round(10 ** chance.uniform(1, 6))
    files = chance.randrange(20, 120)
    first = library / Path(MEDIA[0]).name
    return chance.choice(
        (
            Trouble(f"files of at most {size} bytes", {resource.RLIMIT_FSIZE: size}),
            Trouble(f"at most {files} open files", {resource.RLIMIT_NOFILE: files}),
            Trouble(
                "an index that is read-only",
                {},
                as_owner=True,
                before=lambda: set_modes(index, 0o555, 0o444),
                after=lambda: set_modes(index, 0o755, 0o644),
            ),
            Trouble(
                "a file that may not be read",
                {},
                as_owner=True,
                before=lambda: first.chmod(0),
                after=lambda: first.chmod(0o644),
            ),
            Trouble("decoders that are killed", {}, during=kill_children),
            Trouble(
                "an index that is removed",
                {},
                during=lambda: shutil.rmtree(index),
                after=lambda: shutil.rmtree(index, ignore_errors=True),
            ),
            Trouble(
                "a library that goes away",
                {},
                during=lambda: library.rename(folder / "away"),
                after=lambda: (folder / "away").rename(library),
            ),
            Trouble(
                f"a disk of {size} bytes",
                {},
                before=lambda: mount(index, size),
                after=lambda: subprocess.run(["umount", index], check=True) if index.is_mount() else None,
            ),
        )
    )


def mount(folder: Path, size: int) -> None:
    """Put a small disk in the place of a folder, with its content if that fits; nothing if that is not allowed."""
    if shutil.which("mount") is None:
        return
    kept = folder.with_name("kept")
    folder.rename(kept)
    folder.mkdir()
    used = sum(path.stat().st_size + 4096 for path in kept.rglob("*"))
    options = f"size={used + size}"
    command = ["mount", "-t", "tmpfs", "-o", options, "hostile", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        folder.rmdir()
        kept.rename(folder)
    else:
        shutil.copytree(kept, folder, dirs_exist_ok=True)


def set_modes(folder: Path, of_folders: int, of_files: int) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(of_folders if path.is_dir() else of_files)


def kill_children() -> None:
    """Kill the decoders of this process, as a system without memory does."""
    for process in children(os.getpid()):
        os.kill(process, signal.SIGKILL)


def children(parent: int) -> Iterator[int]:
    tasks = Path(f"/proc/{parent}/task").iterdir()
    return (int(number) for task in tasks for number in (task / "children").read_text().split())


@contextmanager
def in_trouble(it: Trouble) -> Iterator[None]:
    it.before()
    try:
        yield
    finally:
        it.after()


def try_surroundings(sandbox: Sandbox, number: int, chance: Random) -> tuple[Judgement, int]:
    """Index in trouble, and once more without it: then all has to be indexed. Return the judgement and peak memory."""
    folder = sandbox.fresh()
    (folder / "library").mkdir()
    for name in MEDIA:
        shutil.copy(DEMO_MEDIA / name, folder / "library")
    it = trouble(folder, chance)

    def create(watch: Watch) -> None:
        ws.create(folder / "index", "wave-tiny").close()

    def run(watch: Watch) -> tuple[str, list[str]]:
        uses, during = Uses(watch), [it.during]

        def follow(progress: ws.Progress) -> None:
            watch.beat()
            if progress.files_done and during:
                during.pop()()

        def add() -> IndexReport:
            with ws.open(folder / "index") as index:
                return index.add([folder / "library"], progress=follow)

        report = uses.use("add", add)
        if report is not None:
            uses.refused += [skipped.cause for skipped in report.skipped]
        return uses.outcome, uses.violations

    def again(watch: Watch) -> list[str]:
        if not ws.exists(folder / "index"):
            ws.create(folder / "index", "wave-tiny").close()
        with ws.open(folder / "index") as index:
            report = index.add([folder / "library"], progress=lambda _: watch.beat())
            left = [f"still refused once the trouble is over: {s.path.name}: {s.cause}" for s in report.skipped]
            if index.info().files != len(MEDIA):
                left.append(f"{index.info().files} of {len(MEDIA)} files are indexed once the trouble is over")
        return left + [f"verify: {problem}" for problem in ws.verify(folder / "index") if not problem.orphan]

    made = sandbox.run(create)
    with in_trouble(it):
        first = sandbox.run(run, it.limits, as_owner=it.as_owner)
        if (folder / "index").is_mount():
            shutil.copytree(folder / "index", folder / "saved")
    if (folder / "saved").exists():
        shutil.rmtree(folder / "index")
        (folder / "saved").rename(folder / "index")
        shutil.rmtree(folder / "kept")
    second = sandbox.run(again)
    outcome, violations = first.result or ("ended early", [first.failure])
    found = [*violations, *(second.result or [second.failure]), *made.violations, *first.violations, *second.violations]
    what = f"surroundings, {it.what}"
    return judgement(number, what, (outcome, [v for v in found if v]), "", ()), max(first.peak_bytes, second.peak_bytes)
