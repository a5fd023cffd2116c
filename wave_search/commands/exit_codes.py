"""From what a command returns or raises to an exit code and a sentence on stderr."""

from __future__ import annotations

import functools
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from wave_search.commands.render import text as output
from wave_search.errors import UsageError, WaveSearchError

if TYPE_CHECKING:
    from collections.abc import Callable

    from wave_search.commands.render.terminal import Terminal

DONE, FAILED, USAGE, PARTLY, NO_RESULT = 0, 1, 2, 3, 4
INTERRUPTED = 130
READER_GONE = 141
"""What a shell reports for the left side of `program | head`, as for any program that a signal ends."""


@dataclass(frozen=True, slots=True)
class GlobalOptions:
    """Options before the command."""

    quiet: bool
    traceback: bool


class Context(Protocol):
    """What a command is called with."""

    obj: Any
    """The `GlobalOptions`."""


def terminal_of(ctx: Context, quiet: bool = False) -> Terminal:
    """The streams of this run; `quiet` if that was said behind the command."""
    from wave_search.commands.render.terminal import Terminal

    return Terminal(quiet=ctx.obj.quiet or quiet)


def occupy_closed_streams() -> None:
    """Keep the numbers of closed standard streams from files: libraries would write their messages into them."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it gets the lowest number that is free
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)  # else messages would go to stdout


def reported(command: Callable[..., int]) -> Callable[..., None]:
    """Turn what a command returns or raises into an exit code and a sentence on stderr."""

    @functools.wraps(command)
    def run(ctx: Context, **options: Any) -> None:
        from wave_search.commands.render.terminal import StdoutClosedError

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


def _explain(terminal: Terminal, error: Exception) -> int:
    if isinstance(error, WaveSearchError):
        terminal.error(output.printable(str(error)))
        return USAGE if isinstance(error, UsageError) else FAILED
    if isinstance(error, OSError) and error.filename is not None:
        terminal.error(output.printable(f"{os.fsdecode(error.filename)}: {error.strerror}"))
        return FAILED
    terminal.error(f"unexpected {type(error).__name__}: {output.printable(str(error))}")
    terminal.say("This is a fault in wave-search. Please report it with what `wave-search --traceback ...` prints.")
    return FAILED
