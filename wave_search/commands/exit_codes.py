"""Exit codes, and the conversion of what a command returns or raises into one and a message on stderr."""

from __future__ import annotations

import functools
import os
import shlex
import signal
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from wave_search.commands import DEFAULT_INDEX, INDEX_VARIABLE
from wave_search.errors import ModelDownloadError, UsageError, WaveSearchError
from wave_search.system import constants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from wave_search.render.terminal import Terminal

DONE, FAILED, USAGE, PARTLY, NO_RESULT = 0, 1, 2, 3, 4
_HANG_UP = constants(signal, "SIGHUP")
_SIGNALLED = 128
"""Shells add this to the number of the signal that ended a program."""
INTERRUPTED = _SIGNALLED + signal.SIGINT
READER_GONE = _SIGNALLED + 13  # SIGPIPE, which Windows does not have
"""What a shell reports for the left side of `program | head`."""


@dataclass(frozen=True, slots=True)
class GlobalOptions:
    """Options given before the command."""

    quiet: bool
    traceback: bool
    folder: str = ""
    """That relative names of a query start from, if it comes from another process; "" for the current one."""


class Context(Protocol):
    """The context that typer passes to a command."""

    obj: Any
    """The `GlobalOptions`."""
    params: Any
    """The options of the command by name."""


def terminal_of(ctx: Context, quiet: bool = False) -> Terminal:
    """Return the output streams of this run; `quiet` is the option of the command itself."""
    from wave_search.render.terminal import Terminal

    index = ctx.params.get("index")
    is_default = index is None or os.fspath(index) == (os.environ.get(INDEX_VARIABLE) or DEFAULT_INDEX)
    return Terminal(quiet=ctx.obj.quiet or quiet, index=None if is_default else index)


def occupy_closed_streams() -> None:
    """Open /dev/null in place of closed standard streams: a file that gets their number would receive messages."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)  # otherwise messages would go to stdout


def reported(command: Callable[..., int]) -> Callable[..., None]:
    """Decorate a command: exit with its return value, or report what it raises on stderr."""

    @functools.wraps(command)
    def run(ctx: Context, **options: Any) -> None:
        def prepared() -> int:
            if "index" in options:
                from wave_search.store.tables import import_pyarrow_alone

                import_pyarrow_alone()
            return command(ctx, **options)

        sys.exit(exit_code(ctx, prepared))

    return run


def exit_code(ctx: Context, command: Callable[[], int]) -> int:
    """Run a command, and return its exit code, or that of what it raises, which is reported on stderr."""
    from wave_search.render.terminal import StdoutClosedError

    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # see wave_search.__main__
        signal.signal(signal.SIGINT, signal.default_int_handler)
    with _ending_like_ctrl_c() as ended_by:
        try:
            code = command()
        except StdoutClosedError:
            code = READER_GONE
        except KeyboardInterrupt:
            terminal_of(ctx).error("interrupted")
            code = INTERRUPTED
        except Exception as error:
            if ctx.obj.traceback:
                import traceback

                terminal_of(ctx).traceback(traceback.format_exc().rstrip())
                code = FAILED
            else:
                code = _explain(terminal_of(ctx), error)
    if ended_by and code == INTERRUPTED:
        code = _SIGNALLED + ended_by[0]
    return code


@contextmanager
def _ending_like_ctrl_c() -> Iterator[list[int]]:
    """Let SIGTERM and SIGHUP do what Ctrl-C does at that moment, once; yields the signal that came, if any."""
    ended_by: list[int] = []
    terminals = [descriptor for descriptor in (1, 2) if os.isatty(descriptor)]  # false for one that is gone

    def end(number: int, frame: FrameType | None) -> None:
        if ended_by:  # a closed terminal is reported by the kernel and again by the shell
            return
        ended_by.append(number)
        if number in _HANG_UP:
            for descriptor in terminals:  # writing there would be an error
                os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
        ctrl_c = signal.getsignal(signal.SIGINT)
        (ctrl_c if callable(ctrl_c) else signal.default_int_handler)(number, frame)

    # What is ignored stays so, as under nohup.
    taken = [number for number in (signal.SIGTERM, *_HANG_UP) if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, end)
    try:
        yield ended_by
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _command_with(*options: str) -> str:
    """Return the command that was run with further options."""
    given = sys.argv[1:]
    end = given.index("--") if "--" in given else len(given)
    return shlex.join(["wave-search", *given[:end], *options, *given[end:]])


def _explain(terminal: Terminal, error: Exception) -> int:
    if isinstance(error, ModelDownloadError):
        command = _command_with("--model", error.name)
        terminal.error(f"{error.message}. If you trust the origin of the index, run: {command}")
        return FAILED
    if isinstance(error, WaveSearchError):
        terminal.error(str(error))
        return USAGE if isinstance(error, UsageError) else FAILED
    if isinstance(error, OSError) and error.filename is not None:
        terminal.error(f"{os.fsdecode(error.filename)}: {error.strerror}")
        return FAILED
    terminal.error(f"unexpected {type(error).__name__}: {error}")
    terminal.message("This is a bug in wave-search. Please report it with the output of `wave-search --traceback ...`.")
    return FAILED
