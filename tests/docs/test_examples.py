"""Every command and every Python example of the documents is run, page by page, and what is shown is compared."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import DEMO_MEDIA
from tests.docs.output import differs
from tests.docs.pages import CHECKOUT, DATA, PAGES, RUN, Block, blocks
from tests.docs.shell import BUILD, PROGRAM, Ran, Shell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REASONS = {
    "installs software",
    "needs a desktop",
    "needs a GPU and a download",
    "needs a service manager",
    "needs data that is not in the repository",
    "needs the whole repository",
    "runs for minutes",
    "waits for another process",
}
"""Why an example may not be run."""

EXAMPLES = [page for page in PAGES if any(block.language in RUN and not block.not_run for block in blocks(page))]


@pytest.fixture(scope="module")
def shell(cli: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A folder with the demo media, which are indexed there once for all pages."""
    home = tmp_path_factory.mktemp("docs")
    shell = Shell(cli.having(HOME=str(home), XDG_CACHE_HOME=str(home / "cache")), home / "work", DEMO_MEDIA)
    shell.begin()
    built = shell.run(" ".join([PROGRAM, *BUILD]))
    assert built.code == 0, built.stderr
    shell.index = home / "index"
    shutil.copytree(shell.folder / ".wave-search", shell.index)
    shell.built = built
    return shell


@pytest.mark.parametrize("page", EXAMPLES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_examples_of_a_page(page: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.begin()
    monkeypatch.chdir(shell.folder)
    names: dict[str, Any] = {"__name__": "example"}
    for block in blocks(page):
        if block.file is not None:
            (shell.folder / block.file).write_text(block.text, encoding="utf-8")
        if block.language not in RUN or block.not_run is not None:
            continue
        if block.language == "console":
            _run_session(block, shell)
        else:
            _run_python(block, names)


def _run_session(block: Block, shell: Shell) -> None:
    session = _session(block)
    for number, (command, shown) in enumerate(session, start=1):
        ran = shell.run(command)
        expected = block.exits if number == len(session) else 0
        assert ran.code == expected, f"{block}: {command}\nended with {ran.code}\n{ran.stdout}{ran.stderr}"
        if shown:
            fault = _fault(shown, ran, shell)
            assert fault is None, f"{block}: {command}\n{fault}"


def _session(block: Block) -> list[tuple[str, str]]:
    """Commands, each with the output that is shown below it."""
    session: list[tuple[str, str]] = []
    continued = False
    for line in block.lines:
        if continued or line.startswith("$ "):
            typed = line.removeprefix("$ ") if not continued else session.pop()[0] + line.strip()
            continued = typed.endswith("\\")
            session.append((typed.removesuffix("\\"), ""))
        else:
            command, shown = session.pop()
            session.append((command, f"{shown}{line}\n"))
    return session


def _fault(shown: str, ran: Ran, shell: Shell) -> str | None:
    """Compare with stdout, with stderr, or with both in either order: a document shows what matters."""
    home = str(shell.folder)
    out, err = (text.replace(home, "/home/me") for text in (ran.stdout, ran.stderr))
    faults = [differs(shown, text) for text in (out, err, err + out, out + err)]
    return None if None in faults else faults[2]


def _run_python(block: Block, names: dict[str, Any]) -> None:
    source = "\n" * (block.line - 1) + block.text
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(source, str(block.page), "exec"), names)  # noqa: S102 - our own documents
    if block.output is not None:
        written = printed.getvalue().replace(os.getcwd(), "/home/me")  # noqa: PTH109
        fault = differs(block.output.text, written)
        assert fault is None, f"{block}\n{fault}"


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
    used = {block.not_run for page in PAGES for block in blocks(page)}
    assert used >= REASONS, f"not needed: {REASONS - used}"
