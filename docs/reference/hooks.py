"""Makes reference/cli.md from the help of every command, when MkDocs builds the site."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import typer.main
from mkdocs.structure.files import File, Files
from typer.core import TyperGroup

from wave_search.cli import app

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from typer.core import TyperCommand

_PROGRAM = "wave-search"
_INTRODUCTION = """# Command line

The output of `--help` of each command. Options shared by all commands (`--quiet`, `--traceback`) stand before the command;
`--quiet` may stand behind it as well. [Results, export and scripts](../guide/results.md) describes output formats, exit codes
and environment variables.
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page."""
    files.append(File.generated(config, "reference/cli.md", content=cli_page()))
    return files


def cli_page() -> str:
    """Return the help of every command as Markdown."""
    os.environ["COLUMNS"] = "100"
    sections = [_INTRODUCTION]
    for name, text in _helps(typer.main.get_command(app), _PROGRAM):
        sections.append(f"## {name}\n\n```text\n{text.rstrip()}\n```\n")
    return "\n".join(sections)


def _helps(
    command: TyperCommand | TyperGroup, name: str, parent: typer.Context | None = None
) -> Iterator[tuple[str, str]]:
    context = command.context_class(command, info_name=name, parent=parent, terminal_width=100)
    yield context.command_path, command.get_help(context)
    if isinstance(command, TyperGroup):
        for child in command.list_commands(context):
            yield from _helps(command.commands[child], child, context)
