"""Checks that every dependency has a wheel for each system and version of Python. Nothing is installed.

    python scripts/check_platforms.py [--python 3.12] [--system "macOS 14 arm64"]

Packages are those of pyproject.toml, at the versions of constraints.txt. It needs pip and packaging. Of torch, only the
list of versions is read: its wheels have hundreds of megabytes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
EXTRAS = ("cpu", "serve", "map", "photos", "scene", "otio")
LARGE = "torch"


@dataclass(frozen=True)
class System:
    """A system as pip and as markers name it."""

    tags: tuple[str, ...]
    """Tags of its wheels."""
    platform: str
    machine: str


def _manylinux(machine: str) -> System:
    versions = ("_2_28", "_2_27", "_2_24", "_2_17", "2014")
    return System(tuple(f"manylinux{version}_{machine}" for version in versions), "linux", machine)


SYSTEMS = {
    "Linux x86-64": _manylinux("x86_64"),
    "Linux aarch64": _manylinux("aarch64"),
    "macOS 14 arm64": System(tuple(f"macosx_{major}_0_arm64" for major in (14, 13, 12, 11)), "darwin", "arm64"),
    "Windows x86-64": System(("win_amd64",), "win32", "AMD64"),
}


def requirements(system: System, python: str) -> list[str]:
    """Return what the package and its extras need there, as pinned."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(one for extra in EXTRAS for one in extras[extra])]
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = {canonicalize_name(line.partition("==")[0]): line for line in lines if "==" in line}
    place = {"sys_platform": system.platform, "platform_machine": system.machine, "python_version": python}
    parsed = map(Requirement, wanted)
    return [pins[canonicalize_name(one.name)] for one in parsed if one.marker is None or one.marker.evaluate(place)]


def pip(system: System, python: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of pip as if on a system."""
    there = [part for tag in system.tags for part in ("--platform", tag)]
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments, *there]
    command += ["--only-binary", ":all:", "--python-version", python]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own interpreter


def missing(system: System, python: str) -> str:
    """Return what has no wheel, or nothing."""
    needed = requirements(system, python)
    (large,) = (pin for pin in needed if pin.startswith(f"{LARGE}=="))
    needed.remove(large)
    versions = pip(system, python, "index", "versions", LARGE).stdout.replace(",", " ").split()
    complaints = [] if large.removeprefix(f"{LARGE}==") in versions else [large]
    with tempfile.TemporaryDirectory() as folder:
        result = pip(system, python, "download", "--quiet", "--no-deps", "--dest", folder, *needed)
    if result.returncode:
        complaints.append(result.stderr.strip().rpartition("ERROR: ")[2] or "pip has failed")
    return "; ".join(complaints)


def main() -> None:
    """Check all of them, and exit with 1 if anything is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", action="append", choices=PYTHONS, help="only this version of Python")
    parser.add_argument("--system", action="append", choices=SYSTEMS, help="only this system")
    options = parser.parse_args()
    pairs = [(system, python) for system in options.system or SYSTEMS for python in options.python or PYTHONS]
    with ThreadPoolExecutor(4) as pool:
        complaints = list(pool.map(lambda pair: missing(SYSTEMS[pair[0]], pair[1]), pairs))
    for (system, python), complaint in zip(pairs, complaints, strict=True):
        print(f"{system}, Python {python}: {complaint or 'all wheels'}")
    sys.exit(any(complaints))


if __name__ == "__main__":
    main()
