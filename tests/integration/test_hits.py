"""Hits as values: tables, JSON, copies, notebooks; several queries; segments with vectors; what `repr` says."""

from __future__ import annotations

import copy
import json
import pickle
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import wave_search as ws
from tests.libraries import LIBRARY_SEGMENTS, CountingEmbedder
from tests.media_decoding import KeptDecoders
from wave_search.progress import auto
from wave_search.render.notebook import NotebookProgress


@pytest.fixture(scope="module")
def index(kept: Path, kept_decoders: KeptDecoders) -> Iterator[ws.Index]:
    with pytest.MonkeyPatch.context() as patch, kept_decoders.in_use():
        patch.setattr("wave_search.models.load", CountingEmbedder().load)
        with ws.open(kept / "index") as opened:
            yield opened


@pytest.fixture(scope="module")
def hits(index: ws.Index) -> ws.Hits:
    found = index.search(text="rain", k=20, columns=["fps", "size_bytes", "segments"])
    assert {hit.kind for hit in found} == {"text", "image", "audio", "video"}
    return found


def test_hits_are_copied_pickled_and_sliced(hits: ws.Hits) -> None:
    for same in (pickle.loads(pickle.dumps(hits)), copy.deepcopy(hits), copy.copy(hits), hits[:]):  # noqa: S301 - ours
        assert (same, type(same)) == (hits, ws.Hits)
    assert hits[0].columns["segments"] == hits[0].segments
    assert (type(hits[0]), type(hits[1:2]), hits[-1]) == (ws.Hit, ws.Hits, [*hits][-1])
    request = ws.SearchRequest.build(text=["rain", ws.Not("snow")], vector=np.ones(64), image=np.ones((30, 30)), k=3)
    for one in (request, pickle.loads(pickle.dumps(request))):  # noqa: S301 - ours
        assert copy.deepcopy(one) == request


def test_hits_as_json(hits: ws.Hits) -> None:
    records = json.loads(json.dumps(hits.to_dicts()))
    assert [record["rank"] for record in records] == [*range(1, len(hits) + 1)]
    for record, hit in zip(records, hits, strict=True):
        assert (record["path"], record["modality"], record["z"]) == (str(hit.path), str(hit.modality), hit.z)
        assert (record["fps"], record["size_bytes"]) == (hit.columns["fps"], hit.columns["size_bytes"])
        assert record["segments"] == hit.segments
        assert "columns" not in record


def test_hits_as_tables(hits: ws.Hits) -> None:
    table = hits.to_arrow()
    assert table.to_pylist() == hits.to_dicts()
    frame = hits.to_pandas()
    assert [*frame.columns] == [*hits[0].to_dict()]
    assert frame["segment_id"].tolist() == [hit.segment_id for hit in hits]
    empty = ws.Hits().to_arrow()
    assert empty.num_rows == 0
    assert {*empty.schema.names} == {*table.schema.names} - {"fps", "size_bytes"}
    assert [empty.schema.field(name).type for name in empty.schema.names] == [
        table.schema.field(name).type for name in empty.schema.names
    ]
    odd = ws.Hits([replace(hits[0], path=Path("a\udcff.mp4"))])
    assert odd.to_arrow()["path"].to_pylist() == ["a?.mp4"]


def test_a_table_without_pandas_says_what_to_install(hits: ws.Hits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.setattr(ws.Hits, "to_arrow", lambda _: pa.table({"a": [1]}))
    with pytest.raises(ws.errors.UsageError, match=r"pandas is not installed\. Run: pip install pandas"):
        hits.to_pandas()


def test_a_notebook_shows_pictures_and_players(hits: ws.Hits, tmp_path: Path) -> None:
    of_kind = {hit.kind: hit for hit in hits if hit.path.name != "silent.mp4"}
    gone = replace(of_kind["image"], path=tmp_path / "<gone>.png", columns={"note": "<b>"})
    page = ws.Hits([*of_kind.values(), gone])._repr_html_()
    assert page.count("data:image/jpeg;base64,/9j/") == 2
    assert page.count("<audio controls") == 2
    assert "there is no such file on this machine" in page
    assert "&lt;gone&gt;.png" in page
    assert "note: &lt;b&gt;" in page
    assert "<gone>" not in page
    assert all(hit.path.name in page for hit in of_kind.values())
    assert ws.Hits()._repr_html_() == "<div>no hits</div>"
    assert "and 5 more" in ws.Hits([of_kind["text"]] * 25)._repr_html_()


def test_several_queries_are_as_each_alone(index: ws.Index) -> None:
    seen: list[ws.Progress] = []
    picture = np.full((30, 30, 3), 99, np.uint8)
    request = ws.SearchRequest.build(text="snow", k=2)
    found = index.search_many(["rain", request, {"image": picture, "k": 1}], target="image", k=3, progress=seen.append)
    assert found == [
        index.search(text="rain", target="image", k=3),
        index.search(request),
        index.search(image=picture, target="image", k=1),
    ]
    assert {type(each) for each in found} == {ws.Hits}
    assert [(each.stage, each.files_done) for each in seen] == [("embed", 1), ("embed", 2), ("embed", 3), ("done", 3)]
    assert index.search_many([]) == []


@pytest.mark.parametrize(
    ("queries", "message"),
    [
        ("rain", "search_many takes several queries. Use search for a single one"),
        (["rain", 5], "5 is not a query"),
        (["rain", {"txt": "a"}], "a search has no keyword 'txt'"),
        ([{"text": "rain", "k": 0}], "k must be at least 1"),
        (5, "the queries must be several items, got 5"),
    ],
)
def test_queries_are_checked_before_the_first_search(index: ws.Index, queries: Any, message: str) -> None:
    with pytest.raises(ws.errors.UsageError, match=message):
        index.search_many(queries)


def test_segments_with_vectors(index: ws.Index) -> None:
    everything = index.segments()
    assert len(everything) == sum(LIBRARY_SEGMENTS.values())
    rows = [*everything]
    assert [*map(len, (rows, {row.segment_id for row in rows}))] == [len(everything)] * 2
    for row in rows:
        details, file = index.segment(row.segment_id)
        assert (row.modality, row.start_s, row.stop_s, row.text) == (
            details.modality,
            details.start_s,
            details.stop_s,
            details.text,
        )
        assert row.path == file.path
        assert (row.vector.shape, row.vector.dtype, row.instruction) == ((64,), np.float32, "")
        assert index.search(vector=row.vector, target=row.modality, moments=False, k=1)[0].score > 0.999
    sounds = index.segments("kind = 'audio' AND duration_s > 3", modality=["audio", "image"])
    assert {(row.path.name, row.modality.value) for row in sounds} == {("700.flac", "audio")}
    assert [row.segment_id for row in sounds] == [row.segment_id for row in sounds]  # again
    with pytest.raises(ws.errors.UsageError, match="there is no column"):
        index.segments("colour = 'red'")


def test_segments_as_record_batches(index: ws.Index) -> None:
    segments = index.segments(modality="video")
    table = pa.Table.from_batches(segments.batches())
    assert table.num_rows == len(segments) == LIBRARY_SEGMENTS[ws.Modality.VIDEO]
    assert table.schema.field("vector").type == pa.list_(pa.float32(), 64)
    for row, record in zip(segments, table.to_pylist(), strict=True):
        assert record.pop("vector") == row.vector.tolist()
        assert record == {name: getattr(row, name) for name in record} | {"path": str(row.path), "modality": "video"}


def test_items_that_cannot_be_embedded_are_left_out(kept: Path, index: ws.Index) -> None:
    seen: list[ws.Progress] = []
    items = ["rain", "", np.zeros((30, 30), np.uint8), ws.Audio(kept / "media" / "pictures" / "0.png"), 5, "snow"]
    with ws.load_embedder() as embedder:
        found = embedder.encode(items, errors="skip", batch_size=2, progress=seen.append)
        assert found.positions.tolist() == [0, 2, 5]
        np.testing.assert_allclose(found.vectors, embedder.encode([items[0], items[2], items[5]]), atol=1e-6)
        assert {position: type(error) for position, error in found.errors.items()} == dict.fromkeys(
            (1, 3, 4), ws.errors.UsageError
        )
        assert "the file has no audio" in str(found.errors[3])
        assert [each.files_total for each in seen] == [6, 6, 6]
        assert (seen[-1].stage, seen[-1].files_done) == ("done", 6)
        generated = embedder.encode((text for text in ("rain", "snow")), batch_size=1)
        np.testing.assert_allclose(generated, found.vectors[[0, 2]], atol=1e-6)
        seen.clear()
        with pytest.raises(ws.errors.UsageError, match="the text is empty"):
            embedder.encode(items, progress=seen.append)
        assert [each.stage for each in seen] == ["done"]  # a display ends
        with pytest.raises(ws.errors.UsageError, match='errors must be "raise" or "skip", got'):
            embedder.encode(["a"], errors="ignore")  # type: ignore[call-overload]


def test_an_item_that_the_model_refuses_is_left_out_alone(index: ws.Index, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(CountingEmbedder):
        def embed_each(self, clips: Any, *arguments: Any) -> Any:
            if any(clip.text == "too long" for clip in clips):
                raise ws.errors.UsageError("it has too many tokens")
            return super().embed_each(clips, *arguments)

    monkeypatch.setattr("wave_search.models.load", Refusing().load)
    with ws.load_embedder() as embedder:
        found = embedder.encode(["rain", "too long", "snow"], errors="skip")
    assert (found.positions.tolist(), [*found.errors]) == ([0, 2], [1])


def test_an_index_says_what_it_holds(index: ws.Index, tmp_path: Path) -> None:
    held = ", ".join(f"{count} {modality}" for modality, count in LIBRARY_SEGMENTS.items())
    assert repr(index) == (
        f"<Index {str(index.path)!r}: 10 files, {held} segments, model wave-tiny, version {index.version}>"
    )
    with ws.create(tmp_path / "new", "wave-tiny") as new:
        assert re.fullmatch(r"<Index .*: 0 files, no segments, model wave-tiny, version 1>", repr(new))


class Shown:
    """What a notebook shows, in place of its front end."""

    def __init__(self) -> None:
        self.cells: list[list[str]] = []

    def display(self, text: str, display_id: bool) -> Shown:
        self.cells.append([text])
        return self

    def update(self, text: str) -> None:
        self.cells[-1].append(text)


def test_progress_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not isinstance(auto(), NotebookProgress)
    shown, shell, module = Shown(), ModuleType("IPython"), ModuleType("IPython.display")
    module.HTML, module.display = str, shown.display  # type: ignore[attr-defined]
    shell.get_ipython = type("Shell", (), {"kernel": object()})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", shell)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    progress = auto()
    assert isinstance(progress, NotebookProgress)
    for done in range(3):
        progress(ws.Progress("embed", 3, done, 0, done, 0.0, Path("<a>.wav")))
    progress(ws.Progress("done", 3, 3, 0, 3, 0.0))
    ((first, *_, last),) = shown.cells
    assert first == '<progress value="0" max="3"></progress> embed 0/3 &lt;a&gt;.wav'
    assert last == '<progress value="3" max="3"></progress> done 3/3, 3 segments '
    progress(ws.Progress("scan", 0, 0, 0, 0, 0.0))
    assert shown.cells[1] == ["<progress></progress> scan  "]  # another run has a line of its own
