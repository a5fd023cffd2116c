"""Links, anchors, options, names and messages in the documents are those of the project."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest
from typer.core import TyperGroup
from typer.main import get_command

import wave_search as ws
from tests.docs.pages import CHECKOUT, DOCS, PAGES, anchors, blocks, code_spans, links, prose
from wave_search.cli import application

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from typer.core import TyperCommand

MADE_BY_MKDOCS = {DOCS / "reference" / "cli.md", DOCS / "design" / "measurements.md"}
NOT_OURS = {
    "--counts",
    "--gpus",
    "--repo",
    "--rm",
    "--dist",
    "--families",
    "--icons",
    "--inputs",
    "--logdir",
    "--now",
    "--num_processes",
    "--seed",
    "--parts",
    "--rounds",
    "--steps",
    "--write",
}
"""Options of other programs."""
README_LINES = 150
API = DOCS / "reference" / "api.md"
TROUBLES = DOCS / "troubleshooting.md"
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for path, anchor in links(page):
        target = (page.parent / path).resolve() if path else page
        assert target.exists() or target in MADE_BY_MKDOCS, f"{page}: there is no {path}"
        if anchor:
            assert anchor in anchors(target), f"{page}: {target.name} has no heading #{anchor}"


def test_the_site_has_every_page() -> None:
    listed = set(re.findall(r"[\w/-]+\.md", (CHECKOUT / "mkdocs.yml").read_text(encoding="utf-8")))
    there = {str(page.relative_to(DOCS)) for page in {*DOCS.rglob("*.md"), *MADE_BY_MKDOCS}}
    assert listed == there


def test_documents_named_in_the_sources_exist() -> None:
    sources = [*(CHECKOUT / "wave_search").rglob("*.py"), *(CHECKOUT / "benchmarks").rglob("*.py")]
    named = {name for source in sources for name in re.findall(r"docs/[\w/-]+\.md", source.read_text("utf-8"))}
    assert named
    assert not [name for name in named if not (CHECKOUT / name).exists()]


@each_page
def test_options_exist(page: Path) -> None:
    known = {option for command in _commands(get_command(application())) for option in _options(command)} | NOT_OURS
    text = " ".join([*code_spans(page), *(block.text for block in blocks(page) if "wave-search" in block.text)])
    used = set(re.findall(r"(?<![\w-])--[a-z][a-z_-]+\b(?!-?\.)", text))
    assert not used - known, f"{page}: {sorted(used - known)}"


def _commands(command: TyperCommand | TyperGroup) -> Iterator[TyperCommand | TyperGroup]:
    yield command
    if isinstance(command, TyperGroup):
        for child in command.commands.values():
            yield from _commands(child)


def _options(command: TyperCommand | TyperGroup) -> Iterator[str]:
    yield "--help"
    for parameter in command.params:
        yield from (*parameter.opts, *parameter.secondary_opts)


@each_page
def test_names_of_the_library_exist(page: Path) -> None:
    for span in code_spans(page):
        for name in re.findall(r"\bws\.(\w+)", span):
            assert name in ws.__all__, f"{page}: ws.{name}"


def test_the_reference_has_every_public_name() -> None:
    listed = set(re.findall(r"^::: wave_search\.(\w+)", API.read_text(encoding="utf-8"), re.MULTILINE))
    assert listed == {*ws.__all__} - {"WaveSearchError"}  # it is among the errors


def test_messages_are_those_of_the_program() -> None:
    """Each heading in code is a message, with "..." for what varies."""
    messages = [_pattern(title) for title in re.findall(r"^### `(.+)`$", prose(TROUBLES), re.MULTILINE)]
    assert messages
    texts = list(_texts())
    missing = [message.pattern for message in messages if not any(message.search(text) for text in texts)]
    assert not missing


def _pattern(title: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, title.split("..."))), re.DOTALL)


def _texts() -> Iterator[str]:
    """Yield all texts in the sources, without the values that are inserted in them."""
    for source in (CHECKOUT / "wave_search").rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_the_readme_is_short() -> None:
    assert len((CHECKOUT / "README.md").read_text(encoding="utf-8").splitlines()) <= README_LINES
