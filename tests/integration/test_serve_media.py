"""Media of the server: pictures, sound, clips and conversions of real files, kept on disk."""

from __future__ import annotations

import io
import os
import shutil
import threading
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from PIL import Image

import wave_search as ws
from tests.media_factory import tone, write_image, write_sound
from tests.media_samples import ENCODINGS, moving_picture, write_av, write_frames
from tests.serving import find, served
from wave_search.errors import CacheError
from wave_search.media import DecoderPool
from wave_search.media.clip import WriteClip
from wave_search.serve.disk_cache import DiskCache
from wave_search.serve.options import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.testclient import TestClient

    from tests.libraries import CountingEmbedder
    from tests.media_decoding import KeptDecoders

SUBTITLES = "1\n00:00:01,000 --> 00:00:02,500\n<i>First</i> & last\n\n2\n01:02:03,004 --> 01:02:04,000\nEnd\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, kept_decoders: KeptDecoders) -> Path:
    """A folder of media in several formats, and its index."""
    folder = tmp_path_factory.mktemp("formats").resolve()
    media = folder / "media"
    media.mkdir()
    picture = moving_picture(24, 48, 64)
    write_frames(media / "old.avi", picture, ENCODINGS["mpeg4.avi"])
    write_frames(media / "copied.mkv", picture, ENCODINGS["h264.mp4"])
    write_frames(media / "free.webm", picture, ENCODINGS["vp8.webm"])
    write_av(media / "film.mp4", picture, 8, tone(3.0, 440.0)[:, None], 16_000)
    (media / "film.en.srt").write_text(SUBTITLES)
    write_sound(media / "tone.wav", 2.0, 500.0)
    write_image(media / "scan.tiff", seed=3)
    write_image(media / "photo.png", seed=4)
    with pytest.MonkeyPatch.context() as patch, kept_decoders.in_use():
        from tests.libraries import CountingEmbedder

        patch.setattr("wave_search.models.load", CountingEmbedder().load)
        with ws.create(folder / "index") as index:
            assert index.add([media]).indexed == 8
    return folder


@pytest.fixture
def site(folder: Path, counted: CountingEmbedder, tmp_path: Path) -> Iterator[TestClient]:
    with served(folder / "index", tmp_path / "cache") as client:
        yield client


def media_of(client: TestClient, name: str, what: str, status: int = 200, **options: Any) -> Any:
    response = client.get(f"/api/segments/{find(client, name)['segment']}/{what}", **options)
    assert response.status_code == status, response.text
    return response


def decoded(content: bytes) -> dict[str, list[float]]:
    """The times of the frames of each stream of a file, by its codec."""
    times: dict[str, list[float]] = {}
    with av.open(io.BytesIO(content)) as container:
        for frame in container.decode():
            codec = "video" if isinstance(frame, av.VideoFrame) else "audio"
            times.setdefault(codec, []).append(frame.time)
        return {stream.codec_context.name: times[stream.type] for stream in container.streams}


def test_a_file_that_browsers_play_is_sent_as_it_is(site: TestClient, folder: Path) -> None:
    content = (folder / "media" / "film.mp4").read_bytes()
    whole = media_of(site, "film.mp4", "media")
    assert (whole.content, whole.headers["content-type"]) == (content, "video/mp4")
    assert whole.headers["accept-ranges"] == "bytes"
    part = media_of(site, "film.mp4", "media", 206, headers={"range": "bytes=10-19"})
    assert (part.content, part.headers["content-range"]) == (content[10:20], f"bytes 10-19/{len(content)}")
    end = media_of(site, "film.mp4", "media", 206, headers={"range": "bytes=-5"})
    assert end.content == content[-5:]
    several = media_of(site, "film.mp4", "media", 206, headers={"range": "bytes=0-1,4-5"})
    assert several.headers["content-type"].startswith("multipart/byteranges")
    beyond = media_of(site, "film.mp4", "media", 416, headers={"range": f"bytes={len(content)}-"})
    assert beyond.headers["content-range"] == f"bytes */{len(content)}"
    stale = media_of(site, "film.mp4", "media", 200, headers={"range": "bytes=0-1", "if-range": '"other"'})
    assert stale.content == content
    same = media_of(site, "film.mp4", "media", 304, headers={"if-none-match": whole.headers["etag"]})
    assert (same.content, same.headers["etag"]) == (b"", whole.headers["etag"])
    head = site.head(f"/api/segments/{find(site, 'film.mp4')['segment']}/media")
    assert (head.content, head.headers["content-length"]) == (b"", str(len(content)))


@pytest.mark.parametrize(
    ("name", "playable", "content_type"),
    [
        ("free.webm", "direct", "video/webm"),
        ("tone.wav", "direct", "audio/wav"),
        ("photo.png", "direct", "image/png"),
        ("scan.tiff", "proxy", "image/webp"),
        ("old.avi", "proxy", "video/mp4"),
        ("copied.mkv", "proxy", "video/mp4"),
    ],
)
def test_what_browsers_do_not_play_is_converted(
    site: TestClient, folder: Path, name: str, playable: str, content_type: str
) -> None:
    segment = find(site, name)["segment"]
    assert site.get(f"/api/segments/{segment}").json()["file"]["playable"] == playable
    response = site.get(f"/api/segments/{segment}/media")
    assert (response.status_code, response.headers["content-type"]) == (200, content_type)
    same = response.content == (folder / "media" / name).read_bytes()
    assert same == (playable == "direct")
    again = site.get(f"/api/segments/{segment}/media", headers={"range": "bytes=0-3"})
    assert (again.status_code, again.content) == (206, response.content[:4])


def test_a_converted_film_has_all_its_frames_at_their_times(site: TestClient) -> None:
    frames = decoded(media_of(site, "old.avi", "media").content)
    assert list(frames) == ["h264"]
    assert frames["h264"] == pytest.approx([number / 25 for number in range(24)], abs=1e-3)


def test_a_long_film_that_browsers_do_not_play_has_clips_only(
    folder: Path, counted: CountingEmbedder, tmp_path: Path
) -> None:
    with served(folder / "index", tmp_path / "cache", limits=Limits(proxy_s=0.5, clip_s=0.7)) as client:
        segment = find(client, "old.avi")["segment"]
        assert client.get(f"/api/segments/{segment}").json()["file"]["playable"] == "clip"
        refused = client.get(f"/api/segments/{segment}/media")
        assert (refused.status_code, refused.json()["error"]["remedy"]) == (400, "Ask for a clip.")
        assert client.get(f"/api/segments/{segment}/clip?start=0.2&stop=0.6").status_code == 200
        assert client.get(f"/api/segments/{segment}/clip?start=0&stop=0.8").status_code == 400
        copied = media_of(client, "copied.mkv", "media")  # however long it is: it need not be encoded again
        assert decoded(copied.content)["h264"] == pytest.approx([number / 25 for number in range(24)], abs=2e-3)


def test_a_clip_is_a_copy_of_the_range(site: TestClient, folder: Path) -> None:
    segment = find(site, "film.mp4")["segment"]
    response = site.get(f"/api/segments/{segment}/clip?start=1&stop=2.5&download=1")
    assert response.headers["content-disposition"] == "attachment; filename*=utf-8''film%201-2.5.mp4"
    assert response.headers["content-type"] == "video/mp4"
    frames = decoded(response.content)
    assert frames["h264"] == pytest.approx([number / 8 for number in range(12)], abs=1e-3)
    assert 0.0 <= frames["aac"][0] < 0.07
    assert 1.4 < frames["aac"][-1] < 1.55
    with av.open(folder / "media" / "film.mp4") as whole, av.open(io.BytesIO(response.content)) as clip:
        expected = next(frame for frame in whole.decode(video=0) if frame.time >= 1.0).to_ndarray(format="rgb24")
        assert np.array_equal(next(clip.decode(video=0)).to_ndarray(format="rgb24"), expected)


def test_a_clip_is_converted_where_it_cannot_be_copied(site: TestClient) -> None:
    response = media_of(site, "old.avi", "clip", params={"start": 0.4, "stop": 0.8})
    assert decoded(response.content)["h264"] == pytest.approx([number / 25 for number in range(10)], abs=1e-3)
    sound = media_of(site, "tone.wav", "clip", params={"start": 0.5, "stop": 1.5})
    times_s = decoded(sound.content)["aac"]
    assert times_s[0] == pytest.approx(0.0, abs=0.03)
    assert times_s[-1] == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("query", ["start=2&stop=1", "start=4&stop=5", "start=1&stop=1", "start=nan", "stop=inf"])
def test_a_range_that_is_none_is_an_error(site: TestClient, query: str) -> None:
    response = site.get(f"/api/segments/{find(site, 'film.mp4')['segment']}/clip?{query}")
    assert response.status_code in (400, 422)
    assert response.json()["error"]["message"]


def test_a_thumbnail_is_the_picture_in_the_middle(site: TestClient) -> None:
    response = media_of(site, "film.mp4", "thumb")
    assert response.headers["content-type"] == "image/webp"
    picture = np.asarray(Image.open(io.BytesIO(response.content)).convert("RGB")).astype(float)
    expected = moving_picture(24, 48, 64).astype(float)
    nearest = int(np.argmin([np.abs(picture - frame).mean() for frame in expected]))
    assert (picture.shape, nearest) == ((48, 64, 3), 12)
    same = media_of(site, "film.mp4", "thumb", 304, headers={"if-none-match": f'W/{response.headers["etag"]}, "x"'})
    assert same.content == b""
    small = Image.open(io.BytesIO(media_of(site, "photo.png", "thumb", params={"width": 100}).content))
    assert small.size == (64, 48)
    assert media_of(site, "tone.wav", "thumb", 404).json()["error"]["message"].endswith("it has no picture")
    assert media_of(site, "film.en.srt", "thumb", 404).json()["error"]["remedy"]
    assert media_of(site, "film.mp4", "thumb", 422, params={"width": 0}).json()["error"]["message"]


def test_peaks_follow_the_loudness(site: TestClient) -> None:
    response = media_of(site, "tone.wav", "peaks", params={"count": 4})
    peaks, tag = response.json(), {"if-none-match": response.headers["etag"]}
    assert media_of(site, "tone.wav", "peaks", 304, params={"count": 4}, headers=tag).content == b""
    assert media_of(site, "tone.wav", "peaks", params={"count": 5}, headers=tag).json()["peaks"]
    assert (peaks["start_s"], peaks["stop_s"]) == (0.0, 2.0)
    expected = [np.abs(part).max() for part in np.split(tone(2.0, 500.0), 4)]
    assert peaks["peaks"] == pytest.approx(expected, abs=0.01)
    whole = media_of(site, "film.mp4", "peaks", params={"whole": True, "count": 3}).json()
    assert whole["peaks"] == pytest.approx([np.abs(part).max() for part in np.split(tone(3.0, 440.0), 3)], abs=0.05)
    assert media_of(site, "old.avi", "peaks", 404).json()["error"]["message"].endswith("it has no sound")
    assert media_of(site, "photo.png", "peaks", 404).json()["error"]["remedy"] == "Ask for its picture."


def test_subtitles_are_those_beside_the_file(site: TestClient) -> None:
    response = media_of(site, "film.mp4", "subtitles.vtt")
    assert response.headers["content-type"] == "text/vtt; charset=utf-8"
    assert response.text == (
        "WEBVTT\n\n00:00:01.000 --> 00:00:02.500\nFirst &amp; last\n\n01:02:03.004 --> 01:02:04.000\nEnd\n"
    )
    details = site.get(f"/api/segments/{find(site, 'film.mp4')['segment']}").json()
    assert [cue["text"] for cue in details["subtitles"]] == ["First & last", "End"]
    assert media_of(site, "film.en.srt", "subtitles.vtt").text == response.text
    assert media_of(site, "old.avi", "subtitles.vtt", 404).json()["error"]["message"]


def test_previews_are_kept_and_outlive_the_server(folder: Path, counted: CountingEmbedder, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with served(folder / "index", cache) as client:
        first = media_of(client, "film.mp4", "thumb")
    (kept,) = cache.iterdir()
    assert kept.read_bytes() == first.content
    assert cache.stat().st_mode & 0o077 == 0
    kept.write_bytes(b"changed")
    with served(folder / "index", cache) as client:
        assert media_of(client, "film.mp4", "thumb").content == b"changed"
    shutil.copytree(folder / "index", tmp_path / "copy")
    with served(tmp_path / "copy", cache) as client:  # nobody else's index shares them
        assert media_of(client, "film.mp4", "thumb").content == first.content


def test_what_is_kept_does_not_wait_for_conversions(
    folder: Path, counted: CountingEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, finish = threading.Event(), threading.Event()
    preview = DecoderPool.preview

    def slow(pool: DecoderPool, task: Any) -> Any:
        if isinstance(task, WriteClip):
            begun.set()
            assert finish.wait(60)
        return preview(pool, task)

    with served(folder / "index", tmp_path / "cache", limits=Limits(conversions=1)) as client:
        kept = media_of(client, "old.avi", "media").content
        monkeypatch.setattr(DecoderPool, "preview", slow)
        answers: list[int] = []
        thread = threading.Thread(target=lambda: answers.append(media_of(client, "copied.mkv", "media").status_code))
        thread.start()
        assert begun.wait(60)
        assert media_of(client, "old.avi", "media").content == kept
        assert media_of(client, "tone.wav", "media").status_code == 200
        assert media_of(client, "copied.mkv", "media", 429).headers["retry-after"] == "1"
        finish.set()
        thread.join()
        assert answers == [200]


def test_the_cache_keeps_what_was_used_last(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "cache", 1000)
    made: list[str] = []

    def get(key: str) -> bytes:
        def make(path: Path) -> None:
            made.append(key)
            path.write_bytes(key.encode() * 400)

        with cache.open(key, make) as file:
            return file.read()

    for number, key in enumerate("ab"):
        get(key)
        os.utime(tmp_path / "cache" / key, (number, number))
    assert get("a") == b"a" * 400  # now used later than b
    get("c")
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["a", "c"]
    assert made == ["a", "b", "c"]


def test_a_preview_that_fails_leaves_nothing(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "cache", 1000)

    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cache.open("a", fail)
    assert list((tmp_path / "cache").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(CacheError, match="XDG_CACHE_HOME"):
        DiskCache(tmp_path / "file" / "cache", 1000)
