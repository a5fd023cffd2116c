"""Every command and Python example of the documents and of the tours is run, and what is shown is compared.

`WRITE_DOCS=1 pytest tests/docs` writes the real output into the pages instead, wherever it differs from what is shown.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import DEMO_MEDIA
from tests.docs.output import differs
from tests.docs.pages import CHECKOUT, DATA, PAGES, RUN, TOURS, Block, blocks
from tests.docs.shell import PROGRAM, Shell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REASONS = {
    "installs software",
    "needs Docker",
    "needs a desktop",
    "needs a GPU and a download",
    "needs a download",
    "needs a program that is not a dependency",
    "needs a running server",
    "needs a service manager",
    "needs data that is not in the repository",
    "runs for minutes",
    "runs until it is stopped",
    "serves until it is interrupted",
}
"""Why an example may not be run."""

NOTE = re.compile(r"^note: .*\n", re.MULTILINE)
PROGRESS = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  .*\n", re.MULTILINE)
"""Lines of a run that takes more than a minute, on a busy machine."""
WRITES = bool(os.environ.get("WRITE_DOCS"))

EXAMPLES = [
    page for page in (*PAGES, *TOURS) if any(block.language in RUN and not block.not_run for block in blocks(page))
]


@dataclass(frozen=True)
class Fault:
    """An output that is not what is shown."""

    where: str
    what: str
    line: int
    """Where the shown output begins, from 1."""
    count: int
    """How many lines of it there are."""
    written: str
    """The real output."""


@pytest.fixture(scope="module")
def shell(cli: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A folder with the demo media, which are indexed there once for all pages."""
    home = tmp_path_factory.mktemp("docs")
    shell = Shell(cli.having(HOME=str(home), XDG_CACHE_HOME=str(home / "cache")), home / "work", DEMO_MEDIA)
    shell.build()
    return shell


@pytest.mark.parametrize("page", EXAMPLES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_examples_of_a_page(page: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.begin()
    monkeypatch.chdir(shell.folder)
    names: dict[str, Any] = {"__name__": "example"}
    faults: list[Fault] = []
    for block in blocks(page):
        if block.file is not None:
            (shell.folder / block.file).write_text(block.text, encoding="utf-8")
        if block.language not in RUN or block.not_run is not None:
            continue
        if block.language == "console":
            faults += _run_session(block, shell)
        else:
            faults += _run_python(block, names)
    if WRITES:
        _write(page, faults)
    else:
        assert not faults, "\n\n".join(f"{fault.where}: {fault.what}" for fault in faults)


def _run_session(block: Block, shell: Shell) -> Iterator[Fault]:
    session = list(_session(block))
    for number, (command, line, shown) in enumerate(session, start=1):
        ran = shell.run(command)
        expected = block.exits if number == len(session) else 0
        assert ran.code == expected, f"{block}: {command}\nended with {ran.code}\n{ran.stdout}{ran.stderr}"
        # A document shows what matters: stdout or stderr, and either with the other before or behind it.
        out, err = (text.replace(str(shell.folder), "/home/me") for text in (ran.stdout, ran.stderr))
        err = PROGRESS.sub("", err)
        brief = NOTE.sub("", err)
        wrong = [differs("\n".join(shown), text) for text in (out, brief, err, err + out, out + brief)]
        if shown and None not in wrong:
            yield Fault(f"{block.page}:{line}", f"{command}\n{wrong[3]}", line, len(shown), out.strip("\n") or brief)


def _session(block: Block) -> Iterator[tuple[str, int, list[str]]]:
    """Commands, each with the output that is shown below it, and the line where that begins."""
    command, shown, line = "", [], 0
    for number, text in enumerate(block.lines, start=block.line):
        if not text.startswith("$ ") and not command.endswith("\\"):
            shown.append(text)
            continue
        if command.endswith("\\"):
            command = command[:-1] + text.strip()
        else:
            if command:
                yield command, line, shown
            command, shown = text.removeprefix("$ "), []
        line = number + 1
    yield command, line, shown


def _run_python(block: Block, names: dict[str, Any]) -> Iterator[Fault]:
    source = "\n" * (block.line - 1) + block.text
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(source, str(block.page), "exec"), names)  # noqa: S102 - our own documents
    if block.output is not None:
        written = printed.getvalue().replace(os.getcwd(), "/home/me")  # noqa: PTH109
        if fault := differs(block.output.text, written):
            yield Fault(str(block), fault, block.output.line, len(block.output.lines), written)


def _write(page: Path, faults: list[Fault]) -> None:
    lines = page.read_text(encoding="utf-8").split("\n")
    for fault in reversed(faults):
        written = [line.rstrip() for line in fault.written.rstrip("\n").split("\n")]
        place = slice(fault.line - 1, fault.line - 1 + fault.count)
        assert "..." not in lines[place], f"{fault.where}: what is left out there is up to you: {fault.what}"
        lines[place] = written
    page.write_text("\n".join(lines), encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_what_is_not_run_has_a_reason(page: Path) -> None:
    for block in blocks(page):
        assert block.language in RUN | DATA, f"{block}: a block of {block.language or 'no language'}"
        assert block.not_run is None or block.not_run in REASONS, f"{block}: {block.not_run}"
        runs = any(line.startswith((f"{PROGRAM} ", "$ ")) for line in block.lines)
        if block.language in DATA and runs:
            assert block.not_run is not None, f"{block}: commands in a block that is not run"
        if block.language == "console":
            assert block.lines[0].startswith("$ "), f"{block}: a session begins with a command"


def test_every_reason_is_needed() -> None:
    assert {block.not_run for page in PAGES for block in blocks(page)} - {None} == REASONS
