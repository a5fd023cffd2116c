"""A fork server: runs programs in forked children of one process that has imported the heavy libraries.

A start takes 0.05 CPU seconds instead of 4 to 7. The server has a single thread (`tests/__init__.py` limits OpenMP) and
has called none of the libraries, so that a child is like a fresh interpreter after its imports. Tests start a copy of
`fork_client.py` in place of a program; so does pytest-xdist for its workers.

A second, small process does the same for what `wave_search.processes` starts: decoders, and the process of SQL
conditions. It has imported their libraries only, because their memory is limited.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import io
import marshal
import os
import pkgutil
import runpy
import select
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import types
import warnings
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Self, TextIO

COMMAND = Path(sys.executable).with_name("wave-search")
"""The command as users run it."""
CHECKOUT = str(Path(__file__).resolve().parents[1])
PROGRAMS, WORKERS = "programs", "workers"
"""What is forked; the names of the sockets."""
LIBRARIES = (
    *("torch", "transformers", "faiss", "lance", "pyarrow.dataset", "numpy.ma", "duckdb", "pydantic.type_adapter"),
)
WORKER_LIBRARIES = (
    *("duckdb", "pyarrow", "numpy.ma", "av", "decord", "soundfile", "soxr", "PIL.Image", "tifffile", "langcodes"),
    *("charset_normalizer", "wave_search.media.worker"),
)


class StandIns:
    """The executables that a test starts in place of a program.

    Args:
        folder: of a server.

    Attributes:
        folder: the same.
        command: stands in for the installed command.
        python: stands in for the interpreter, for `python [-u] -c CODE ARGUMENTS`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.command = folder / COMMAND.name
        self.python = folder / "python"


class ForkServer:
    """The two server processes. They import their libraries when they are first asked for a child.

    Attributes:
        folder: where its stand-ins are.
    """

    def __init__(self, package_parent: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fork-server-"))  # short, as names of sockets have to be
        stand_ins = StandIns(self.folder)
        for path in (stand_ins.command, stand_ins.python):
            path.write_text(f"#!{sys.executable} -IS\n" + Path(__file__).with_name("fork_client.py").read_text())
            path.chmod(0o755)
        self._processes = [self._start(package_parent, kind) for kind in (PROGRAMS, WORKERS)]

    def _start(self, package_parent: Path, kind: str) -> subprocess.Popen[bytes]:
        with socket.socket(socket.AF_UNIX) as listener, (self.folder / "log").open("ab") as log:
            listener.bind(str(self.folder / kind))
            listener.listen(64)
            return subprocess.Popen(
                [sys.executable, "-P", __file__, str(listener.fileno()), package_parent, kind],
                pass_fds=[listener.fileno()],
                env={**os.environ, "JE_ARROW_MALLOC_CONF": "background_thread:false"},  # a fork would lose that thread
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def close(self) -> None:
        for process in self._processes:
            process.communicate()  # closes its stdin
        shutil.rmtree(self.folder)


@dataclass(frozen=True)
class Request:
    """The process that a client asks for."""

    arguments: list[bytes]
    environment: dict[bytes, bytes]
    folder: bytes
    client: int
    """Its process."""
    streams: dict[int, int]
    """Number in the child -> number here; missing ones are closed."""

    @classmethod
    def receive(cls, client: socket.socket) -> Self:
        """Read what a client asks for. Raises ConnectionError if it was killed while it asked."""
        size, files, _, _ = socket.recv_fds(client, 4, 4)
        data = client.recv(int.from_bytes(size, "little"), socket.MSG_WAITALL)
        if not data or len(data) < int.from_bytes(size, "little"):
            for file in files:
                os.close(file)
            raise ConnectionError
        *values, streams = marshal.loads(data)  # noqa: S302 - from our own client
        return cls(*values, dict(zip(streams, files, strict=True)))


def load(package_parent: str) -> None:
    """Import the libraries and the package, and leave no thread but this one."""
    see(package_parent)
    sys.path.append(CHECKOUT)
    importlib.import_module("tests.forked_workers")
    sys.path.pop()  # not the same one further ahead, by which the package may be seen
    load_libraries()
    package = importlib.import_module("wave_search")
    for module in pkgutil.walk_packages(package.__path__, "wave_search."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    importlib.import_module("peft")  # by itself it would import torchao and SciPy, which the package defers
    keep_for_forks()


def load_for_workers(package_parent: str) -> None:
    """Import what decoders and conditions need, and leave no thread but this one."""
    see(package_parent)
    for name in WORKER_LIBRARIES:
        importlib.import_module(name)
    keep_for_forks()


def see(package_parent: str) -> None:
    if package_parent not in sys.path:
        sys.path.insert(0, package_parent)


def load_libraries() -> None:
    """Import the libraries."""
    warnings.filterwarnings("ignore", "lance is not fork-safe")  # the server never uses it
    for name in LIBRARIES:
        importlib.import_module(name)


def keep_for_forks() -> None:
    """Wait for the end of all other threads, and keep what this process has from being collected in each child."""
    deadline_s = time.monotonic() + 10
    while len(names := thread_names()) > 1:  # the kernel's part of a thread ends a little later
        if time.monotonic() > deadline_s:
            sys.exit(f"a process with threads cannot be forked: {names}")
    for finalizer in list(weakref.finalize._registry):  # type: ignore[attr-defined]
        finalizer.atexit = False  # torch's deregister its operators one by one
    gc.collect()
    gc.freeze()


def thread_names() -> list[str]:
    """The threads of this process, those of C libraries too."""
    names = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # it has just ended
            names.append((task / "comm").read_text().strip())
    return names


def serve(listener: socket.socket) -> Request:
    """Fork a child for each request; returns in the children alone."""
    children: dict[socket.socket, int] = {}
    selector = selectors.DefaultSelector()
    selector.register(0, selectors.EVENT_READ)
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj == 0:  # stdin is closed: the tests have ended
                os._exit(0)
            elif key.fileobj is listener:
                client = listener.accept()[0]
                try:
                    request = Request.receive(client)
                except ConnectionError:
                    client.close()
                    continue
                process = os.fork()
                if not process:
                    for inherited in (listener, client, *children):
                        inherited.close()
                    return request
                for file in request.streams.values():
                    os.close(file)
                with contextlib.suppress(OSError):  # it was killed: the child follows
                    client.sendall(process.to_bytes(4, "little"))
                children[client] = process
                selector.register(client, selectors.EVENT_READ)
                selector.register(os.pidfd_open(process), selectors.EVENT_READ, client)
            elif key.data is None:  # the client was killed, and its child has to follow
                if key.fileobj in children:
                    selector.unregister(key.fileobj)
                    os.kill(children[key.fileobj], signal.SIGKILL)
            else:  # a child has ended
                client = key.data
                selector.unregister(key.fd)
                os.close(key.fd)
                status = os.waitpid(children.pop(client), 0)[1]
                with contextlib.suppress(BrokenPipeError, KeyError):
                    selector.unregister(client)
                    client.sendall(status.to_bytes(4, "little"))
                client.close()


def take_over(request: Request) -> None:
    """Replace the streams, environment and current folder of this process by those of its client."""
    os.setsid()
    os.getppid = lambda: request.client
    for number in {0, 1, 2} - request.streams.keys():
        os.close(number)
    for number, file in request.streams.items():
        os.dup2(file, number)
        if file != number:
            os.close(file)
    os.environ.clear()
    os.environb.update(request.environment)
    os.chdir(request.folder)
    sys.stdin = sys.__stdin__ = stream(request, 0, sys.stdin)
    sys.stdout = sys.__stdout__ = stream(request, 1, sys.stdout)
    sys.stderr = sys.__stderr__ = stream(request, 2, sys.stderr)


def stream(request: Request, number: int, model: TextIO) -> TextIO | None:
    """Return a standard stream as Python opens it at its start; None if it is closed."""
    if number not in request.streams:
        return None
    file = open(number, "wb" if number else "rb", closefd=False)  # noqa: SIM115
    buffered = number == 1 and not file.isatty()
    return io.TextIOWrapper(file, model.encoding, model.errors, line_buffering=not buffered)


def work(stand_in: str, *arguments: str) -> None:
    """Run the program that the client stands in for."""
    if Path(stand_in).is_absolute():  # not a worker
        workers = sys.modules["tests.forked_workers"]
        workers.start_workers_with(workers.forked_at(Path(stand_in).parent))
    if Path(stand_in).name == COMMAND.name:
        sys.argv = [str(COMMAND), *arguments]
        sys.path.insert(0, str(COMMAND.parent))
        runpy.run_path(str(COMMAND), run_name="__main__")
        return
    options = set(takewhile({"-u", "-P"}.__contains__, arguments))
    program, *rest = arguments[len(options) :]
    if program == "-c":
        code, *rest = rest
        sys.argv = [program, *rest]
        if "-P" not in options:
            sys.path.insert(0, "")
        sys.modules["__main__"] = module = types.ModuleType("__main__")
        exec(compile(code, "<string>", "exec"), vars(module))  # noqa: S102 - as `python -c` does
    else:
        sys.argv = [program, *rest]
        runpy.run_path(program, run_name="__main__")


def exit_code(program: Callable[[], object]) -> int:
    """Run a program and return its exit code; ends like Python, without the slow release of all modules."""
    code: object = None
    try:
        program()
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined] # waits for threads, as the end of Python does
    atexit._run_exitfuncs()
    if not (code is None or isinstance(code, int)):
        print(code, file=sys.stderr)  # noqa: T201
        code = 1
    for file in (sys.stdout, sys.stderr):
        try:
            if file is not None:
                file.flush()
        except OSError:
            code = 120
    return code or 0


def main() -> None:
    number, package_parent, kind = sys.argv[1:]
    listener = socket.socket(fileno=int(number))
    if 0 in select.select([0, listener], [], [])[0]:
        return  # the tests have ended and never asked
    {PROGRAMS: load, WORKERS: load_for_workers}[kind](package_parent)
    request = serve(listener)
    take_over(request)
    os._exit(exit_code(lambda: work(*map(os.fsdecode, request.arguments))) & 0xFF)


if __name__ == "__main__":
    main()
