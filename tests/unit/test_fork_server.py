"""A stand-in behaves like the program, except for the time that its start takes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fork_server import StandIns
from tests.forked_workers import forked_at
from tests.terminal import Session
from wave_search.processes import start_python


@pytest.fixture(autouse=True)
def buffered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)


def run(program: Path | str, code: str, *arguments: str, **options: object) -> tuple[int, str, str]:
    options = {"capture_output": True, "encoding": "utf-8", "errors": "surrogateescape", **options}
    done = subprocess.run([program, "-c", code, *arguments], check=False, **options)  # type: ignore[call-overload]
    return done.returncode, done.stdout, done.stderr.splitlines()[-1] if done.stderr else ""


STATE = """
import os, sys
print(sys.argv, os.getcwd(), os.environ.get("WORD"), sys.stdin.read(), sys.path[0], __name__)
print(sys.stdin.encoding, sys.stdout.errors, sys.stdout.line_buffering, sys.stderr.errors, sys.stderr.line_buffering)
print("heard", file=sys.stderr)
"""
CLOSED = "import os, sys; os.write(2, repr([sys.stdin, sys.stdout]).encode())"


@pytest.mark.parametrize(
    "code",
    [
        STATE,
        "raise SystemExit(7)",
        "raise SystemExit('why')",
        "import sys; sys.exit(-1)",
        "1 / 0",
        "import atexit; atexit.register(print, 'last')",
        "import threading; threading.Timer(0.01, print, ['later']).start()",
        "import os; os._exit(5)",
        *(f"import os; os.kill(os.getpid(), {int(number)})" for number in (signal.SIGKILL, signal.SIGTERM)),
    ],
)
def test_a_stand_in_does_what_an_interpreter_does(stand_ins: StandIns, tmp_path: Path, code: str) -> None:
    options = {"cwd": tmp_path, "env": {**os.environ, "WORD": "\udce9"}, "input": "asked"}
    results = [run(program, code, "an argument", "\udcff", **options) for program in (sys.executable, stand_ins.python)]
    assert results[0] == results[1]


@pytest.mark.parametrize("streams", ["<&-", ">&-", "<&- >&-", ">/dev/full"])
def test_closed_streams_are_closed(stand_ins: StandIns, streams: str) -> None:
    results = []
    for program in (sys.executable, stand_ins.python):
        code = "print('lost')" if streams == ">/dev/full" else CLOSED
        done = subprocess.run(
            ["sh", "-c", f'exec "$0" -c "$1" {streams}', program, code], capture_output=True, text=True, check=False
        )
        results.append((done.returncode, done.stdout, done.stderr.count("None")))
    assert results[0] == results[1]


WAIT = """
import os, signal, sys
def interrupt(number, frame):
    os.write(1, b"got %d" % number)
    os._exit(130)
signal.signal(signal.SIGINT, interrupt)
os.write(1, b"on a terminal" if sys.stdin.isatty() and sys.stdout.isatty() else b"elsewhere")
while True:
    signal.pause()
"""


def test_signals_reach_it_on_a_terminal(stand_ins: StandIns) -> None:
    with Session([stand_ins.python, "-c", WAIT], os.environ) as session:
        session.read_until("on a terminal")
        session.signal(signal.SIGINT)
        assert session.read_to_end() == "on a terminalgot 2"
        assert session.wait() == 130


def test_it_ends_with_the_stand_in(stand_ins: StandIns) -> None:
    reading, writing = os.pipe()
    code = "import os, signal; os.write(1, b'here'); signal.pause()"
    with subprocess.Popen([stand_ins.python, "-c", code], stdout=writing) as process:
        os.close(writing)
        assert os.read(reading, 4) == b"here"
        process.kill()
        assert os.read(reading, 4) == b"", "nobody holds the other end any more"
    os.close(reading)


def test_a_child_has_one_thread_and_all_libraries(stand_ins: StandIns) -> None:
    code = (
        "import sys, torch; from wave_search.ann.faiss_setup import one_thread;"
        "print(torch.get_num_threads(), {'torch', 'faiss', 'lance', 'transformers'} <= {*sys.modules})"
    )
    assert run(stand_ins.python, code) == (0, "1 True\n", "")


WORKER = """
import os, sys
from multiprocessing.connection import Connection
connection = Connection(int(sys.argv[1]))
streams = [os.readlink(f"/proc/self/fd/{number}") for number in range(3)]
connection.send((sys.argv[2:], os.getppid(), os.getsid(0) == os.getpid(), streams, os.environ["WORD"], os.getcwd()))
sys.exit(connection.recv())
"""


def test_a_forked_worker_is_like_a_started_one(
    stand_ins: StandIns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORD", "\udce9")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "script.py").write_text(WORKER)
    for program in (["-c", WORKER], [str(tmp_path / "script.py")]):
        states = []
        for start in (start_python, forked_at(stand_ins.folder)):
            process, connection = start(program, ["an argument", "\udcff"])
            states.append(connection.recv())
            assert process.poll() is None
            connection.send(7)
            assert (process.wait(60), process.poll()) == (7, 7)
            connection.close()
        assert states[0] == states[1]


def test_a_forked_worker_can_be_killed_and_ends_with_its_client(
    stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORD", "needed")
    start = forked_at(stand_ins.folder)
    process, connection = start(["-c", WORKER], [])
    connection.recv()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0)
    process.kill()
    assert process.wait(60) == -signal.SIGKILL
    process.kill()
    process, connection = start(["-c", WORKER], [])
    connection.recv()
    process._server.close()  # as the end of this process does
    with pytest.raises(EOFError):
        connection.recv()
