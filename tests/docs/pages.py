"""Pages of Markdown: fenced blocks, headings, links and code spans, with the remarks that only the tests read."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
DOCS = CHECKOUT / "docs"
PAGES = (CHECKOUT / "README.md", CHECKOUT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md")))
TOURS = tuple(sorted((CHECKOUT / "tests" / "tours").glob("*.md")))
"""What people of three professions do in their first hour."""

RUN = {"console", "python"}
"""Languages of blocks that are run."""
DATA = {"csv", "json", "toml", "ini", "text", "sql", "sh"}
"""Languages of blocks that are not."""

_FENCE = re.compile(r"( *)(`{3,})(\w*)(.*)")
_REMARK = re.compile(r"<!-- (not run|file|exits): (.+?) -->")
_HEADING = re.compile(r"#{1,6} (.+?)(?: \{#([\w-]+)\})?")


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    page: Path
    line: int
    """Of its first line, from 1."""
    language: str
    lines: tuple[str, ...]
    not_run: str | None = None
    """Why it is not run."""
    file: str | None = None
    """The name under which the examples find it."""
    exits: int = 0
    """The exit code of its last command."""
    output: Block | None = None
    """Of Python: a text block that follows at once, which is what it prints."""

    @property
    def text(self) -> str:
        """Its content."""
        return "".join(f"{line}\n" for line in self.lines)

    def __str__(self) -> str:
        return f"{self.page.relative_to(CHECKOUT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """List the fenced blocks of a page. A remark in a comment belongs to the block below it."""
    found: list[Block] = []
    remarks: dict[str, str] = {}
    lines = iter(enumerate(page.read_text(encoding="utf-8").split("\n"), start=1))
    separated = True
    for number, line in lines:
        if remark := _REMARK.fullmatch(line.strip()):
            assert remark[1] not in remarks, f"{page}:{number}: two remarks of one kind"
            remarks[remark[1]] = remark[2]
        elif fence := _FENCE.fullmatch(line):
            indent, ticks, language, _ = fence.groups()
            inside = []
            for _, content in lines:
                if content.strip() == ticks:
                    break
                inside.append(content.removeprefix(indent))
            else:
                raise AssertionError(f"{page}:{number}: the block does not end")
            exits = int(remarks.get("exits", 0))
            block = Block(page, number + 1, language, tuple(inside), remarks.get("not run"), remarks.get("file"), exits)
            if language == "text" and not separated and not remarks and found and found[-1].language == "python":
                found[-1] = replace(found[-1], output=block)
            found.append(block)
            remarks, separated = {}, False
        elif line.strip():
            assert not remarks, f"{page}:{number}: the remark above belongs to no block"
            separated = True
    return found


def prose(page: Path) -> str:
    """Return a page without its fenced blocks; lines keep their numbers."""
    kept, ticks = [], ""
    for line in page.read_text(encoding="utf-8").split("\n"):
        fence = _FENCE.fullmatch(line)
        if ticks:
            ticks = "" if line.strip() == ticks else ticks
            kept.append("")
        elif fence:
            ticks = fence[2]
            kept.append("")
        else:
            kept.append(line)
    return "\n".join(kept)


def code_spans(page: Path) -> list[str]:
    """List what stands between single backticks, outside of blocks."""
    return re.findall(r"(?<!`)`([^`]+)`(?!`)", prose(page).replace("\n", " "))


def anchors(page: Path) -> set[str]:
    """List the anchors of the headings of a page, as MkDocs and GitHub make them."""
    found = set()
    for line in prose(page).split("\n"):
        if heading := _HEADING.fullmatch(line):
            found.add(heading[2] or _slug(heading[1]))
    return found


def _slug(title: str) -> str:
    plain = unicodedata.normalize("NFKD", re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", title))
    words = re.sub(r"[^\w\s-]", "", plain.encode("ascii", "ignore").decode()).strip().lower()
    return re.sub(r"[-\s]+", "-", words)


def links(page: Path) -> list[tuple[str, str]]:
    """List the links of a page to files of the project, as path and anchor, either of which may be empty."""
    targets = re.findall(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"", re.sub(r"`[^`\n]+`", "", prose(page)))
    found = []
    for markdown, html in targets:
        target = markdown or html
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            found.append((path, anchor))
    return found
