"""The shape of the package: who may import whom, and what stays where it is."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PACKAGE = Path(__file__).resolve().parents[2] / "wave_search"

LAYERS = (
    "version",
    "lazy",
    "errors",
    "arguments",
    "types",
    "reports",
    "wire",
    "system",
    "descriptors",
    "files",
    "processes",
    "desktop",
    "vectors",
    "batches",
    "media",
    "models",
    "store",
    "ann",
    "calibration",
    "projection",
    "indexer",
    "query",
    "evaluation",
    "finetune",
    "index",
    "opening",
    "migration",
    "comparison",
    "doctor",
    "remote",
    "render",
    "progress",
    "__init__",
    "alerts",
    "serve",
    "commands",
    "cli",
    "__main__",
)
"""From the bottom up. Each layer may import those before it, and itself."""

CONFINED_TO = {
    "torch": {"models", "finetune"},
    "transformers": {"models", "finetune"},
    "tokenizers": {"models"},
    "torchao": {"models"},
    "safetensors": {"models", "finetune"},
    "sentence_transformers": {"models"},
    "huggingface_hub": {"models"},
    "msgspec": {"files", "store", "evaluation", "finetune", "alerts"},
    "peft": {"finetune"},
    "accelerate": {"finetune"},
    "faiss": {"ann"},
    "lance": {"store"},
    "pyarrow": {"store", "evaluation", "query"},  # data sets are published as parquet, hits exported
    "pandas": {"query"},
    "IPython": {"render"},
    "duckdb": {"store"},
    "av": {"media"},
    "charset_normalizer": {"media"},
    "decord": {"media"},
    "langcodes": {"media"},
    "soundfile": {"media"},
    "soxr": {"media"},
    "PIL": {"media"},
    "tifffile": {"media"},
    "scenedetect": {"media"},
    "watchfiles": {"indexer"},
    "pathspec": {"indexer"},
    "opentimelineio": {"render"},
    "rich": {"render"},
    "textual_image": {"render"},
    "typer": {"cli", "commands"},
    "umap": {"projection"},
    "fastapi": {"serve"},
    "starlette": {"serve"},
    "pydantic": {"serve"},
    "uvicorn": {"serve"},
    "prometheus_client": {"serve"},
    "platformdirs": {"alerts", "commands", "serve"},
    "mcp": {"serve"},
    "mcp_types": {"serve"},
    "numpy": set(LAYERS),
}
"""Third-party package -> the layers that may import it."""


@dataclass(frozen=True)
class Import:
    file: Path
    line: int
    layer: str
    module: str

    def __str__(self) -> str:
        return f"{self.file.relative_to(PACKAGE.parent)}:{self.line} imports {self.module}"

    @property
    def root(self) -> str:
        return self.module.split(".")[0]

    @property
    def imported_layer(self) -> str:
        """The layer that is imported; a name that is no layer comes from the facade, the package itself."""
        return layer_of(self.module.split(".")[1:])


def layer_of(names: Sequence[str]) -> str:
    """The layer of a module, by its names below the package: the most specific one."""
    return next((layer for layer in (".".join(names[:2]), ".".join(names[:1])) if layer in LAYERS), "__init__")


def modules_named(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "relative import"
        # `from wave_search import output` names a module, `from wave_search.types import Hit` a thing in one.
        yield from (
            f"{node.module}.{alias.name}" if node.module == "wave_search" else str(node.module) for alias in node.names
        )


@cache
def imports() -> list[Import]:
    """All of the package."""
    return [
        Import(file, node.lineno, layer_of(file.relative_to(PACKAGE).with_suffix("").parts), module)
        for file in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        for module in modules_named(node)
    ]


def test_every_module_is_in_a_layer() -> None:
    top = {path.stem if path.is_file() else path.name for path in PACKAGE.iterdir() if path.suffix in ("", ".py")}
    assert top - {"__pycache__"} == {layer.split(".")[0] for layer in LAYERS}


def test_imports_go_down() -> None:
    wrong = [
        str(found)
        for found in imports()
        if found.root == "wave_search" and LAYERS.index(found.imported_layer) > LAYERS.index(found.layer)
    ]
    assert not wrong, "\n".join(wrong)


def test_third_party_packages_stay_where_they_belong() -> None:
    wrong = [
        str(found)
        for found in imports()
        if found.root not in sys.stdlib_module_names
        and found.root != "wave_search"
        and found.layer not in CONFINED_TO.get(found.root, set())
    ]
    assert not wrong, "\n".join(wrong)


@cache
def calls(file: Path) -> list[tuple[int, str]]:
    return list(_calls(ast.parse(file.read_text())))


def _calls(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.lineno, f"{node.func.id}()"


FORBIDDEN_IN_LIBRARY = ("print()", "input()", "os.environ", "os.getenv", "sys.exit", "sys.stdout")


def test_the_library_neither_prints_nor_reads_the_environment_nor_exits() -> None:
    programs = {"cli", "commands", "render"}
    files = [
        file
        for file in sorted(PACKAGE.rglob("*.py"))
        if layer_of(file.relative_to(PACKAGE).with_suffix("").parts) not in programs
    ]
    wrong = [
        f"{file.relative_to(PACKAGE.parent)}:{line} uses {used}"
        for file in files
        for line, used in calls(file)
        if used in FORBIDDEN_IN_LIBRARY or used.startswith("logging.")
    ]
    assert not wrong, "\n".join(wrong)


POSIX_ONLY = ("os.pread", "os.pwrite", "os.sysconf", "os.sched_getaffinity", "os.setpriority", "os.nice", "os.killpg")
POSIX_ONLY += ("os.O_NOFOLLOW", "os.O_NONBLOCK", "os.O_DIRECTORY", "os.O_CLOEXEC", "os.fork", "os.link")
POSIX_ONLY += ("signal.SIGKILL", "signal.SIGHUP", "signal.SIGPIPE", "signal.SIGALRM", "signal.setitimer")


def test_what_not_all_systems_have_is_used_in_few_places() -> None:
    places = {"system", "descriptors", "processes"}
    files = [file for file in sorted(PACKAGE.rglob("*.py")) if file.stem not in places]
    wrong = [
        f"{file.relative_to(PACKAGE.parent)}:{line} uses {used}"
        for file in files
        for line, used in calls(file)
        if used in POSIX_ONLY
    ]
    wrong += [str(found) for found in imports() if found.root in ("fcntl", "resource") and found.layer not in places]
    assert not wrong, "\n".join(wrong)
