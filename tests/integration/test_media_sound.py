"""Sound of files, at the right level and in the right place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.media_decoding import ALL, decode, write_wav
from tests.media_samples import chord, moving_picture, wav_bytes, write_av, write_sound
from wave_search.media import DecoderPool, Segmentation
from wave_search.models.wave.clips import SAMPLING
from wave_search.types import Modality


@pytest.fixture(scope="module")
def decoders() -> Iterator[DecoderPool]:
    with DecoderPool(2, SAMPLING) as running:
        yield running


@pytest.mark.parametrize(
    ("name", "subtype"),
    [("a.wav", "PCM_U8"), ("b.wav", "PCM_24"), ("c.wav", "FLOAT"), ("d.wav", "DOUBLE"), ("e.flac", "PCM_16"),
     ("f.ogg", "VORBIS"), ("g.ogg", "OPUS"), ("h.mp3", "MPEG_LAYER_III"), ("i.aiff", "PCM_16"), ("j.au", "PCM_16")],
)  # fmt: skip
def test_sound_of_libsndfile(decoders: DecoderPool, tmp_path: Path, name: str, subtype: str) -> None:
    path = tmp_path / name
    sound = chord(2.5, 48_000, 2)
    soundfile.write(path, sound, 48_000, subtype=subtype)
    info, (segment,) = decode(decoders, path)
    assert (info.kind, info.modalities, segment.clip.modalities) == ("audio", (Modality.AUDIO,), (Modality.AUDIO,))
    assert info.audio is not None
    assert (info.audio.sample_rate_hz, info.audio.channels) == (48_000, 2)
    assert segment.span is not None
    assert segment.span.duration_s == segment.media_s == pytest.approx(2.5, abs=0.06)
    assert segment.clip.waveform is not None
    expected = chord(2.5, 16_000, 2).mean(axis=1)
    middle = slice(8000, 32_000)
    assert np.abs(segment.clip.waveform.samples[middle] - expected[middle]).mean() < 0.02


@pytest.mark.parametrize(
    ("name", "codec"), [("a.m4a", "aac"), ("b.mka", "ac3"), ("c.mp4", "alac"), ("d.wv", "wavpack")]
)
def test_sound_of_pyav_has_the_same_level(decoders: DecoderPool, tmp_path: Path, name: str, codec: str) -> None:
    info, (segment,) = decode(decoders, write_sound(tmp_path / name, chord(2.0, 48_000, 2), 48_000, codec))
    assert (info.kind, info.duration_s) == ("audio", pytest.approx(2.0, abs=0.1))
    assert segment.clip.waveform is not None
    expected = chord(2.0, 16_000, 2).mean(axis=1)
    level = np.sqrt((segment.clip.waveform.samples[4000:28_000] ** 2).mean() / (expected[4000:28_000] ** 2).mean())
    assert level == pytest.approx(1.0, abs=0.05)  # FFmpeg's own downmix would be at 1.41


def test_six_channels_are_averaged(decoders: DecoderPool, tmp_path: Path) -> None:
    _, (segment,) = decode(decoders, write_wav(tmp_path / "six.wav", 0.5, channels=6))
    assert segment.clip.waveform is not None
    assert np.abs(segment.clip.waveform.samples - chord(0.5, 16_000, 6).mean(axis=1)).max() < 1e-3


@pytest.mark.parametrize("start_s", [0.0, 0.75])
def test_sound_begins_where_it_begins_in_the_video(decoders: DecoderPool, tmp_path: Path, start_s: float) -> None:
    path = write_av(tmp_path / "late.mkv", moving_picture(50), 25, chord(1.0, 16_000), 16_000, sound_start_s=start_s)
    _, (segment,) = decode(decoders, path)
    assert segment.clip.waveform is not None
    samples = segment.clip.waveform.samples
    expected = np.concatenate([np.zeros(round(start_s * 16_000)), chord(1.0, 16_000)[:, 0]])
    assert np.abs(samples[: len(expected)] - expected).max() < 1e-3


@pytest.mark.parametrize(("name", "codec"), [("long.mp3", None), ("long.m4a", "aac"), ("long.flac", None)])
def test_a_window_alone_is_the_same_as_within_the_file(
    decoders: DecoderPool, tmp_path: Path, name: str, codec: str | None
) -> None:
    path, sound = tmp_path / name, chord(24.0, 44_100, 2)
    if codec is None:
        soundfile.write(path, sound, 44_100)
    else:
        write_sound(path, sound, 44_100, codec)
    info, segments = decode(decoders, path)
    assert [segment.span and segment.span.start_s for segment in segments] == [0, 10, 20]
    for segment in segments:
        assert segment.span is not None
        assert segment.clip.waveform is not None
        (alone,) = decoders.segments(path, info, Segmentation(), ALL, segment.span)
        assert alone.span == segment.span
        assert alone.clip.waveform is not None
        assert np.array_equal(alone.clip.waveform.samples, segment.clip.waveform.samples)


@pytest.mark.parametrize(
    ("content", "seconds"),
    [
        (wav_bytes(np.full((16_000, 1), 999, np.int16), declared_bytes=320_000), 1.0),
        (wav_bytes(np.full((16_000, 1), 999, np.int16), declared_bytes=0), 1.0),
        (wav_bytes(np.full((1600, 1), 999, np.int16), declared_bytes=2**32 - 40), 0.1),
        (wav_bytes(np.zeros((200, 64), np.int32), 384_000, declared_bytes=2**31), 200 / 384_000),
        (wav_bytes(np.zeros((1, 1), np.int16)), 1 / 16_000),
    ],
)
def test_lying_headers(decoders: DecoderPool, tmp_path: Path, content: bytes, seconds: float) -> None:
    path = tmp_path / "lies.wav"
    path.write_bytes(content)
    info, (segment,) = decode(decoders, path)
    assert info.duration_s == pytest.approx(seconds)
    assert segment.clip.waveform is not None
    assert len(segment.clip.waveform.samples) == pytest.approx(seconds * 16_000, abs=1)


@pytest.mark.parametrize(
    ("samples", "peak"),
    [
        (np.array([np.nan, np.inf, 0.25, -0.5] * 4000, np.float32), 0.5),
        (np.array([1e30, -1e30] * 8000, np.float32), 1.0),
        (np.zeros(16_000, np.float32), 0.0),
    ],
)
def test_wild_samples_are_tamed(decoders: DecoderPool, tmp_path: Path, samples: np.ndarray, peak: float) -> None:
    path = tmp_path / "wild.wav"
    path.write_bytes(wav_bytes(samples[:, None]))
    _, (segment,) = decode(decoders, path)
    assert segment.clip.waveform is not None
    assert np.isfinite(segment.clip.waveform.samples).all()
    assert np.abs(segment.clip.waveform.samples).max() == peak
