"""What the installed wheel holds."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import wave_search

if TYPE_CHECKING:
    from importlib.metadata import Distribution

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed() -> Distribution:
    try:
        return distribution("wave-search")
    except PackageNotFoundError:
        pytest.fail("the package is not installed here: run `make test`")


def test_it_holds_every_file_of_the_package_and_nothing_else(installed: Distribution) -> None:
    held = {str(path) for path in installed.files or () if "__pycache__" not in path.parts}
    package = CHECKOUT / "wave_search"
    sources = {
        str(path.relative_to(CHECKOUT))
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {path for path in held if path.startswith("wave_search/")} == sources
    assert {path.split("/")[0] for path in held if not path.startswith((".", "wave_search"))} == set()
    assert {"wave_search/py.typed", "wave_search/models/bundled/tiny/config.json"} <= held


def test_its_version_is_that_of_the_package(installed: Distribution) -> None:
    assert installed.version == wave_search.__version__


def test_its_licence_is_stated_and_included(installed: Distribution) -> None:
    assert installed.metadata["License-Expression"] == "Apache-2.0"
    assert any(path.name == "LICENSE" for path in installed.files or ())


def test_no_installation_needs_two_packages_of_faiss(installed: Distribution) -> None:
    of_faiss = [requirement for requirement in installed.requires or () if requirement.startswith("faiss")]
    assert len(of_faiss) == 2
    assert {re.search(r"extra == '(\w+)'", requirement.replace('"', "'"))[1] for requirement in of_faiss} == {  # type: ignore[index]
        "cpu",
        "gpu",
    }


def test_every_dependency_is_pinned(installed: Distribution) -> None:
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (CHECKOUT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    needed = {
        re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-")
        for requirement in installed.requires or ()
        if "extra == 'gpu'" not in requirement.replace('"', "'")
    }
    assert needed <= pinned
