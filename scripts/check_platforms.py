"""Checks that every dependency has a wheel for each system and version of Python. Nothing is installed.

    python scripts/check_platforms.py [--python 3.12] [--system macOS]

Packages are taken from pyproject.toml, at the versions of constraints.txt. torch is not downloaded: its releases are
large, and pip takes a whole wheel to learn what it needs.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
SYSTEMS = {
    "Linux x86-64": ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"),
    "Linux aarch64": (
        *("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64"),
    ),
    "macOS 14 arm64": tuple(f"macosx_{version}_arm64" for version in ("14_0", "13_0", "12_0", "11_0")),
    "Windows x86-64": ("win_amd64",),
}
EXTRAS = ("cpu", "serve", "photos", "scene", "otio")
LARGE = ("torch",)
"""Not downloaded: hundreds of megabytes for each system."""


def requirements(system: str) -> list[str]:
    """Return what the package and its extras need on a system, without what is large."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(one for extra in EXTRAS for one in project["optional-dependencies"][extra])]
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    pins = {name.lower().replace("_", "-"): version for name, version in pins.items()}
    found = []
    for requirement in wanted:
        text, _, marker = requirement.partition(";")
        name = re.split(r"[\s<>=!\[]", text, maxsplit=1)[0]
        if name in LARGE or ("win32" in marker and system.startswith("Windows")):
            continue
        found.append(f"{name}=={pins[name.lower().replace('_', '-')]}")
    return found


def missing(system: str, python: str) -> str:
    """Return pip's complaint about what has no wheel, or nothing."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
        command += ["--only-binary", ":all:", "--python-version", python, "--dest", folder]
        command += [part for tag in SYSTEMS[system] for part in ("--platform", tag)]
        result = subprocess.run(  # noqa: S603 - our own interpreter
            [*command, *requirements(system)], capture_output=True, text=True, check=False
        )
    lines = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
    return "" if result.returncode == 0 else "\n".join(lines) or result.stderr.strip() or "pip has failed"


def main() -> None:
    """Check all of them, and exit with 1 if anything is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", action="append", choices=PYTHONS, help="only this version of Python")
    parser.add_argument("--system", action="append", choices=SYSTEMS, help="only this system")
    options = parser.parse_args()
    pairs = [(system, python) for system in options.system or SYSTEMS for python in options.python or PYTHONS]
    with ThreadPoolExecutor(4) as pool:
        complaints = list(pool.map(lambda pair: missing(*pair), pairs))
    for (system, python), complaint in zip(pairs, complaints, strict=True):
        print(f"{system}, Python {python}: {complaint or 'all wheels'}")
    sys.exit(any(complaints))


if __name__ == "__main__":
    main()
