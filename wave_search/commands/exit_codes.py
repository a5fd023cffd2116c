"""Exit codes, and the conversion of what a command returns or raises into one and a message on stderr."""

from __future__ import annotations

import functools
import os
import shlex
import signal
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from wave_search.commands.render.text import printable
from wave_search.errors import ModelDownloadError, UsageError, WaveSearchError

if TYPE_CHECKING:
    from collections.abc import Callable

    from wave_search.commands.render.terminal import Terminal

DONE, FAILED, USAGE, PARTLY, NO_RESULT = 0, 1, 2, 3, 4
INTERRUPTED = 130
READER_GONE = 141
"""128 + SIGPIPE: what a shell reports for the left side of `program | head`."""


@dataclass(frozen=True, slots=True)
class GlobalOptions:
    """Options given before the command."""

    quiet: bool
    traceback: bool


class Context(Protocol):
    """The context that typer passes to a command."""

    obj: Any
    """The `GlobalOptions`."""


def terminal_of(ctx: Context, quiet: bool = False) -> Terminal:
    """Return the output streams of this run; `quiet` is the option of the command itself."""
    from wave_search.commands.render.terminal import Terminal

    return Terminal(quiet=ctx.obj.quiet or quiet)


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
        from wave_search.commands.render.terminal import StdoutClosedError

        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # see wave_search.__main__
            signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            code = command(ctx, **options)
        except StdoutClosedError:
            code = READER_GONE
        except KeyboardInterrupt:
            terminal_of(ctx).error("interrupted")
            code = INTERRUPTED
        except Exception as error:
            if ctx.obj.traceback:
                raise
            code = _explain(terminal_of(ctx), error)
        sys.exit(code)

    return run


def _command_with(*options: str) -> str:
    """Return the command that was run with further options."""
    given = sys.argv[1:]
    end = given.index("--") if "--" in given else len(given)
    return shlex.join(["wave-search", *given[:end], *options, *given[end:]])


def _explain(terminal: Terminal, error: Exception) -> int:
    if isinstance(error, ModelDownloadError):
        command = _command_with("--model", error.name)
        terminal.error(printable(f"{error.message}. If you trust the origin of the index, run: {command}"))
        return FAILED
    if isinstance(error, WaveSearchError):
        terminal.error(printable(str(error)))
        return USAGE if isinstance(error, UsageError) else FAILED
    if isinstance(error, OSError) and error.filename is not None:
        terminal.error(printable(f"{os.fsdecode(error.filename)}: {error.strerror}"))
        return FAILED
    terminal.error(f"unexpected {type(error).__name__}: {printable(str(error))}")
    terminal.message("This is a bug in wave-search. Please report it with the output of `wave-search --traceback ...`.")
    return FAILED
