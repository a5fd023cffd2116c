"""Export by the server: tables, playlists and timelines of chosen ranges, and ZIP files of clips."""

from __future__ import annotations

import csv
import io
import json
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import av
import opentimelineio as otio
import pytest

import wave_search as ws
from tests.media_factory import tone, write_image, write_sound
from tests.media_samples import ENCODINGS, moving_picture, write_av, write_frames
from tests.serving import find, served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.testclient import TestClient

    from tests.libraries import CountingEmbedder
    from tests.media_decoding import KeptDecoders


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, kept_decoders: KeptDecoders) -> Path:
    """A folder of a film, a film without sound, a sound, a picture and a text, and its index."""
    folder = tmp_path_factory.mktemp("chosen").resolve()
    media = folder / "media"
    media.mkdir()
    write_av(media / "film.mp4", moving_picture(24, 48, 64), 8, tone(3.0, 440.0)[:, None], 16_000)
    write_frames(media / "old.avi", moving_picture(50, 48, 64), ENCODINGS["mpeg4.avi"])
    write_sound(media / "töne: 1.wav", 2.0, 500.0)
    write_image(media / "photo.png", seed=4)
    (media / "note.txt").write_text("a dog barks")
    with pytest.MonkeyPatch.context() as patch, kept_decoders.in_use():
        from tests.libraries import CountingEmbedder

        patch.setattr("wave_search.models.load", CountingEmbedder().load)
        with ws.create(folder / "index") as index:
            assert index.add([media]).indexed == 5
    return folder


@pytest.fixture
def site(folder: Path, counted: CountingEmbedder, tmp_path: Path) -> Iterator[TestClient]:
    with served(folder / "index", tmp_path / "cache") as client:
        yield client


def item(client: TestClient, name: str, *times: float) -> dict[str, Any]:
    start_and_stop = zip(("start_s", "stop_s"), times, strict=False)
    return {"segment": find(client, name)["segment"], **dict(start_and_stop)}


def exported(client: TestClient, format_: str, *items: dict[str, Any], **fields: Any) -> Any:
    response = client.post("/api/export", json={"format": format_, "items": items, **fields})
    assert response.status_code == 200, response.text
    return response


def test_a_table_has_the_chosen_ranges_in_order(site: TestClient, folder: Path) -> None:
    items = item(site, "photo.png"), item(site, "film.mp4", 0.5, 9.0), item(site, "film.mp4")
    answer = exported(site, "csv", *items, name="the \N{LATIN SMALL LETTER E WITH ACUTE}nd")
    assert answer.headers["content-disposition"] == "attachment; filename*=utf-8''the%20%C3%A9nd.csv"
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [(row["rank"], row["start_s"], row["stop_s"]) for row in rows] == [
        ("1", "", ""), ("2", "0.5", "3.0"), ("3", "0.0", "3.0"),
    ]  # fmt: skip
    assert rows[1]["path"] == str(folder / "media" / "film.mp4")
    lines = exported(site, "jsonl", *items).text.splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["image", "video", "video"]


def test_a_playlist_plays_the_ranges(site: TestClient, folder: Path) -> None:
    answer = exported(site, "m3u8", item(site, "film.mp4", 1.0, 2.5), name="a/b")
    assert answer.headers["content-disposition"] == 'attachment; filename="a_b.m3u8"'
    assert answer.headers["content-type"] == "application/vnd.apple.mpegurl"
    assert answer.text.splitlines() == [
        "#EXTM3U",
        "#EXTINF:1.500,film.mp4",
        "#EXTVLCOPT:start-time=1.000",
        "#EXTVLCOPT:stop-time=2.500",
        (folder / "media" / "film.mp4").as_uri(),
    ]


@pytest.mark.parametrize(("format_", "adapter"), [("otio", "otio_json"), ("edl", "cmx_3600"), ("fcpxml", "fcpx_xml")])
def test_a_timeline_has_the_ranges_with_all_that_a_file_has(site: TestClient, format_: str, adapter: str) -> None:
    items = item(site, "old.avi", 0.4, 1.2), item(site, "film.mp4", 1.0, 2.5), item(site, "note.txt")
    text = exported(site, format_, *items, name="dogs").text
    options = {"rate": 25, "ignore_timecode_mismatch": True} if format_ == "edl" else {}
    (timeline,) = [otio.adapters.read_from_string(text, adapter, **options)]
    timeline = timeline[0] if format_ == "fcpxml" else timeline
    assert timeline.name == "dogs"
    clips = [clip for clip in timeline.tracks[0] if isinstance(clip, otio.schema.Clip)]
    assert [clip.name for clip in clips] == ["old.avi", "film.mp4"]
    ranges = [(clip.source_range.start_time.to_seconds(), clip.source_range.duration.to_seconds()) for clip in clips]
    assert ranges[0] == (0.4, 0.8)
    assert ranges[1] == pytest.approx((1.0, 1.5), abs=1 / 8)  # the frames of this file
    if format_ != "fcpxml":
        (sound,) = (clip for clip in timeline.tracks[1] if isinstance(clip, otio.schema.Clip))
        assert sound.name == "film.mp4", "the other film has none"


def test_a_zip_has_clips_that_play_and_what_could_not_be_cut(site: TestClient, folder: Path) -> None:
    items = [
        item(site, "film.mp4", 1.0, 2.0), item(site, "t\N{LATIN SMALL LETTER O WITH DIAERESIS}ne: 1.wav", 0.5, 1.0),
        item(site, "photo.png"), item(site, "note.txt"), {"segment": 10**6}, item(site, "old.avi"),
        item(site, "film.mp4", 5.0, 6.0),
    ]  # fmt: skip
    answer = exported(site, "zip", *items)
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        content = {entry.filename: archive.read(entry) for entry in archive.infolist()}
        assert {entry.compress_type for entry in archive.infolist()[:-1]} == {zipfile.ZIP_STORED}
    *clips, skipped = content
    assert clips == ["001 film 1-2.mp4", "002 töne_ 1 0.5-1.mp4", "003 photo.png", "006 old 0-2.mp4"]
    assert content["003 photo.png"] == (folder / "media" / "photo.png").read_bytes()
    for name, kinds, seconds in (
        (clips[0], {"video", "audio"}, 1),
        (clips[1], {"audio"}, 0.5),
        (clips[3], {"video"}, 2),
    ):
        with av.open(io.BytesIO(content[name])) as clip:
            assert {stream.type for stream in clip.streams} == kinds
            assert float(clip.duration / 1e6) == pytest.approx(seconds, abs=0.2)
            assert sum(1 for _ in clip.decode(clip.streams[0])) > 3
    lines = content[skipped].decode().splitlines()
    assert [line[:3] for line in lines] == ["004", "005", "007"]
    assert "a text has no clip" in lines[0]
    assert "is not in the index" in lines[1]
    assert "5 to 3 s is not a range of the file. It ends at 3 s." in lines[2]


def test_a_file_that_has_changed_is_skipped_and_told(site: TestClient, folder: Path) -> None:
    old, photo = folder / "media" / "old.avi", item(site, "photo.png")
    chosen = item(site, "old.avi", 0.1, 0.7)
    moved = old.rename(folder / "moved.avi")
    try:
        answer = exported(site, "zip", chosen, photo)
    finally:
        moved.rename(old)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["002 photo.png", "skipped.txt"]
        assert "old.avi: there is no such file any more" in archive.read("skipped.txt").decode()


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        ({"items": []}, 422, "items"),
        ({"format": "exe"}, 422, "format"),
        ({"items": [{"segment": 10**6}]}, 404, "segment 1000000 is not in the index"),
        ({"items": [{"segment": 1}] * 501}, 422, "items"),
        ({"items": [{"segment": 1, "start_s": -1}]}, 422, "start_s"),
    ],
)
def test_what_cannot_be_exported_is_refused(
    site: TestClient, fields: dict[str, Any], status: int, message: str
) -> None:
    response = site.post("/api/export", json={"format": "csv", "items": [{"segment": 1}], **fields})
    assert (response.status_code, message in response.json()["error"]["message"]) == (status, True), response.text


def test_a_timeline_without_its_package_names_what_to_install(
    site: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opentimelineio", None)
    response = site.post("/api/export", json={"format": "otio", "items": [{"segment": 1}]})
    assert (response.status_code, "wave-search[otio]" in response.json()["error"]["remedy"]) == (400, True)


def test_a_zip_has_a_largest_duration_and_a_page_of_another_site_gets_none(site: TestClient) -> None:
    film = item(site, "film.mp4", 0, 3)
    asked = {"format": "zip", "items": [film] * 499}
    assert site.post("/api/export", json=asked, headers={"origin": "https://example.org"}).status_code == 403
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wave_search.serve.export_routes.MAX_ZIP_S", 60.0)
        response = site.post("/api/export", json={**asked, "items": [film] * 21})
    message = "a ZIP file has at most 1 minutes of clips, these have 1"
    assert (response.status_code, response.json()["error"]["message"]) == (400, message)


def test_segments_are_told_to_be_there_or_gone(site: TestClient) -> None:
    film = find(site, "film.mp4")
    answer = site.post("/api/segments", json={"segments": [film["segment"], 10**6]}).json()
    assert answer["hits"][1] is None
    assert (answer["hits"][0]["path"], answer["hits"][0]["start_s"]) == (film["path"], 0.0)
