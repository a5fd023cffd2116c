"""Excerpts for language models: contact sheets and sounds, and that they stay small."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from tests.media_samples import ENCODINGS, wav_bytes, write_frames, write_sound
from wave_search.errors import BrokenMediaError, UnsupportedMediaError
from wave_search.files import mtime_ns
from wave_search.media.excerpt import DrawFrames, EncodeSound
from wave_search.media.source import IndexedFile

if TYPE_CHECKING:
    from pathlib import Path

    from wave_search.types import FileKind

RATE_HZ = 16_000


def indexed(path: Path, kind: FileKind) -> IndexedFile:
    status = path.stat()
    return IndexedFile(path.resolve(), kind, status.st_size, mtime_ns(status))


def drawn(file: IndexedFile, *times_s: float, side: int = 1024, max_bytes: int = 1 << 20) -> Any:
    (made,) = DrawFrames(file, times_s, side, max_bytes).previews()
    return Image.open(io.BytesIO(made))


def sound(file: IndexedFile, start_s: float, stop_s: float) -> Any:
    (made,) = EncodeSound(file, start_s, stop_s).previews()
    samples, rate_hz = soundfile.read(io.BytesIO(made))
    assert rate_hz == 24_000
    return samples


@pytest.fixture
def film(tmp_path: Path) -> IndexedFile:
    """One second of a white bar on black that moves from left to right: 64 x 48 pixels."""
    frames = np.zeros((24, 48, 64, 3), np.uint8)
    for number in range(24):
        frames[number, :, number * 2 : number * 2 + 16] = 255
    return indexed(write_frames(tmp_path / "film.mp4", frames, ENCODINGS["h264.mp4"]), "video")


def test_a_sheet_shows_each_frame_in_its_place_with_its_time(film: IndexedFile) -> None:
    sheet = np.asarray(drawn(film, 0.0, 0.5, 0.9).convert("L")).astype(float)
    assert sheet.shape == (48 * 2 + 4, 64 * 2 + 4)
    for (top, left), at in zip(((0, 0), (0, 68), (52, 0)), (0, 24, 42), strict=True):
        lower = sheet[top + 24 : top + 48, left : left + 64].mean(axis=0)  # below the time
        assert abs((lower * np.arange(64)).sum() / lower.sum() - (at + 7.5)) < 4
        corner = sheet[top : top + 10, left : left + 4]
        assert corner.mean() < 60, "the time is on black"
    assert sheet[52:, 68:].mean() < 5


def test_a_picture_is_as_large_as_is_asked_for_and_never_larger(film: IndexedFile) -> None:
    assert drawn(film, 0.5).size == (64, 48)
    assert drawn(film, 0.5, side=32).size == (32, 24)
    assert max(drawn(film, *np.linspace(0, 0.9, 16).tolist(), side=100).size) <= 100


@pytest.mark.parametrize(("codec", "suffix"), [("eac3", "avi"), ("adpcm_yamaha", "wav")])
def test_sound_that_cannot_be_sought_by_its_time_is_that_of_the_range(tmp_path: Path, codec: str, suffix: str) -> None:
    hz = np.repeat([400, 1200], [6 * 32_000, 3 * 32_000])
    wave = (0.5 * np.sin(2 * np.pi * np.cumsum(hz) / 32_000)).astype(np.float32)
    path = write_sound(tmp_path / f"a.{suffix}", wave[:, None], 32_000, codec)
    samples = sound(indexed(path, "audio"), 7.0, 8.0)[:24_000]
    assert len(samples) == 24_000
    assert np.abs(np.fft.rfft(samples)).argmax() == pytest.approx(1200, abs=2)


def test_noise_is_compressed_until_it_is_small(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (600, 800, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    file = indexed(tmp_path / "noise.png", "image")
    (fine,) = DrawFrames(file, (0.0,), 800, 1 << 30).previews()
    (small,) = DrawFrames(file, (0.0,), 800, len(fine) // 2).previews()
    assert len(small) <= len(fine) // 2
    assert Image.open(io.BytesIO(small)).size == (800, 600)


def test_a_sound_is_the_range_and_silent_outside_of_the_file(tmp_path: Path) -> None:
    seconds = np.arange(3 * RATE_HZ) / RATE_HZ
    waves = np.where(seconds < 1, np.sin(2 * np.pi * 400 * seconds), np.sin(2 * np.pi * 900 * seconds)) / 2
    (tmp_path / "a.wav").write_bytes(wav_bytes((waves[:, None] * 32767).astype(np.int16), RATE_HZ))
    file = indexed(tmp_path / "a.wav", "audio")

    def pitch_hz(samples: Any) -> float:
        return float(np.abs(np.fft.rfft(samples)).argmax() * 24_000 / len(samples))

    whole = sound(file, 0.0, 3.0)
    assert len(whole) / 24_000 == pytest.approx(3, abs=0.1)
    assert np.abs(whole).max() == pytest.approx(0.5, abs=0.05)
    assert pitch_hz(whole[4_000:20_000]) == pytest.approx(400, abs=3)
    assert pitch_hz(sound(file, 1.2, 2.2)) == pytest.approx(900, abs=3)
    assert len(sound(file, 2.5, 30.0)) / 24_000 == pytest.approx(0.5, abs=0.1)
    with pytest.raises(BrokenMediaError, match="nothing of the range can be decoded"):
        sound(file, 50.0, 60.0)


def test_what_has_no_sound_is_refused(film: IndexedFile) -> None:
    with pytest.raises(UnsupportedMediaError, match="it has no sound"):
        sound(film, 0.0, 1.0)
