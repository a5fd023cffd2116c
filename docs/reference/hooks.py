"""Pages that MkDocs makes when it builds the site: the help of every command, and the measurements."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File, Files
from typer.core import TyperGroup
from typer.main import get_command

from wave_search.cli import application

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from typer import Context
    from typer.core import TyperCommand

_RESULTS = Path(__file__).parents[2] / "benchmarks" / "RESULTS.md"
_COLUMNS = 100
_INTRODUCTION = """# Command line

The output of `--help` of each command. Output formats, exit codes and environment variables are described in
[Results, export and scripts](../guide/results.md).
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    files.append(File.generated(config, "reference/cli.md", content=_cli_page()))
    files.append(File.generated(config, "design/measurements.md", content=_RESULTS.read_text(encoding="utf-8")))
    return files


def _cli_page() -> str:
    sections = [
        f"## {name}\n\n```text\n{text}\n```\n" for name, text in _helps(get_command(application()), "wave-search")
    ]
    return "\n".join([_INTRODUCTION, *sections])


def _helps(command: TyperCommand | TyperGroup, name: str, parent: Context | None = None) -> Iterator[tuple[str, str]]:
    widths = {"terminal_width": _COLUMNS, "max_content_width": _COLUMNS}
    context = command.context_class(command, info_name=name, parent=parent, **command.context_settings, **widths)
    yield context.command_path, command.get_help(context).rstrip()
    if isinstance(command, TyperGroup):
        for child in command.list_commands(context):
            yield from _helps(command.commands[child], child, context)
