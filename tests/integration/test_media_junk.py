"""Bytes that belong to no frame, behind and within streams: their time does not count, and they cost little."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.media_decoding import decode
from tests.media_samples import Encoding, chord, moving_picture, write_frames, write_sound
from wave_search.media import DecoderPool
from wave_search.models.wave.clips import SAMPLING

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
        os.truncate(path, path.stat().st_size + (16 << 20))
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


def test_damage_within_flac_costs_a_part_of_it(decoders: DecoderPool, tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.flac", chord(16.0, RATE_HZ), RATE_HZ, "flac")
    content = bytearray(path.read_bytes())
    at = len(content) // 4
    content[at : at + 200] = bytes(200)
    path.write_bytes(content)
    info, segments = decode(decoders, path, "16")
    assert info.duration_s == 16.0
    (waveform,) = [segment.clip.waveform for segment in segments if segment.clip.waveform]
    assert np.square(waveform.samples).mean() > 0.6 * np.square(chord(16.0, RATE_HZ)).mean()
