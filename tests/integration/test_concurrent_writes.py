"""Several calls that write an index from one process."""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest

import wave_search as ws
from tests.libraries import CountingEmbedder
from wave_search.descriptors import write_at

HELD = re.escape(f"is being written by process {os.getpid()} (this one, in another call) since ")


def test_a_second_add_of_this_process_says_so(
    tmp_path: Path, counted: CountingEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "a.txt").write_text("rain")
    begun, go_on = Event(), Event()

    def wait(progress: ws.Progress) -> None:
        begun.set()
        go_on.wait(60)

    with ws.create(tmp_path / "index") as index, ThreadPoolExecutor(1) as pool:
        first = pool.submit(index.add, [tmp_path / "media"], progress=wait)
        try:
            assert begun.wait(60)
            for write in (lambda: index.add([tmp_path / "media"]), lambda: index.remove(["a"]), index.optimize):
                with pytest.raises(ws.errors.IndexLockedError) as raised:
                    write()
                assert re.search(HELD, raised.value.message)
                assert raised.value.remedy.startswith("Wait until it returns: add, remove and other calls that write")
        finally:
            go_on.set()
        assert first.result().indexed == 1
        assert index.add([tmp_path / "media"]).unchanged == 1

        def write_name(descriptor: int, *place: Any) -> None:
            if place[-1] == 0 and b'"host"' in place[0]:
                with pytest.raises(ws.errors.IndexLockedError, match=HELD):  # before the name is in the file
                    index.optimize()
                tried.append(place)
            write_at(descriptor, *place)

        tried: list[Any] = []
        (tmp_path / "index" / "lock").write_bytes(b"")
        monkeypatch.setattr("wave_search.store.local_files.write_at", write_name)
        index.remove(["a"])
    assert len(tried) == 1
