"""The shape of the package: who may import whom, and what stays where it is."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import wave_search

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(__file__).resolve().parents[2] / "wave_search"

EDGES = {"media", "model", "store", "ann"}
MAY_IMPORT = {
    "errors": set(),
    "types": {"errors"},
    "reports": {"types"},
    **{edge: {"types", "errors"} for edge in EDGES},
    "indexer": {*EDGES, "reports", "types", "errors"},
    "query": {*EDGES, "reports", "types", "errors"},
    "train": {*EDGES, "reports", "types", "errors"},
    # Evaluation asks as users do, so it stands on the read path and not beside it.
    "evaluation": {"media", "ann", "query", "reports", "types", "errors"},
    "index": {*EDGES, "indexer", "query", "reports", "types", "errors"},
    "library": {*EDGES, "index", "query", "types", "errors"},
    "progress": {"bars", "console", "reports"},
    "__init__": {"index", "library", "progress", "indexer", "query", "evaluation", "reports", "types", "errors"},
    "output": {"__init__", "store", "reports", "types", "errors"},
    "export": {"output", "types", "errors"},
    "output_evaluation": {"__init__", "evaluation", "output"},
    "console": {"__init__", "bars", "output", "output_evaluation", "reports", "types", "errors"},
    "bars": {"output", "reports"},
    "exits": {"console", "output", "errors"},
    "commands": {"__init__", "train", "exits", "console", "export", "output", "types", "errors"},
    "cli": {"__init__", "commands", "exits"},
}
"""Part of the package -> the parts that it may import, besides itself."""

CONFINED_TO = {
    "torch": {"model", "train"},
    "transformers": {"model", "train"},
    "tokenizers": {"model", "train"},
    "torchao": {"model"},
    "safetensors": {"model"},
    "huggingface_hub": {"model"},
    "faiss": {"ann"},
    "lancedb": {"store"},
    "pyarrow": {"store", "evaluation"},  # data sets are published as parquet
    "duckdb": {"store"},
    "opentimelineio": {"export"},
    "av": {"media"},
    "decord": {"media"},
    "soundfile": {"media", "train"},
    "soxr": {"media"},
    "PIL": {"media", "train"},
    "scenedetect": {"media"},
    "resvg_py": {"train"},
    "typer": {"cli", "commands"},
    "rich": {"bars", "console"},
    "peft": {"train"},
    "accelerate": {"train"},
    "numpy": set(MAY_IMPORT),
}
"""Third-party package -> the parts that may import it."""

HEAVY = ("torch", "transformers", "faiss", "lancedb", "pyarrow", "duckdb", "numpy", "av", "decord", "scenedetect")


@dataclass(frozen=True)
class Import:
    file: Path
    line: int
    part: str
    module: str

    def __str__(self) -> str:
        return f"{self.file.relative_to(PACKAGE.parent)}:{self.line} imports {self.module}"

    @property
    def root(self) -> str:
        return self.module.split(".")[0]

    @property
    def imported_part(self) -> str:
        """The part that is imported; a name that is no part comes from the facade, the package itself."""
        second = [*self.module.split("."), "__init__"][1]
        return second if second in MAY_IMPORT else "__init__"


def part_of(file: Path) -> str:
    relative = file.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def modules_named(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "relative import"
        # `from wave_search import output` names a module, `from wave_search.types import Hit` a thing in one.
        yield from (
            f"{node.module}.{alias.name}" if node.module == "wave_search" else str(node.module) for alias in node.names
        )


def all_imports() -> list[Import]:
    return [
        Import(file, node.lineno, part_of(file), module)
        for file in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        for module in modules_named(node)
    ]


IMPORTS = all_imports()


def test_every_part_is_in_the_table() -> None:
    assert {part_of(file) for file in PACKAGE.rglob("*.py")} <= set(MAY_IMPORT)


def test_imports_go_one_way() -> None:
    wrong = [
        str(found)
        for found in IMPORTS
        if found.root == "wave_search" and found.imported_part not in {found.part, *MAY_IMPORT[found.part]}
    ]
    assert not wrong, "\n".join(wrong)


def test_third_party_packages_stay_where_they_belong() -> None:
    wrong = [
        str(found)
        for found in IMPORTS
        if found.root not in sys.stdlib_module_names
        and found.root != "wave_search"
        and found.part not in CONFINED_TO.get(found.root, set())
    ]
    assert not wrong, "\n".join(wrong)


def calls(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.lineno, f"{node.func.id}()"


FORBIDDEN_IN_LIBRARY = ("print()", "input()", "os.environ", "os.getenv", "sys.exit", "sys.stdout")


def test_the_library_neither_prints_nor_reads_the_environment_nor_exits() -> None:
    programs = {"bars", "cli", "commands", "console", "exits"}
    files = [
        file
        for file in sorted(PACKAGE.rglob("*.py"))
        if part_of(file) not in programs and '__name__ == "__main__"' not in file.read_text()
    ]
    wrong = [
        f"{file.relative_to(PACKAGE.parent)}:{line} uses {used}"
        for file in files
        for line, used in calls(ast.parse(file.read_text()))
        if used in FORBIDDEN_IN_LIBRARY or used.startswith("logging.")
    ]
    assert not wrong, "\n".join(wrong)


def loaded_by(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after `code`."""
    report = "import json, sys; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    result = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"],
        cwd=Path(wave_search.__file__).parents[1],  # the package that the tests see, installed or not
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(result.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "package", ["", *(f".{edge}" for edge in sorted(EDGES)), ".indexer", ".query", ".evaluation", ".library"]
)
def test_importing_loads_nothing_heavy(package: str) -> None:
    heavy = loaded_by(f"import wave_search{package}") & {"torch", "transformers", "faiss", "lancedb", "av", "decord"}
    assert not heavy


def test_importing_the_package_loads_no_numpy() -> None:
    assert not loaded_by("import wave_search") & set(HEAVY)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["query", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = f"""
import sys
sys.argv = ["wave-search", *{arguments}]
from wave_search.cli import main
try:
    main()
except SystemExit as done:
    assert done.code == 0
"""
    assert not loaded_by(code) & {*HEAVY, "rich"}
