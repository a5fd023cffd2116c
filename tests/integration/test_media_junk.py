"""Bytes that belong to no frame, behind and within streams: their time does not count, and they cost little."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from tests.media_decoding import decode
from tests.media_samples import Encoding, chord, moving_picture, write_frames, write_sound
from wave_search.media import DecoderPool, Segmentation
from wave_search.models.wave.clips import SAMPLING
from wave_search.types import Modality, Span

RATE_HZ = 16_000
SECONDS = 2.0
SOUNDS = {
    "a.mp2": "mp2", "a.mp3": "libmp3lame", "a.aac": "aac", "a.ac3": "ac3", "a.eac3": "eac3", "a.flac": "flac",
    "a.opus": "libopus", "a.ts": "mp2", "a.wav": "pcm_s16le",
}  # fmt: skip


@pytest.fixture(scope="module")
def decoders() -> Iterator[DecoderPool]:
    with DecoderPool(1, SAMPLING, item_timeout_s=10.0) as running:
        yield running


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sounds")
    for name, codec in SOUNDS.items():
        rate_hz = {"libopus": 48_000, "ac3": 48_000, "eac3": 48_000}.get(codec, RATE_HZ)
        write_sound(folder / name, chord(SECONDS, rate_hz), rate_hz, codec)
    return folder


@pytest.mark.parametrize("junk", ["zeros", "noise"])
@pytest.mark.parametrize("name", SOUNDS)
def test_what_follows_a_stream_is_no_sound(
    decoders: DecoderPool, sounds: Path, tmp_path: Path, name: str, junk: str
) -> None:
    path = tmp_path / name
    path.write_bytes(
        (sounds / name).read_bytes() + (np.random.default_rng(3).bytes(1 << 20) if junk == "noise" else b"")
    )
    if junk == "zeros":
        os.truncate(path, path.stat().st_size + (8 << 20))
    info, segments = decode(decoders, path)
    assert info.duration_s == pytest.approx(SECONDS, abs=0.13)
    assert (
        abs(np.concatenate([segment.clip.waveform.samples for segment in segments if segment.clip.waveform])).max()
        < 0.7
    )


@pytest.mark.parametrize("name", ["a.mp2", "a.aac", "a.ac3", "a.ts"])
def test_sound_goes_on_behind_other_bytes(decoders: DecoderPool, sounds: Path, tmp_path: Path, name: str) -> None:
    content = (sounds / name).read_bytes()
    path = tmp_path / name
    half = len(content) // 2
    path.write_bytes(content[:half] + np.random.default_rng(5).bytes(300_000) + content[half:])
    info, segments = decode(decoders, path)
    assert info.duration_s == pytest.approx(SECONDS, abs=0.25)  # the frames that are cut are lost
    (waveform,) = [segment.clip.waveform for segment in segments if segment.clip.waveform]
    assert np.sqrt(np.square(waveform.samples[-RATE_HZ // 2 : -RATE_HZ // 5]).mean()) > 0.2


def test_a_transport_stream_goes_on_behind_megabytes_of_nothing(
    decoders: DecoderPool, sounds: Path, tmp_path: Path
) -> None:
    content = (sounds / "a.ts").read_bytes()
    path = tmp_path / "a.ts"
    half = len(content) // 376 * 188
    path.write_bytes(content[:half] + bytes(4 << 20) + content[half:])
    assert decoders.identify(path).duration_s == pytest.approx(SECONDS, abs=0.1)


def test_a_video_is_not_searched_for_chunks_of_nothing(decoders: DecoderPool, tmp_path: Path) -> None:
    path = write_frames(tmp_path / "a.avi", moving_picture(8), Encoding("mpeg4", fps=8))
    os.truncate(path, path.stat().st_size + (128 << 20))
    assert decoders.identify(path).duration_s == pytest.approx(1.0)


@pytest.mark.parametrize("codec", ["aac", "ac3", "mp2"])
def test_the_last_frame_is_heard_where_the_duration_is_an_estimate(
    decoders: DecoderPool, tmp_path: Path, codec: str
) -> None:
    samples = {"aac": 1024, "ac3": 1536, "mp2": 1152}[codec]
    suffix = "ts" if codec == "mp2" else codec
    path = write_sound(tmp_path / f"a.{suffix}", chord(1.0, 32_000), 32_000, codec)
    duration_s = decoders.identify(path).duration_s
    assert duration_s is not None
    assert duration_s * 32_000 / samples == pytest.approx(round(duration_s * 32_000 / samples), abs=0.02)
    assert duration_s >= 1.0


@pytest.mark.parametrize("replaced", [200, 0])
def test_damage_within_flac_costs_less_than_a_second(decoders: DecoderPool, tmp_path: Path, replaced: int) -> None:
    path = write_sound(tmp_path / "a.flac", chord(16.0, RATE_HZ), RATE_HZ, "flac")
    content = bytearray(path.read_bytes())
    at = len(content) // 4
    content[at : at + replaced] = bytes(200)
    path.write_bytes(content)
    info, segments = decode(decoders, path, "16")
    assert info.duration_s == 16.0
    (waveform,) = [segment.clip.waveform for segment in segments if segment.clip.waveform]
    silent = np.abs(waveform.samples.reshape(-1, RATE_HZ // 4)).max(axis=1) == 0
    assert 1 <= silent.sum() <= 3


def test_sound_before_the_first_declared_duration_is_at_its_place(decoders: DecoderPool, tmp_path: Path) -> None:
    sound = chord(4.0, 44_100)
    sound[: 2 * 44_100] = 0.0
    sound[5 * 44_100 // 2 :] = 0.0
    path = tmp_path / "a.loas"
    write_sound(path, sound, 44_100, "aac", container="latm")
    info, segments = decode(decoders, path)
    (waveform,) = [segment.clip.waveform for segment in segments if segment.clip.waveform]
    loud = np.flatnonzero(np.abs(waveform.samples) > 0.1)[[0, -1]] / RATE_HZ
    assert info.duration_s == pytest.approx(4.03, abs=0.05)
    assert loud.tolist() == pytest.approx([2.02, 2.52], abs=0.03)


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "mpeg4"), ("a.wmv", "wmv2"), ("a.avi", "libx264")])
def test_frames_between_key_frames_are_found(decoders: DecoderPool, tmp_path: Path, name: str, codec: str) -> None:
    frames = np.zeros((50, 48, 64, 3), np.uint8)
    frames[20:30] = 255
    options = {} if codec == "wmv2" else {"bf": "2"}
    path = write_frames(tmp_path / name, frames, Encoding(codec, options, fps=10, key_interval=12))
    info = decoders.identify(path)
    assert info.video is not None
    begin_s = info.video.start_s
    for start_s in (1.4, 2.2, 2.6, 3.4):
        span = Span(begin_s + start_s, begin_s + start_s + 0.1)
        (segment,) = decoders.segments(path, info, Segmentation.parse("none"), [Modality.VIDEO], span)
        assert segment.clip.frames is not None
        assert (segment.clip.frames.pixels.mean() > 128) == (2.0 <= start_s < 3.0)


def test_the_padding_of_long_packets_is_no_sound(decoders: DecoderPool, tmp_path: Path) -> None:
    path = tmp_path / "a.gxf"
    frames, sound = np.zeros((25, 576, 720, 3), np.uint8), (chord(1.0, 48_000)[:, 0] * 32767).astype(np.int16)
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg2video", rate=25)
        video.width, video.height, video.pix_fmt = 720, 576, "yuv420p"
        audio = container.add_stream("pcm_s16le", rate=48_000, layout="mono")
        for pixels in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(video.encode())
        frame = av.AudioFrame.from_ndarray(sound[None], format="s16", layout="mono")
        frame.sample_rate = 48_000
        container.mux(audio.encode(frame))
    info = decoders.identify(path)
    assert info.audio is not None
    assert info.audio.stop_s == pytest.approx(1.0, abs=0.01)
