"""What a command imports: most of the time of a short one. A package is added here only on purpose."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import wave_search
from tests.unit.test_architecture import LAYERS

HEAVY = {
    *("torch", "transformers", "faiss", "lance", "pyarrow", "duckdb", "numpy", "av", "decord", "scenedetect", "pandas"),
}

COMMAND_LINE = {"typer", "shellingham", "annotated_doc"} | {
    *("pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection"),  # for typer
}
INDEX = {"lance", "pyarrow", "numpy", "msgspec", "dateutil", "six", "cloudpickle"}  # cloudpickle: if installed
SEARCH = {"faiss", "packaging", "platformdirs"}
TEXT_MODEL = {"torch", "torchgen", "cuda", "tokenizers", "safetensors", "tqdm"}  # cuda: bindings, if installed


def loaded_by(*steps: str, path: Path | None = None) -> list[set[str]]:
    """Packages, without those of Python, that a fresh interpreter has loaded after each of these steps."""
    code = f"""
import json, sys
def report():
    names = {{name.partition(".")[0] for name in sys.modules}} - {{*sys.stdlib_module_names, "__main__", "__mp_main__"}}
    print("loaded:", json.dumps(sorted(names)), flush=True)
def run(*arguments):
    from wave_search.__main__ import main
    sys.argv = ["wave-search", *arguments]
    try:
        main()
    except SystemExit as done:
        assert not done.code, done.code
{"".join(f"{step}{os.linesep}report(){os.linesep}" for step in steps)}"""
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(wave_search.__file__).parents[1],  # the package that the tests see, installed or not
        env={**os.environ, "PYTHONPATH": str(path or "")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    lines = (line.partition("loaded: ") for line in result.stdout.splitlines())
    return [{*json.loads(names)} for before, mark, names in lines if mark and not before]


def test_importing_loads_nothing_heavy() -> None:
    programs = ("__init__", "render", "progress", "commands", "cli")
    packages = [layer for layer in LAYERS if layer not in programs]
    unused = "assert 'wave_search.indexer.run' not in sys.modules"
    loaded = loaded_by("import wave_search", *(f"import wave_search.{package}" for package in packages), unused)
    found = {package: names & HEAVY - {"numpy"} for package, names in zip(packages, loaded[1:-1], strict=True)}
    assert not any(found.values()), found
    assert not loaded[0] & HEAVY


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["query", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    assert not loaded_by(f"run(*{arguments})")[0] & {*HEAVY, "rich"}


def test_a_query_that_a_server_answers_loads_next_to_nothing() -> None:
    code = "import wave_search.commands.socket_client, wave_search.render.terminal"
    assert not loaded_by(code)[0] & {*HEAVY, "rich", "typer", "pydantic", "msgspec"}


def test_a_command_loads_what_it_needs_and_nothing_else(small_index: Path, small_library: Path, tmp_path: Path) -> None:
    index = Path(shutil.copytree(small_index, tmp_path / "index"))
    (tmp_path / "path" / "pandas").mkdir(parents=True)
    (tmp_path / "path" / "pandas" / "__init__.py").write_text("__version__ = '3'")
    commands = {
        ("info",): COMMAND_LINE | INDEX,
        ("list",): COMMAND_LINE | INDEX,
        ("query", "--similar", str(small_library / "frog.flac")): COMMAND_LINE | INDEX | SEARCH,
        ("query", "--like", "1"): COMMAND_LINE | INDEX | SEARCH,
        ("query", "--text", "rain"): COMMAND_LINE | INDEX | SEARCH | TEXT_MODEL,
    }
    steps = [f"run(*{arguments}, '--index', {str(index)!r})" for arguments in commands]
    *loaded, after = loaded_by(*steps, "import pandas", path=tmp_path / "path")
    for (arguments, allowed), names in zip(commands.items(), loaded, strict=True):
        found = {name for name in names if not name.startswith("_")}
        assert found - {"wave_search", "cython_runtime", "swig_runtime_data5", "sitecustomize"} <= allowed, arguments
    assert "pandas" in after, "it is hidden from pyarrow only"
