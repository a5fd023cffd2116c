"""Rounds: a process is killed, and another one looks at what is left."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import faiss  # noqa: F401 - loaded once, for all processes that are forked
import lance  # noqa: F401

from tests.crash.killing import Counter
from tests.crash.library import PARTITIONS, Content, Operation, expected, found, make, optimize
from wave_search.errors import IndexCorruptError, IndexStateError
from wave_search.query.fusion import Query
from wave_search.query.partition import PartitionSearch
from wave_search.store import open_snapshot, verify

# What lance says about forks does not concern a process that has never used it.
warnings.filterwarnings("ignore", "lance is not fork-safe")


def in_child(work: Callable[[], None]) -> int:
    """Begin to work in a process of its own, and return its id. It ends with 0, or with 1 and a traceback."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def ended(process: int) -> int:
    """Wait for a process: its exit code, or minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def must(work: Callable[[], None], what: str) -> None:
    """Work in a process of its own, which must not fail."""
    if ended(in_child(work)) != 0:
        raise AssertionError(what)


def run(directory: Path, operations: Sequence[Operation]) -> None:
    for operation in operations:
        operation.run(directory)


def check(directory: Path, operations: Sequence[Operation]) -> None:
    """What was left is a committed state, and the rest leads to what it should."""
    state = found(open_snapshot(directory))
    whole(directory, state)
    begun = [number for number, o in enumerate(operations) if state in [expected(library) for library in o.states]]
    assert begun, f"not a state that was committed: {sorted(state)}"
    run(directory, operations[begun[0] :])
    final = expected(operations[-1].states[-1])
    whole(directory, final)
    optimize(directory, 0.0)
    whole(directory, final)
    assert verify(directory) == (), "optimize leaves nothing that is of no use"


def whole(directory: Path, content: Content) -> None:
    assert not (problems := [problem for problem in verify(directory) if not problem.orphan]), problems
    snapshot = open_snapshot(directory)
    assert found(snapshot) == content
    for key in PARTITIONS:
        ids = snapshot.partition(key).ids
        search = PartitionSearch(snapshot, key)
        for segment_id, vector in zip(ids[:3], snapshot.vectors(key, ids[:3]), strict=True):
            scores = search.search([Query.of_vectors(vector.astype("float32")[None])], len(ids))[0].ids
            assert segment_id in scores[:2]  # it, or one that is the same
            assert sorted(scores) == sorted(ids)


def watch(directory: Path, operations: Sequence[Operation], writer: int) -> None:
    """Read as long as another process writes: each state that is seen must be one that was committed."""
    allowed = [expected(library) for operation in operations for library in operation.states]
    while Path(f"/proc/{writer}/exe").exists():
        try:
            state = found(open_snapshot(directory))
        except IndexCorruptError:
            raise
        except IndexStateError:
            continue  # without a grace period, `optimize` removes a version while it is read, and that is said
        assert state in allowed


class Rounds:
    """Kills processes, one after another, and checks what each of them leaves.

    Args:
        workplace: a folder for the indexes.
    """

    def __init__(self, workplace: Path) -> None:
        self._workplace = workplace
        self._empty = workplace / "empty"
        must(lambda: make(self._empty), "an index cannot be made")
        self.killed = 0
        self.undisturbed_s = 0.0

    def count_moments(self, operations: Sequence[Operation]) -> int:
        """How many moments there are, before and after each step, in an undisturbed run; which is checked too."""
        note = self._workplace / "moments"

        def count() -> None:
            counter = Counter()
            counter.install()
            run(directory, operations)
            note.write_text(str(counter.count))

        directory = self._made()
        began_s = time.monotonic()
        must(count, "a run that nobody disturbs fails")
        self.undisturbed_s = time.monotonic() - began_s
        self._check(directory, operations, "undisturbed")
        return int(note.read_text())

    def at_moment(self, operations: Sequence[Operation], moment: int) -> None:
        """Kill a run at one of the moments."""

        def work() -> None:
            Counter(moment).install()
            run(directory, operations)

        directory = self._made()
        code = ended(in_child(work))
        assert code == -signal.SIGKILL, f"ended with {code} before moment {moment}"
        self.killed += 1
        self._check(directory, operations, f"moment {moment}")

    def at_random(self, operations: Sequence[Operation], chance: random.Random) -> None:
        """Kill a run after a random time, while another process reads."""
        directory = self._made()
        delay_s = chance.uniform(0, self.undisturbed_s)
        writer = in_child(lambda: run(directory, operations))
        reader = in_child(lambda: watch(directory, operations, writer))
        time.sleep(delay_s)
        os.kill(writer, signal.SIGKILL)
        code = ended(writer)
        assert code in (0, -signal.SIGKILL), f"the writer ended with {code}"
        assert ended(reader) == 0, "a reader saw what it should not"
        # The machine may be slower or faster now. Few runs should end before they are killed, but some.
        self.undisturbed_s *= 0.9 if code == 0 else 1.02
        self.killed += code != 0
        self._check(directory, operations, f"killed after {delay_s:.3f} s")

    def _made(self) -> Path:
        directory = self._workplace / "index"
        shutil.rmtree(directory, ignore_errors=True)
        return Path(shutil.copytree(self._empty, directory))

    def _check(self, directory: Path, operations: Sequence[Operation], how: str) -> None:
        left = self._workplace / "left"
        shutil.rmtree(left, ignore_errors=True)
        shutil.copytree(directory, left)
        must(lambda: check(directory, operations), f"{how}: what was left, in {left}, is not as it should be")
