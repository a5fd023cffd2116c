"""Work on files beside searching: duplicates, the file manager, and copies of which one is intact."""

from __future__ import annotations

import os
import shutil
import threading
from typing import TYPE_CHECKING, Any

import pytest

import wave_search as ws
from tests.media_factory import write_sound
from tests.serving import find, served
from wave_search.serve.options import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.testclient import TestClient

    from tests.libraries import CountingEmbedder
    from tests.media_decoding import KeptDecoders


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, kept_decoders: KeptDecoders) -> Path:
    """A sound in two formats, one of them three times, another sound, and their index."""
    folder = tmp_path_factory.mktemp("copies").resolve()
    media = folder / "media"
    media.mkdir()
    write_sound(media / "a.flac", 2.0, 500.0)
    for name in ("b.flac", "c.flac"):
        shutil.copy(media / "a.flac", media / name)
    write_sound(media / "same.wav", 2.0, 500.0)
    write_sound(media / "other.wav", 1.0, 3000.0)
    with pytest.MonkeyPatch.context() as patch, kept_decoders.in_use():
        from tests.libraries import CountingEmbedder

        patch.setattr("wave_search.models.load", CountingEmbedder().load)
        with ws.create(folder / "index") as index:
            assert index.add([media]).reused == 2
    return folder


@pytest.fixture
def site(folder: Path, counted: CountingEmbedder, tmp_path: Path) -> Iterator[TestClient]:
    with served(folder / "index", tmp_path / "cache") as client:
        yield client


def duplicates(client: TestClient, **parameters: Any) -> dict[str, Any]:
    response = client.get("/api/duplicates", params=parameters)
    assert response.status_code == 200, response.text
    return dict(response.json())


def names(group: dict[str, Any]) -> list[str]:
    return [member["hit"]["name"] for member in group["members"]]


def test_identical_files_and_segments_that_are_nearly_the_same_are_told_apart(site: TestClient) -> None:
    answer = duplicates(site, threshold=0.999)
    identical, similar = answer["groups"]
    assert (identical["kind"], identical["modality"], names(identical)) == (
        "identical", None, ["a.flac", "b.flac", "c.flac"],
    )  # fmt: skip
    assert (similar["kind"], similar["modality"], names(similar)) == ("similar", "audio", ["a.flac", "same.wav"])
    assert similar["score"] >= 0.999
    flac, wav = similar["members"]
    assert (flac["columns"]["audio_codec"], wav["columns"]["audio_codec"]) == ("flac", "pcm_16")
    assert flac["columns"]["size_bytes"] < wav["columns"]["size_bytes"]
    assert (wav["hit"]["start_s"], wav["hit"]["stop_s"]) == (0.0, 2.0)
    assert identical["members"][1]["hit"]["start_s"] is None, "the whole file"
    assert site.get(f"/api/segments/{identical['members'][1]['hit']['segment']}/media").status_code == 200
    assert (answer["total"], answer["more"]) == (2, False)


def test_groups_come_in_pages_and_by_modality(site: TestClient) -> None:
    pages = [duplicates(site, threshold=0.999, limit=1, offset=offset) for offset in (0, 1)]
    assert [(page["groups"][0]["kind"], page["more"]) for page in pages] == [("identical", True), ("similar", False)]
    assert [group["kind"] for group in duplicates(site, threshold=0.999, modality="audio")["groups"]] == ["similar"]
    assert duplicates(site, threshold=0.999, modality="image")["groups"] == []


@pytest.mark.parametrize("parameters", [{"threshold": 0}, {"threshold": "nan"}, {"limit": 101}, {"modality": "smell"}])
def test_what_is_not_a_comparison_is_refused(site: TestClient, parameters: dict[str, Any]) -> None:
    assert site.get("/api/duplicates", params=parameters).status_code == 422


def test_a_version_is_compared_once(site: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    first = duplicates(site)
    monkeypatch.setattr("wave_search.index.find_duplicates", lambda snapshot, threshold: [])
    assert duplicates(site) == first
    assert duplicates(site, threshold=0.5)["total"] == 0


def test_a_comparison_that_takes_long_goes_on_and_is_there_the_next_time(
    folder: Path, counted: CountingEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released, compared = threading.Event(), threading.Event()
    monkeypatch.setattr(
        "wave_search.index.find_duplicates", lambda snapshot, threshold: (released.wait() and compared.set()) or []
    )
    with served(folder / "index", tmp_path / "cache", limits=Limits(query_s=0.05)) as client:
        late = client.get("/api/duplicates")
        assert (late.status_code, late.json()["error"]["message"]) == (504, "comparing takes longer than 0.05 s")
        released.set()
        assert compared.wait(30)
        monkeypatch.undo()


def test_an_intact_copy_is_used_when_the_first_has_changed(
    folder: Path, counted: CountingEmbedder, tmp_path: Path
) -> None:
    first = folder / "media" / "a.flac"
    content, times = first.read_bytes(), (first.stat().st_atime_ns, first.stat().st_mtime_ns)
    with served(folder / "index", tmp_path / "cache") as client:
        segment = find(client, "a.flac")["segment"]
        assert client.get(f"/api/segments/{segment}").json()["file"]["name"] == "a.flac"
        try:
            first.write_bytes(b"something else")
            answer = client.get(f"/api/segments/{segment}").json()["file"]
            assert (answer["name"], answer["playable"]) == ("b.flac", "direct")
            assert client.get(f"/api/segments/{segment}/media").content == content
            assert client.get(f"/api/segments/{segment}/clip").status_code == 200
        finally:
            first.write_bytes(content)
            os.utime(first, ns=times)


def programs(folder: Path, monkeypatch: pytest.MonkeyPatch, **codes: int) -> Path:
    """Put programs on the path that write down their arguments. Returns where."""
    folder.mkdir()
    for name, code in codes.items():
        program = folder / name.replace("_", "-")
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" {name} "$@" >> {folder}/asked\nexit {code}\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return folder / "asked"


@pytest.mark.parametrize("selects", [True, False])
def test_a_file_is_shown_in_the_file_manager_of_this_machine(
    folder: Path, counted: CountingEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, selects: bool
) -> None:
    with served(folder / "index", tmp_path / "cache", desktop=True) as client:
        assert client.get("/api/library").json()["can_reveal"] is True
        segment = find(client, "other.wav")["segment"]
        asked = programs(tmp_path / "bin", monkeypatch, dbus_send=0 if selects else 1, xdg_open=0)
        assert client.post(f"/api/segments/{segment}/reveal").json() == {"shown": True}
        media = folder / "media"
        lines = asked.read_text().splitlines()
        assert f"array:string:{(media / 'other.wav').as_uri()}" in lines
        assert lines[-2:] == (["xdg_open", str(media)] if not selects else lines[-2:])
        site = {"sec-fetch-site": "cross-site"}
        assert client.post(f"/api/segments/{segment}/reveal", headers=site).status_code == 403
        assert client.get(f"/api/segments/{segment}/reveal").status_code == 404
        monkeypatch.setenv("PATH", str(media))
        failed = client.post(f"/api/segments/{segment}/reveal")
        assert (failed.status_code, failed.json()["error"]["message"]) == (500, "no file manager could be opened")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"desktop": True, "host": "192.0.2.1", "token": "x" * 20},
        {"desktop": True, "names": ("a.example",), "token": "x" * 20},
    ],
)
def test_nobody_else_opens_windows_here(
    folder: Path, counted: CountingEmbedder, tmp_path: Path, options: dict[str, Any]
) -> None:
    with served(folder / "index", tmp_path / "cache", **options) as client:
        client.headers["authorization"] = f"Bearer {'x' * 20}"
        assert client.get("/api/library").json()["can_reveal"] is False
        response = client.post("/api/segments/1/reveal")
        assert (response.status_code, response.json()["error"]["remedy"]) == (403, "Copy the path instead.")
