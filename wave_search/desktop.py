"""Programs of the user's desktop: the one that opens a file, and the file manager."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from wave_search.errors import WaveSearchError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_WAIT_S = 5.0
"""After which a program that still runs has not failed."""
_FILE_MANAGER = (
    "dbus-send", "--session", "--print-reply", "--dest=org.freedesktop.FileManager1", "/org/freedesktop/FileManager1",
    "org.freedesktop.FileManager1.ShowItems",
)  # fmt: skip


def has_desktop(environment: Mapping[str, str]) -> bool:
    """Return whether a file manager can be shown to the user of this process.

    Args:
        environment: the variables of the process.
    """
    if sys.platform in ("darwin", "win32"):
        return True
    has_screen = environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
    return bool(has_screen) and any(map(shutil.which, ("dbus-send", "xdg-open")))


def play(path: Path, start_s: float | None, stop_s: float | None) -> None:
    """Play a range of a file with mpv, or open the file with the default application; wait for its end.

    Args:
        path: an absolute path.
        start_s: in seconds from the beginning of the file, like `stop_s`; None for a whole file.
        stop_s: its end.

    Raises:
        WaveSearchError: neither program is available, or it fails.
    """
    if start_s is not None and (mpv := shutil.which("mpv")):
        command = [mpv, f"--start={start_s}", f"--end={stop_s}", "--force-window", str(path)]
    elif sys.platform == "win32":
        os.startfile(path)  # noqa: S606 - no shell
        return
    elif opener := shutil.which("open" if sys.platform == "darwin" else "xdg-open"):
        command = [opener, str(path)]
    else:
        raise WaveSearchError("no program to open a result was found", "Install mpv, or xdg-open (xdg-utils).")
    # stdout is for results.
    code = subprocess.run(command, check=False, stdout=sys.stderr).returncode  # noqa: S603 - no shell
    if code:
        raise WaveSearchError(f"{path} cannot be opened: {command[0].rpartition('/')[2]} exited with code {code}")


def reveal(path: Path) -> None:
    """Show a file in the file manager, selected if it can do that, or else its folder.

    Args:
        path: an absolute path.

    Raises:
        WaveSearchError: there is no file manager, or it fails.
    """
    if sys.platform == "darwin":
        commands = [["open", "-R", str(path)]]
    elif sys.platform == "win32":
        commands = [["explorer", f"/select,{path}"]]
    else:
        # As a URI it has no comma, which would begin another item of the array.
        commands = [[*_FILE_MANAGER, f"array:string:{path.as_uri()}", "string:"], ["xdg-open", str(path.parent)]]
    if not any(map(_succeeds, commands)):
        raise WaveSearchError("no file manager could be opened", "Install xdg-utils, or copy the path instead.")


def _succeeds(command: list[str]) -> bool:
    program = shutil.which(command[0])
    if program is None:
        return False
    started = subprocess.Popen(  # noqa: S603 - no shell
        [program, *command[1:]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        code = started.wait(_WAIT_S)
    except subprocess.TimeoutExpired:  # it is the file manager itself
        return True
    return code == 0 or command[0] == "explorer"  # whose exit code says nothing
