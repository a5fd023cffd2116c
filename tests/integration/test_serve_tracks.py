"""What the server shows of films that players treat in special ways: tracks of subtitles, pictures that move."""

from __future__ import annotations

import io
import struct
import zipfile
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from PIL import Image

import wave_search as ws
from tests.serving import find, served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.testclient import TestClient

    from tests.libraries import CountingEmbedder
    from tests.media_decoding import KeptDecoders

LINES = ((500, 1500, "<i>First</i> & last"), (2000, 2800, "End"))
STYLES = (
    b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\nStyle: Default,Arial,16\n\n"
    b"[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
)


def write_film(path: Path, kind: str | None) -> None:
    """Write 3 seconds of video with a track of subtitles, or without one."""
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        if kind == "mov_text":
            texts = output.add_stream("mov_text")
            texts.codec_context.subtitle_header = STYLES
        elif kind is not None:
            sample = (
                b"1\n00:00:01,000 --> 00:00:02,000\nx\n" if kind == "srt" else STYLES + b"Dialogue: 0,0,0,,,,,,,x\n"
            )
            with av.open(io.BytesIO(sample), format=kind) as template:
                texts = output.add_stream_from_template(template.streams.subtitles[0])
        for level in range(30):
            output.mux(video.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), 5 * level, np.uint8))))
        output.mux(video.encode(None))
        for number, (start_ms, stop_ms, text) in enumerate(LINES if kind else ()):
            data = text.encode()
            if kind == "mov_text":
                data = struct.pack(">H", len(data)) + data
            elif kind == "ass":
                data = f"{number},0,Default,,0,0,0,,".encode() + data
            packet = av.Packet(data)
            packet.stream, packet.time_base = texts, Fraction(1, 1000)
            packet.pts = packet.dts = start_ms
            packet.duration = stop_ms - start_ms
            output.mux(packet)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, kept_decoders: KeptDecoders) -> Path:
    """Films with tracks of subtitles, one with a file of subtitles beside it, an animation, and their index."""
    folder = tmp_path_factory.mktemp("tracks").resolve()
    media = folder / "media"
    media.mkdir()
    for name, kind in {"timed.mp4": "mov_text", "rip.mkv": "srt", "station.mkv": "ass", "plain.mp4": None}.items():
        write_film(media / name, kind)
    write_film(media / "both.mkv", "srt")
    (media / "both.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nBeside it\n")
    frames = [Image.new("RGB", (64, 48), (80 * number, 0, 0)) for number in range(3)]
    frames[0].save(media / "moving.webp", save_all=True, append_images=frames[1:], duration=500)
    with pytest.MonkeyPatch.context() as patch, kept_decoders.in_use():
        from tests.libraries import CountingEmbedder

        patch.setattr("wave_search.models.load", CountingEmbedder().load)
        with ws.create(folder / "index") as index:
            report = index.add([media])
            assert report.indexed + report.reused == 7, report
    return folder


@pytest.fixture
def site(folder: Path, counted: CountingEmbedder, tmp_path: Path) -> Iterator[TestClient]:
    with served(folder / "index", tmp_path / "cache") as client:
        yield client


@pytest.mark.parametrize("name", ["timed.mp4", "rip.mkv", "station.mkv"])
def test_the_subtitles_inside_a_film_are_shown(site: TestClient, name: str) -> None:
    segment = find(site, name)["segment"]
    cues = site.get(f"/api/segments/{segment}").json()["subtitles"]
    text = "First & last" if name != "station.mkv" else LINES[0][2]
    assert [(cue["start_s"], cue["stop_s"], cue["text"]) for cue in cues] == [(0.5, 1.5, text), (2.0, 2.8, "End")]
    assert "00:00:02.000 --> 00:00:02.800\nEnd\n" in site.get(f"/api/segments/{segment}/subtitles.vtt").text


def test_subtitles_beside_a_film_come_first_and_other_films_have_none(site: TestClient) -> None:
    both = site.get(f"/api/segments/{find(site, 'both.mkv')['segment']}").json()
    assert [cue["text"] for cue in both["subtitles"]] == ["Beside it"]
    plain = find(site, "plain.mp4")["segment"]
    assert site.get(f"/api/segments/{plain}").json()["subtitles"] == []
    assert site.get(f"/api/segments/{plain}/subtitles.vtt").status_code == 404


def test_an_animation_is_a_picture_that_moves_by_itself(site: TestClient, folder: Path) -> None:
    content = (folder / "media" / "moving.webp").read_bytes()
    moving = find(site, "moving.webp")
    assert (moving["kind"], moving["duration_s"]) == ("video", 1.5)
    assert site.get(f"/api/segments/{moving['segment']}").json()["file"]["playable"] == "image"
    media = site.get(f"/api/segments/{moving['segment']}/media")
    assert (media.content, media.headers["content-type"]) == (content, "image/webp")
    asked = {"format": "zip", "items": [{"segment": moving["segment"], "start_s": 0.5, "stop_s": 1.0}]}
    with zipfile.ZipFile(io.BytesIO(site.post("/api/export", json=asked).content)) as archive:
        assert [archive.read(name) for name in archive.namelist()] == [content]
