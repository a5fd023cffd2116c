"""Libraries and indexes to work on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import wave_search as ws
from tests.libraries import LIBRARY_FILES, CountingEmbedder, make_library
from tests.media_decoding import KeptDecoders


@pytest.fixture(scope="session", autouse=True)
def one_core() -> Iterator[None]:
    """Make one decoder the default, as each takes 0.4 CPU seconds to start; tests of several pass `workers`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "sched_getaffinity", lambda process: {0})
        yield


@pytest.fixture(scope="session")
def kept_decoders() -> Iterator[KeptDecoders]:
    with closing(KeptDecoders()) as kept:
        yield kept


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch, kept_decoders: KeptDecoders) -> Iterator[CountingEmbedder]:
    """The model, counting, and decoders that need not be started for each test."""
    counting = CountingEmbedder()
    monkeypatch.setattr("wave_search.models.load", counting.load)
    with kept_decoders.in_use():
        yield counting


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, kept_decoders: KeptDecoders) -> Path:
    """A folder with a library and its index; to be copied."""
    folder = tmp_path_factory.mktemp("finished")
    make_library(folder / "media")
    with pytest.MonkeyPatch.context() as patch, kept_decoders.in_use():
        patch.setattr("wave_search.models.load", CountingEmbedder().load)
        with ws.create(folder / "index") as index:
            report = index.add([folder / "media"])
    assert report.indexed == LIBRARY_FILES, report
    return folder


@pytest.fixture
def library(finished: Path, tmp_path: Path, counted: CountingEmbedder) -> Path:
    """`media` and `index` in a folder of their own, where `media` is known to the index by content only."""
    return Path(shutil.copytree(finished, tmp_path / "library"))


@pytest.fixture(scope="session")
def settled_once(finished: Path, tmp_path_factory: pytest.TempPathFactory, kept_decoders: KeptDecoders) -> Path:
    """A copy of the same, made by running again where `settled` puts it: in `library` beside this one."""
    folder = tmp_path_factory.mktemp("settled")
    library = folder / "library"
    shutil.copytree(finished, library)
    counting = CountingEmbedder()
    with pytest.MonkeyPatch.context() as patch, kept_decoders.in_use():
        patch.setattr("wave_search.models.load", counting.load)
        with ws.open(library / "index") as index:
            report = index.add([library / "media"])
            index.remove(root for root in index.info().roots if not root.is_relative_to(library.resolve()))
    assert (report.reused, counting.clips) == (LIBRARY_FILES, [])
    return library.rename(folder / "kept")


@pytest.fixture
def settled(settled_once: Path, counted: CountingEmbedder) -> Iterator[Path]:
    """The same, with `media` indexed where it lies, which is the same place for each test."""
    library = shutil.copytree(settled_once, settled_once.with_name("library"))
    yield library
    shutil.rmtree(library)
