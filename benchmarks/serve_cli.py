"""From Enter to hits: `wave-search query` with a server of the index, and without.

    python benchmarks/serve_cli.py --index .wave-search [--runs 9] [--out DIR]

A text is searched for, in a pipe and on a terminal, in a folder of sockets of this run alone. The
best of some runs counts, because others may use the machine; ratios to an empty interpreter compare machines.
"""

from __future__ import annotations

import argparse
import os
import pty
import subprocess
import sys
import tempfile
import time
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.results import Table, machine, publish

QUERY = ("a", "dog", "barking", "-k", "10", "--quiet")


def main() -> None:
    """Measure, and publish."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    given = parser.parse_args()
    program = [sys.executable, "-m", "wave_search"]
    query = [*program, "query", *QUERY, "--index", str(given.index)]
    with tempfile.TemporaryDirectory(prefix="ws-") as folder:
        Path(folder, "run").mkdir(mode=0o700)
        folders = {"XDG_RUNTIME_DIR": f"{folder}/run", "XDG_STATE_HOME": f"{folder}/state"}
        environment = {**os.environ, **folders, "TERM": "xterm-256color"}
        nothing = best([sys.executable, "-c", "pass"], environment, given.runs)
        alone = best(query, environment, max(1, given.runs // 3))
        serve = [*program, "serve", "--index", str(given.index)]
        subprocess.run([*serve, "--port", "0", "--background"], env=environment, check=True, stdout=subprocess.DEVNULL)
        try:
            piped = best(query, environment, given.runs)
            shown = best(query, environment, given.runs, on_terminal=True)
        finally:
            subprocess.run([*serve, "--stop"], env=environment, check=True, stderr=subprocess.DEVNULL)
    rows = [
        (name, f"{wall_s:.3f}", f"{cpu_s:.2f}", f"{wall_s / nothing[0]:.1f}")
        for name, (wall_s, cpu_s) in {
            "an empty interpreter": nothing,
            "query without a server": alone,
            "query with a server, in a pipe": piped,
            "query with a server, as a table on a terminal": shown,
        }.items()
    ]
    table = Table("From Enter to hits", ("what", "wall s", "CPU s of the command", "wall, empty interpreter = 1"), rows)
    note = f"Without a server, the same query takes {alone[0] / piped[0]:.0f} times as long.\n"
    command = f"python benchmarks/serve_cli.py --index {given.index.name} --runs {given.runs}"
    about = machine(os.cpu_count() or 1, "wall") | {"command": command}
    publish(given.out / "RESULTS.md", "Command line and server", about, [table], note)


def best(
    command: list[str], environment: dict[str, str], runs: int, *, on_terminal: bool = False
) -> tuple[float, float]:
    """Return the least wall and CPU seconds of some runs."""
    measured = [once(command, environment, on_terminal=on_terminal) for _ in range(runs)]
    return min(wall_s for wall_s, _ in measured), min(cpu_s for _, cpu_s in measured)


def once(command: list[str], environment: dict[str, str], *, on_terminal: bool) -> tuple[float, float]:
    """Return the wall and CPU seconds of a run."""
    inside_out = pty.openpty if on_terminal else os.pipe
    outside, inside = inside_out()
    before, began_s = os.times(), time.perf_counter()
    with subprocess.Popen(command, env=environment, stdout=inside, stderr=subprocess.DEVNULL):
        os.close(inside)
        while read(outside):
            pass
    wall_s, after = time.perf_counter() - began_s, os.times()
    os.close(outside)
    used_s = after.children_user + after.children_system - before.children_user - before.children_system
    return wall_s, used_s


def read(descriptor: int) -> bytes:
    """Return what is written, and nothing at the end."""
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:  # how a terminal says that nobody holds the other side any more
        return b""


if __name__ == "__main__":
    main()
