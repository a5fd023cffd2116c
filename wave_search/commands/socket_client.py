"""`query` by a running server of the same index, which answers before Python has even imported what a search needs.

Only the standard library and small modules are imported here. The server reads the options; this process shows what it
has found. Whatever the server does not answer is left to the command itself.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, closing
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from wave_search.commands import DEFAULT_INDEX, INDEX_VARIABLE
from wave_search.commands.exit_codes import GlobalOptions, exit_code, occupy_closed_streams, terminal_of
from wave_search.commands.output import Found, Output, keep, show_files, show_found, write
from wave_search.errors import UsageError
from wave_search.serve import local_socket
from wave_search.types import Hit, ListedFile
from wave_search.wire import from_record

if TYPE_CHECKING:
    from wave_search.render.terminal import Terminal
    from wave_search.serve.local_socket import LocalConnection

_COMMANDS = ("query", "search")
_QUIET = ("-q", "--quiet")
_ONLY_HERE = ("/dev/", "/proc/")
"""Parts of names of files that differ between processes."""
_UNANSWERED = -1
_SPINNER_AFTER_S = 0.5


def query(arguments: list[str]) -> int | None:
    """Run a query by a server of its index.

    Args:
        arguments: of `wave-search`, all of them.

    Returns:
        The exit code; None if it is another command, or no server answers.
    """
    quiet = bool(arguments) and arguments[0] in _QUIET
    command, *rest = arguments[quiet:] or [""]
    if command not in _COMMANDS or os.environ.get("WAVE_SEARCH_DEBUG") or _needs_this_process(rest):
        return None
    index = _index_of(rest)
    connection = local_socket.connect(Path(index))
    if connection is None:
        return None
    occupy_closed_streams()
    context = SimpleNamespace(obj=GlobalOptions(quiet, traceback=False), params={"index": Path(index)})
    with closing(connection):
        try:
            request = {
                "quiet": quiet,
                "arguments": rest,
                "index": os.environ.get(INDEX_VARIABLE) or DEFAULT_INDEX,
                "folder": os.getcwd(),  # noqa: PTH109
                "surroundings": surroundings(),
            }
        except OSError:  # the current folder is gone
            return None
        terminal = terminal_of(context, quiet or not {*_QUIET}.isdisjoint(rest))
        code = exit_code(context, lambda: _shown(connection, request, terminal, Path(index)))
    return None if code == _UNANSWERED else code


def surroundings() -> list[Any]:
    """Return what tells processes apart whose results may differ.

    They see different files under the same names, such as those of containers, or have other devices, or other hits of
    a last query.
    """
    root = os.stat("/")  # noqa: PTH116
    try:
        mounts = os.readlink("/proc/self/ns/mnt")  # noqa: PTH115
    except OSError:  # not Linux
        mounts = ""
    variables = ("CUDA_VISIBLE_DEVICES", "XDG_STATE_HOME")
    return [mounts, root.st_dev, root.st_ino, *map(os.environ.get, variables)]


def _needs_this_process(arguments: list[str]) -> bool:
    """Return whether arguments name streams of this process."""
    return any(one == "-" or any(part in one for part in _ONLY_HERE) for one in arguments)


def _index_of(arguments: list[str]) -> str:
    """Return the folder of the index. The server checks it, as it reads the options in full."""
    found = os.environ.get(INDEX_VARIABLE) or DEFAULT_INDEX
    for position, one in enumerate(arguments):
        if one == "--index" and position + 1 < len(arguments):
            found = arguments[position + 1]
        elif one.startswith("--index="):
            found = one.removeprefix("--index=")
    return found


def _shown(connection: LocalConnection, request: dict[str, Any], terminal: Terminal, index: Path) -> int:
    """Ask, and show the answer. Return the exit code. Raises what the command itself would."""
    try:
        reply = _last_reply(connection, request, terminal)
    except (OSError, ValueError):  # the server has ended, or does not speak as expected
        return _UNANSWERED
    if reply is None:
        return _UNANSWERED
    if "error" in reply:
        raise UsageError(*reply["error"])
    how = Output(**reply["output"])
    if "files" in reply:
        files = (from_record(ListedFile, record) for record in reply["files"])
        return show_files(terminal, files, how.limit, json=how.json, paths=how.paths)
    hits = [from_record(Hit, record) for record in reply["hits"]]
    lost = []
    if reply["lost"]:
        from wave_search.reports import Skipped

        lost = [from_record(Skipped, record) for record in reply["lost"]]
    found = Found(hits, lost, reply["created"], reply["coverage"])
    keep(terminal, found, index)
    if how.export is not None:
        write(Path(how.export), hits, None)
    return show_found(terminal, how, found)


def _last_reply(connection: LocalConnection, request: dict[str, Any], terminal: Terminal) -> dict[str, Any] | None:
    """Ask, and return the answer, if there is one; show the progress until then. Raises OSError, ValueError."""
    with ExitStack() as live:
        replies = local_socket.replies(connection, request)
        if not connection.wait(_SPINNER_AFTER_S):
            live.enter_context(terminal.working("searching"))
        progress: Any = None
        for reply in replies:
            terminal.quiet = reply["quiet"]
            if "progress" not in reply:
                return reply
            if progress is None:
                live.close()
                progress = live.enter_context(terminal.progress())
            from wave_search.reports import Progress

            progress(from_record(Progress, reply["progress"]))
    return None
