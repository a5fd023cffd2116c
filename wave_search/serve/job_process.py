"""The process of a job: a run of `index` beside the server, which hears of it through a socket, as JSON Lines.

It is nice to searches, and detached from the terminal. It ends as at Ctrl-C, with what is complete in the index, if the
server asks for that or has ended.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import threading
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import wave_search as ws
from wave_search import system
from wave_search.alerts import run_alerts
from wave_search.processes import connection_to_parent, main_of, start_python
from wave_search.render.run_log import RunLog

if TYPE_CHECKING:
    import subprocess
    from multiprocessing.connection import Connection
    from pathlib import Path

    from wave_search.models import LoadOptions

CANCEL = b"cancel"
_NICENESS = 10


@dataclass(frozen=True, slots=True)
class IndexRun:
    """A run of `index`."""

    index: Path
    paths: tuple[Path, ...]
    model: str = "auto"
    load: LoadOptions | None = None
    exclude: tuple[str, ...] | None = None
    retry: bool = False
    max_duration_s: float | None = None


def start(run: IndexRun) -> tuple[subprocess.Popen[bytes], Connection]:
    """Start a run in a process of its own. Messages of the connection are the lines of a `RunLog`.

    The thread that calls this has to live as long as the process: its end resumes a paused one.

    Raises:
        OSError: the process cannot be started.
    """
    process, connection = start_python(*main_of(__name__))
    connection.send_bytes(pickle.dumps(run))
    return process, connection


def main(descriptor: int) -> None:
    """Do the run that is read from a socket, and write its log there.

    Args:
        descriptor: of the socket.
    """
    connection = connection_to_parent(descriptor)
    if system.HAS_DEATH_SIGNAL:  # a paused process does not notice the end of the server, so the kernel must wake it
        system.signal_at_death_of_parent(signal.SIGCONT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    system.be_nice(_NICENESS)
    run: IndexRun = pickle.loads(connection.recv_bytes())  # noqa: S301 - from the server

    def write(line: str) -> None:
        with contextlib.suppress(OSError):  # the server has ended: see `_wait_for_cancel`
            connection.send_bytes(line.encode("ascii"))

    log = RunLog(write, every_s=0.0)
    try:
        threading.Thread(target=_wait_for_cancel, args=[connection], daemon=True).start()
        _run(run, log)
    except ws.Interrupted as interrupted:
        log.report(interrupted.report)
    except BaseException as error:
        log.error(error)
    os._exit(0)  # the release of all libraries takes seconds, for which people would wait


def _run(run: IndexRun, log: RunLog) -> None:
    with ws.open(run.index, run.model, load=run.load) as index:
        report = index.add(
            run.paths,
            exclude=run.exclude,
            retry=run.retry,
            max_duration_s=run.max_duration_s,
            progress=log.progress,
            skipped=log.skipped,
        )
        alerts: list[dict[str, Any]] = []
        with contextlib.suppress(KeyboardInterrupt):  # the next run delivers what this one has not
            alerts += map(asdict, run_alerts(index))
        log.report(report, alerts)


def _wait_for_cancel(connection: Connection) -> None:
    """Interrupt the main thread when the server asks for that, or has ended."""
    with contextlib.suppress(EOFError, OSError):
        connection.recv_bytes()
    system.interrupt_main_thread()
