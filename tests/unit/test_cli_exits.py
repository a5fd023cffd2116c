"""What a command raises becomes an exit code and a sentence, never a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from tests.terminal import Session
from wave_search.commands.exit_codes import GlobalOptions, reported
from wave_search.errors import BrokenMediaError, IndexNotFoundError, UsageError
from wave_search.render.terminal import StdoutClosedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def outcome(raised: BaseException | int, *, quiet: bool = False, traceback: bool = False) -> int:
    """The exit code of a command that returns or raises this."""

    def command() -> int:
        if isinstance(raised, int):
            return raised
        raise raised

    return ended(command, quiet=quiet, traceback=traceback)


def ended(what: Callable[[], int], *, quiet: bool = False, traceback: bool = False) -> int:
    """The exit code of a command that does this."""

    @reported
    def command(ctx: object) -> int:
        return what()

    with pytest.raises(SystemExit) as exit_:
        command(SimpleNamespace(obj=GlobalOptions(quiet=quiet, traceback=traceback), params={}))
    code = exit_.value.code
    assert isinstance(code, int)
    return code


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (0, 0, ""),
        (3, 3, ""),
        (StdoutClosedError(), 141, ""),
        (KeyboardInterrupt(), 130, "error: interrupted\n"),
        (UsageError("k is 0", "Take 1."), 2, "error: k is 0. Take 1.\n"),
        (IndexNotFoundError("no index here"), 1, "error: no index here\n"),
        (BrokenMediaError("a\x1b\n.mp4", "empty", "Copy it."), 1, "error: a\\x1b\\n.mp4: empty. Copy it.\n"),
        (PermissionError(13, "Permission denied", "/root/x"), 1, "error: /root/x: Permission denied\n"),
        (OSError(28, "No space left on device", b"/\xff"), 1, "error: /\\xff: No space left on device\n"),
    ],
)
def test_outcomes(raised: BaseException | int, code: int, said: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert outcome(raised) == code
    assert capfd.readouterr() == ("", said)


def test_a_fault_is_a_sentence_with_what_to_report(capfd: pytest.CaptureFixture[str]) -> None:
    assert outcome(ZeroDivisionError("division by zero")) == 1
    error = capfd.readouterr().err
    assert error.startswith("error: unexpected ZeroDivisionError: division by zero\n")
    assert "--traceback" in error
    assert "Traceback (most recent call last)" not in error


def test_a_fault_can_be_seen_in_full(capfd: pytest.CaptureFixture[str]) -> None:
    assert outcome(ZeroDivisionError("no"), traceback=True) == 1
    error = capfd.readouterr().err
    assert error.startswith("Traceback (most recent call last):\n")
    assert error.endswith("ZeroDivisionError: no\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_to_end_is_like_ctrl_c(number: int, code: int, capfd: pytest.CaptureFixture[str]) -> None:
    def raises_again() -> int:
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            signal.raise_signal(signal.SIGHUP)  # the kernel and the shell both send one
            return 130
        return 0

    assert ended(raises_again) == code
    assert ended(lambda: signal.raise_signal(number) or 0) == code
    assert capfd.readouterr().err == "error: interrupted\n"
    assert signal.getsignal(number) is signal.SIG_DFL


def test_a_signal_to_end_asks_for_what_ctrl_c_asks_for() -> None:
    asked: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: asked.append(number))
    try:
        assert ended(lambda: signal.raise_signal(signal.SIGTERM) or 130) == 143
        assert asked == [signal.SIGTERM]
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # as shells start programs in the background
        assert ended(lambda: signal.raise_signal(signal.SIGTERM) or 0) == 143
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # by nohup
    try:
        assert ended(lambda: signal.raise_signal(signal.SIGHUP) or 0) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


CLOSED_TERMINAL = """
import signal, sys
from pathlib import Path
from types import SimpleNamespace
from wave_search.commands.exit_codes import GlobalOptions, reported, terminal_of

@reported
def command(ctx):
    try:
        print("ready", flush=True)
        signal.pause()
    except KeyboardInterrupt:
        print("stopped", flush=True)
        terminal_of(ctx).error("stopped")
        Path(sys.argv[1]).write_text("done")
        return 130

command(SimpleNamespace(obj=GlobalOptions(quiet=False, traceback=False), params={}))
"""


def test_a_terminal_that_is_gone_is_not_written_to(tmp_path: Path) -> None:
    with Session([sys.executable, "-c", CLOSED_TERMINAL, str(tmp_path / "report")], dict(os.environ)) as session:
        session.read_until("ready")
        session.hang_up()
        assert session.wait() == 129
    assert (tmp_path / "report").read_text() == "done"


def test_quiet_keeps_errors(capfd: pytest.CaptureFixture[str]) -> None:
    assert outcome(UsageError("no"), quiet=True) == 2
    assert capfd.readouterr().err == "error: no\n"


INTERRUPTED_IMPORT = """
import signal, sys

class Finder:
    def find_spec(name, *_):
        if name == "typer":
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Finder)
from wave_search.__main__ import main
main()
"""


def test_ctrl_c_while_the_program_is_loaded_ends_it_without_a_traceback() -> None:
    run = subprocess.run([sys.executable, "-c", INTERRUPTED_IMPORT], check=False, capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (-signal.SIGINT, "", "")


def test_ctrl_c_during_a_command_is_an_exception_again() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        assert outcome(0) == 0
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
