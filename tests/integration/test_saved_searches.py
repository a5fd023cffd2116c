"""Searches that are kept with an index under names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import wave_search as ws
from tests.libraries import WORDS
from tests.serving import find, served
from wave_search.errors import NameTakenError, SearchNotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Called
    from tests.libraries import CountingEmbedder


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def opened(settled: Path) -> Iterator[ws.Index]:
    with ws.open(settled / "index") as index:
        yield index


def segment(index: ws.Index, name: str, target: str = "any") -> int:
    return index.search(text="x", where=f"name = '{name}'", target=target)[0].segment_id  # type: ignore[arg-type]


def test_a_search_is_kept_as_a_whole(opened: ws.Index, settled: Path) -> None:
    request = ws.SearchRequest.build(
        text=["a dog", ws.Weighted("rain", 0.5), ws.Not("music")],
        like=[segment(opened, "talking.mp4", "audio"), ws.Not(segment(opened, "note0.txt"))],
        target="audio", k=4, min_z=-20, where="duration_s > 0", moments=False, per_file=3, dedupe=0.99,
    )  # fmt: skip
    opened.save_search("  Ca\u0301t \U0001f408 ", request)
    with ws.open(settled / "index") as other:
        assert [one.name for one in other.saved_searches()] == ["C\u00e1t \U0001f408"]
        assert other.saved_request("c\u00c1T \U0001f408", k=4) == request
        assert other.search(other.saved_request("c\u00e1t \U0001f408", k=4)) == opened.search(request)
    opened.optimize()
    assert not ws.verify(settled / "index")
    assert opened.saved_request("c\u00e1t \U0001f408", k=4) == request


def test_a_segment_is_found_again_when_its_file_was_indexed_anew(opened: ws.Index, settled: Path) -> None:
    sound, note = segment(opened, "700.flac"), segment(opened, "note1.txt")
    opened.save_search("alike", ws.SearchRequest.build(like=[sound, note]))
    (sound_term, _) = opened.saved_searches()[0].terms
    assert (sound_term.name, opened.saved_segment(sound_term)) == ("700.flac", sound)
    opened.remove([settled / "media"])
    with pytest.raises(UsageError, match=r'"700.flac", to which "alike" refers, is not in the index any more'):
        opened.saved_request("alike")
    (settled / "media" / "sounds" / "700.flac").rename(settled / "media" / "moved.flac")
    opened.add([settled / "media"])
    items = [term.item.segment_id for term in opened.saved_request("alike").terms]
    assert items == [opened.saved_segment(term) for term in opened.saved_searches()[0].terms]
    found = [opened.segment(item) for item in items]
    assert [file.path.name for _, file in found] == ["moved.flac", "note1.txt"]
    assert min(items) > max(sound, note)
    assert (found[0][0].start_s, found[0][0].stop_s) == (sound_term.start_s, sound_term.stop_s)


def test_names_are_unique_and_searches_renamed_replaced_and_removed(opened: ws.Index) -> None:
    opened.save_search("Dogs", ws.SearchRequest.build(text="a dog"))
    with pytest.raises(NameTakenError, match='there is a search "dogs" already'):
        opened.save_search("dogs", ws.SearchRequest.build(text="a cat"))
    opened.save_search("dogs", ws.SearchRequest.build(text="a cat"), replace=True)
    opened.save_search("all", where="kind = 'video'")
    with pytest.raises(NameTakenError):
        opened.rename_search("all", "DOGS")
    opened.rename_search("dogs", "DOGS")
    opened.rename_search("DOGS", "cats / 1")
    assert [(one.name, one.where) for one in opened.saved_searches()] == [("all", "kind = 'video'"), ("cats / 1", None)]
    with pytest.raises(UsageError, match="lists files"):
        opened.saved_request("all")
    opened.remove_search("Cats / 1")
    for call in (opened.remove_search, opened.saved_request, lambda name: opened.rename_search(name, "x")):
        with pytest.raises(SearchNotFoundError, match='there is no search "cats / 1"'):
            call("cats / 1")


@pytest.mark.parametrize("name", ["", " ", "a\nb", "..", "x" * 101])
def test_a_name_can_be_shown(opened: ws.Index, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a search"):
        opened.save_search(name, where="true")


def test_files_and_vectors_are_not_kept(opened: ws.Index, settled: Path) -> None:
    sound = settled / "media" / "sounds" / "300.flac"
    for request in (ws.SearchRequest.build(audio=sound), ws.SearchRequest.build(vector=[1.0] * opened.model.dim)):
        with pytest.raises(UsageError, match="a search by a file or a vector cannot be saved"):
            opened.save_search("x", request)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def _of_another_name(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"dogs", b"cats"))


def _without_term(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"a dog"', b"null"))


def _deep(path: Path) -> None:
    path.write_bytes(b'{"name":' * 100_000)


@pytest.mark.parametrize("damage", [_cut, _of_another_name, _without_term, _deep])
def test_a_damaged_search_is_left_out_and_reported(opened: ws.Index, damage: Callable[[Path], None]) -> None:
    opened.save_search("dogs", ws.SearchRequest.build(text="a dog"))
    opened.save_search("rest", where="true")
    (path,) = (file for file in (opened.path / "searches").iterdir() if b"dogs" in file.read_bytes())
    damage(path)
    assert [one.name for one in opened.saved_searches()] == ["rest"]
    with pytest.raises(UsageError, match="cannot be read"):
        opened.saved_request("dogs")
    (problem,) = ws.verify(opened.path)
    assert problem.what.startswith(f"the saved search in {path} cannot be read")
    opened.save_search("dogs", ws.SearchRequest.build(text="a dog"), replace=True)
    assert not ws.verify(opened.path)


def test_no_link_is_followed(opened: ws.Index, tmp_path: Path) -> None:
    opened.save_search("dogs", where="true")
    (path,) = (opened.path / "searches").iterdir()
    path.rename(tmp_path / "elsewhere.json")
    path.symlink_to(tmp_path / "elsewhere.json")
    before = (tmp_path / "elsewhere.json").read_bytes()
    with pytest.raises(ws.errors.IndexStateError, match="symbolic link"):
        opened.saved_searches()
    with pytest.raises(ws.errors.IndexStateError, match="symbolic link"):
        opened.save_search("cats", where="true")
    assert (tmp_path / "elsewhere.json").read_bytes() == before


def test_the_api_keeps_searches(settled: Path, counted: CountingEmbedder, tmp_path: Path) -> None:
    with served(settled / "index", tmp_path / "cache") as client:
        like = find(client, "talking.mp4")["segment"]
        terms = [{"text": WORDS[0]}, {"segment": like, "weight": 2}, {"text": "rain", "avoid": True}]
        search = {"terms": terms, "min_z": 2.5, "where": "duration_s > 1", "moments": False}
        answer = client.put("/api/searches/AC%2FDC%20live", json=search)
        (saved,) = answer.json()["searches"]
        assert [(one["text"], one["segment"], one["weight"], one["avoid"]) for one in saved["terms"]] == [
            (WORDS[0], None, 1, False), ("rain", None, 0.5, True), (None, like, 2, False),
        ]  # fmt: skip
        assert (saved["name"], saved["min_z"], saved["moments"], saved["alert"]) == ("AC/DC live", 2.5, False, None)
        assert client.put("/api/searches/ac%2Fdc live", json=search).status_code == 409
        assert client.put("/api/searches/ac%2Fdc live?replace=true", json={"where": "true"}).status_code == 200
        (saved,) = client.patch("/api/searches/AC/DC live", json={"name": "rock"}).json()["searches"]
        assert (saved["name"], saved["where"], saved["terms"]) == ("rock", "true", [])
        assert client.get("/api/searches").json()["searches"] == [saved]
        assert client.delete("/api/searches/Rock").json()["searches"] == []
        assert error(client.delete("/api/searches/Rock")) == (404, 'there is no search "Rock"')
        upload = {"terms": [{"upload": "file0"}]}
        assert error(client.put("/api/searches/x", json=upload)) == (
            400,
            "an uploaded file is not kept, so that a search by it cannot be saved",
        )
        assert error(client.put("/api/searches/x", json={"terms": [{"text": "a", "avoid": True}]}))[0] == 400
        evil = client.put("/api/searches/x", json=search, headers={"origin": "http://evil.example"})
        assert evil.status_code == 403


def error(response: Any) -> tuple[int, str]:
    assert response.json()["error"]["remedy"]
    return response.status_code, response.json()["error"]["message"]


def test_the_command_line_saves_lists_runs_and_removes(settled: Path, called: Called) -> None:
    index = ["--index", str(settled / "index")]
    asked = called("query", WORDS[0], "--not-text", "rain", "--min-z=-9", "--json", "--save", "dogs", *index)
    assert asked.returncode == 0, asked.stderr
    assert called("query", "--where", "kind = 'video'", "--save", "films", *index).returncode == 0
    taken = called("query", "x", "--save", "DOGS", *index)
    assert (taken.returncode, "--replace" in taken.stderr) == (2, True)
    assert called("searches", "list", *index).stdout == (
        f"dogs\t{WORDS[0]}, not rain --min-z -9\t\nfilms\t--where kind = 'video'\t\n"
    )
    ran = called("searches", "run", "dogs", "--json", *index)
    assert ran.stdout == asked.stdout
    assert called("searches", "rename", "dogs", "barks", *index).returncode == 0
    assert json.loads(called("searches", "list", "--json", *index).stdout.splitlines()[0])["name"] == "barks"
    assert called("searches", "remove", "barks", "films", *index).returncode == 0
    assert called("searches", "list", *index).returncode == 4
