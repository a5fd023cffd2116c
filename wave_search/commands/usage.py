"""How the command line presents itself: help in groups at the width of the terminal, and wrong arguments as errors."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PROGRAM = "wave-search"
SEARCH, FILTER, OUTPUT, MODEL = "Search", "Filter", "Output", "Model"
CONTENT, SPEED = "Content", "Speed"
"""Groups of options that several commands have."""
RANK = "[RANK]"
"""The value of an option that may be left out: that of the best result."""
_OTHERS = "Options"
_PHRASES = {
    "int_parsing": "{input!r} is not an integer",
    "int_from_float": "{input!r} is not an integer",
    "float_parsing": "{input!r} is not a number",
    "greater_than_equal": "it must be at least {ge:g}, not {input}",
    "less_than_equal": "it must be at most {le:g}, not {input}",
}
"""What is wrong with a value, by the type of the error that pydantic reports."""


def epilog(text: str, *examples: str) -> str:
    """Return the end of a help page: a text, and commands on lines of their own, which are not wrapped."""
    lines = "".join(f"\n  {PROGRAM} {example}" for example in examples)
    return "\n\n".join(part for part in (text, f"\b\nExamples:{lines}" if examples else "") if part)


def context_settings() -> dict[str, Any]:
    """Return the settings of all commands."""
    return {"help_option_names": ["-h", "--help"], "max_content_width": sys.maxsize}


def _records(context: Any, params: Iterable[Any]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield the group, and the name and the help, of each parameter that is shown."""
    for param in params:
        record = param.get_help_record(context)
        if record is None:
            continue
        if param.param_type_name == "argument":  # without its type in Python
            yield "Arguments", (param.metavar or record[0], record[1])
        else:
            yield getattr(param, "rich_help_panel", None) or _OTHERS, record


def _write_groups(formatter: Any, records: Iterable[tuple[str, tuple[str, str]]], last: str) -> None:
    groups: dict[str, list[tuple[str, str]]] = {}
    for group, record in records:
        groups.setdefault(group, []).append(record)
    if last in groups:
        groups[last] = groups.pop(last)
    for group, rows in groups.items():
        with formatter.section(group):
            formatter.write_dl(rows)


class Command(TyperCommand):
    """A command whose help has its options in groups, and in which the number of `RANK` may be left out."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Complete the arguments, and parse them."""
        ranked = {name for param in self.params if param.metavar == RANK for name in param.opts}
        options = args[: args.index("--")] if "--" in args else args
        for place in reversed(range(len(options))):
            if args[place] in ranked and not (place + 1 < len(options) and args[place + 1].isdecimal()):
                args.insert(place + 1, "1")
        return super().parse_args(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and the groups of options."""
        _write_groups(formatter, _records(ctx, self.get_params(ctx)), _OTHERS)


class Group(TyperGroup):
    """Commands in groups, each with the whole sentence that describes it."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options and the groups of commands."""
        _write_groups(formatter, _records(ctx, self.get_params(ctx)), _OTHERS)
        shown = ((name, command) for name, command in self.commands.items() if not command.hidden)
        of_group = (
            (getattr(command, "rich_help_panel", None) or "Commands", (name, command.get_short_help_str(sys.maxsize)))
            for name, command in shown
        )
        _write_groups(formatter, of_group, "Commands")


def asks_for_help(error: Any) -> bool:
    """Return whether a command was given without arguments where its help is shown instead."""
    return type(error).__name__ == "NoArgsIsHelpError"


def error_message(error: Any) -> str:
    """Return what is wrong with the arguments of a command, and where its help is, as one line.

    Args:
        error: of typer.
    """
    message = _cause(error).strip()
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else PROGRAM
    ended = message if message.endswith(("?", ".")) else f"{message}."
    return f"{ended} Options and examples: {command} --help"


def _cause(error: Any) -> str:
    param, reported = getattr(error, "param", None), getattr(error.__cause__, "errors", None)
    if param is None:
        message = str(error.format_message())
        return f"{message[:1].lower()}{message[1:]}"
    name = max(param.opts, key=len) if param.param_type_name == "option" else param.metavar or param.name
    if type(error).__name__ == "MissingParameter":
        return f"{name} is missing"
    if reported is None:
        return f"{name}: {error.message}"
    fault = reported()[0]
    phrase = _PHRASES.get(fault["type"])
    if phrase is None:
        return f"{name}: {fault['msg'].removeprefix('Value error, ')}"
    return f"{name}: {phrase.format(input=fault['input'], **fault.get('ctx', {}))}"
