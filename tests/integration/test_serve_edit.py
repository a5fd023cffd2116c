"""Tags and the user's own columns, edited through the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import wave_search as ws
from tests.serving import find, served
from wave_search.store import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from httpx import Response
    from starlette.testclient import TestClient

    from tests.libraries import CountingEmbedder


@pytest.fixture
def site(library: Path, counted: CountingEmbedder, tmp_path: Path) -> Iterator[TestClient]:
    """A client of a library of its own, with columns: year and tag for one file."""
    (library / "table.csv").write_text("path,year,good,at,tag\nsounds/300.flac,1999,true,2026-11-30,dog\n")
    with ws.open(library / "index") as index:
        index.import_metadata(library / "table.csv")
    with served(library / "index", tmp_path / "cache") as client:
        yield client


def edit(client: TestClient, segments: list[int], **change: Any) -> Response:
    return client.post("/api/metadata", json={"edits": [{"segments": segments, **change}]})


def columns(client: TestClient, name: str) -> dict[str, Any]:
    """The own columns of a file that have a value."""
    own = [column["name"] for column in client.get("/api/library").json()["columns"]]
    found = client.get(f"/api/segments/{find(client, name)['segment']}").json()["file"]["columns"]
    return {column: found[column] for column in own if found[column] is not None}


def error(response: Response) -> tuple[int, str]:
    assert response.json()["error"]["remedy"]
    return response.status_code, response.json()["error"]["message"]


def test_tags_are_added_and_removed_and_filtered_by(site: TestClient) -> None:
    files = [find(site, name)["segment"] for name in ("300.flac", "silent.mp4")]
    answer = edit(site, files, add={"tags": ["  night ", "cafe\u0301", "night"]}).json()
    assert answer["files"] == 2
    assert columns(site, "silent.mp4") == {"tags": ["night", "caf\u00e9"]}
    assert columns(site, "300.flac")["tag"] == "dog"
    listed = site.post("/api/search", json={"where": "list_contains(tags, 'night')"}).json()["hits"]
    assert [hit["name"] for hit in listed] == ["300.flac", "silent.mp4"]
    edit(site, files[:1], add={"tags": ["alone"]}, remove={"TAGS": ["night", "unknown"]})
    assert columns(site, "300.flac")["tags"] == ["caf\u00e9", "alone"]
    assert site.get("/api/metadata/values?column=tags").json()["values"][0] == "caf\u00e9"
    edit(site, files[1:], set={"tags": []})
    assert columns(site, "silent.mp4") == {}


def test_values_are_set_by_the_type_of_their_column_and_cleared(site: TestClient) -> None:
    segment = find(site, "300.flac")["segment"]
    change = {"year": 0, "good": False, "at": "2026-12-01T10:00+02:00", "tag": None, "note": "a cat"}
    assert edit(site, [segment], set=change).json()["files"] == 1
    assert columns(site, "300.flac") == {"year": 0, "good": False, "at": "2026-12-01T08:00:00", "note": "a cat"}
    assert {one["name"]: one["type"] for one in site.get("/api/library").json()["columns"]} == {
        "year": "number", "good": "bool", "at": "timestamp", "tag": "text", "note": "text",
    }  # fmt: skip
    assert edit(site, [segment], set={"year": "", "nothing": None}).json()["files"] == 1
    assert "year" not in columns(site, "300.flac")


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"set": {"year": "early"}}, 400, "'early' does not fit the column \"year\" (number)"),
        ({"set": {"at": "soon"}}, 400, "'soon' does not fit the column \"at\" (timestamp)"),
        ({"set": {"tag": ["a", "b"]}}, 400, "['a', 'b'] does not fit the column \"tag\" (text)"),
        ({"set": {"Kind": "x"}}, 400, 'the column name "Kind" is reserved'),
        ({"set": {" ": "x"}}, 400, "invalid column name ''"),
        ({"add": {"tag": ["cat"]}}, 400, '"tag" holds one text for each file, no list'),
        ({"add": {"tags": ["a\nb"]}}, 400, "'a\\nb' cannot be a tag"),
        ({"add": {"tags": [" "]}}, 400, "'' cannot be a tag"),
        ({"sett": {}}, 422, "edits.1.sett: Extra inputs are not permitted"),
        ({"segments": []}, 422, "edits.1.segments: List should have at least 1 item after validation, not 0"),
        ({"segments": [10**9]}, 404, "segment 1000000000 is not in the index"),
    ],
)
def test_an_edit_that_does_not_fit_changes_nothing(
    site: TestClient, change: dict[str, Any], status: int, message: str
) -> None:
    segment, version = find(site, "300.flac")["segment"], site.get("/api/health").json()["index_version"]
    good = {"segments": [segment], "set": {"year": 5}}
    response = site.post("/api/metadata", json={"edits": [good, {"segments": [segment], **change}]})
    assert error(response) == (status, message)
    assert columns(site, "300.flac")["year"] == 1999
    assert site.get("/api/health").json()["index_version"] == version


def test_an_edit_is_undone_once_and_not_over_a_later_one(site: TestClient) -> None:
    segment = find(site, "300.flac")["segment"]
    before = columns(site, "300.flac")
    first = edit(site, [segment], set={"year": 2000, "tag": None}, add={"tags": ["x"]}).json()["undo"]
    second = edit(site, [segment], set={"year": 2001}).json()["undo"]
    status, message = error(site.post("/api/metadata/undo", json={"undo": first}))
    assert (status, message.endswith("was changed again, and nothing was undone")) == (400, True)
    assert site.post("/api/metadata/undo", json={"undo": second}).json()["files"] == 1
    assert site.post("/api/metadata/undo", json={"undo": first}).json()["files"] == 1
    assert columns(site, "300.flac") == before
    assert error(site.post("/api/metadata/undo", json={"undo": first}))[0] == 404


def test_what_changes_nothing_makes_no_version(site: TestClient) -> None:
    segment, version = find(site, "300.flac")["segment"], site.get("/api/health").json()["index_version"]
    answer = edit(site, [segment], set={"year": "1999"}, remove={"tags": ["x"]}).json()
    assert answer == {"files": 0, "index_version": version, "undo": None}


def test_all_files_of_a_content_are_edited(settled: Path) -> None:
    media = settled / "media" / "sounds"
    (media / "copy.flac").write_bytes((media / "300.flac").read_bytes())
    with ws.open(settled / "index") as index:
        index.add([settled / "media"])
        first, second = index.paths([index.search(text="x", where="name = 'copy.flac'")[0].segment_id])
        undo = index.edit_metadata([ws.MetadataEdit([first], {"year": 1}), ws.MetadataEdit([second], {"year": 2})])
        done = index.edit_metadata([ws.MetadataEdit([first, second], {"year": 3})])
        assert [(change.path.name, change.before, change.after) for change in done.changes] == [
            ("300.flac", 1, 3), ("copy.flac", 2, 3),
        ]  # fmt: skip
        with pytest.raises(ws.errors.UsageError, match="nothing was undone"):
            index.restore_metadata(undo.changes)
        index.restore_metadata(done.changes)
        assert {file.path.name: file.columns["year"] for file in index.files("year > 0", columns=["year"])} == {
            "300.flac": 1, "copy.flac": 2,
        }  # fmt: skip
        with pytest.raises(ws.errors.UsageError, match="nowhere is not in the index"):
            index.edit_metadata([ws.MetadataEdit(["nowhere"], {"year": 3})])


def test_while_another_process_writes_edits_are_refused_and_searches_answered(site: TestClient, library: Path) -> None:
    segment = find(site, "300.flac")["segment"]
    with Writer(library / "index"):
        status, message = error(edit(site, [segment], add={"tags": ["x"]}))
        assert (status, "is being written by" in message) == (423, True)
        assert site.post("/api/search", json={"terms": [{"text": "a dog"}]}).status_code == 200
    assert edit(site, [segment], add={"tags": ["x"]}).status_code == 200


def test_a_page_of_another_site_edits_nothing(site: TestClient) -> None:
    edits = {"edits": [{"segments": [find(site, "300.flac")["segment"]], "set": {"year": 1}}]}
    response = site.post("/api/metadata", json=edits, headers={"origin": "http://evil.example"})
    assert error(response)[0] == 403
