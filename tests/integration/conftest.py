"""Libraries and indexes to work on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import wave_search as ws
from tests.assistant import Assistant
from tests.libraries import LIBRARY_FILES, CountingEmbedder, make_library
from tests.media_decoding import KeptDecoders


@pytest.fixture(scope="session", autouse=True)
def one_core() -> Iterator[None]:
    """Make one decoder the default, as each costs CPU time to start; tests of several pass `workers`."""
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
    """A folder with a library and its index; to be copied. They were made in a folder next to it, `settled`."""
    folder = tmp_path_factory.mktemp("finished")
    make_library(folder / "settled" / "media")
    with pytest.MonkeyPatch.context() as patch, kept_decoders.in_use():
        patch.setattr("wave_search.models.load", CountingEmbedder().load)
        with ws.create(folder / "settled" / "index") as index:
            report = index.add([folder / "settled" / "media"])
    assert report.indexed == LIBRARY_FILES, report
    return (folder / "settled").rename(folder / "original")


@pytest.fixture(scope="session")
def kept(finished: Path, tmp_path_factory: pytest.TempPathFactory, kept_decoders: KeptDecoders) -> Path:
    """`media`, which no test changes, and an `index` that knows them there; to be copied."""
    folder = Path(shutil.copytree(finished, tmp_path_factory.mktemp("kept") / "library"))
    with pytest.MonkeyPatch.context() as patch, kept_decoders.in_use():
        patch.setattr("wave_search.models.load", CountingEmbedder().load)
        with ws.open(folder / "index") as index:
            assert index.add([folder / "media"]).reused == LIBRARY_FILES
            index.remove([finished.with_name("settled")])
    return folder


@pytest.fixture
def library(finished: Path, tmp_path: Path, counted: CountingEmbedder) -> Path:
    """`media` and `index` in a folder of their own, where `media` is known to the index by content only."""
    return Path(shutil.copytree(finished, tmp_path / "library"))


@pytest.fixture
def settled(finished: Path, counted: CountingEmbedder) -> Path:
    """`media` and `index` where they were made: one folder for all tests, as it was then."""
    folder = finished.with_name("settled")
    if folder.exists():
        shutil.rmtree(folder)
    return Path(shutil.copytree(finished, folder))


@pytest.fixture
def assistant(settled: Path, tmp_path: Path) -> Iterator[Assistant]:
    """An assistant that uses `settled`."""
    from wave_search.serve.options import ServeOptions
    from wave_search.serve.service import Service

    with (
        ws.open(settled / "index") as index,
        closing(Service(index, ServeOptions(), tmp_path / "cache")) as service,
    ):
        yield Assistant(service)
