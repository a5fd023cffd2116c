"""All of the sound of a file, at the right times: pauses, joined files, changes of the format, several tracks."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests.hostile.containers import ogg_checksum
from tests.media_decoding import KeptDecoders, decode
from tests.media_samples import wav_bytes, write_sound, write_tracks
from wave_search.media import DecoderPool, MediaInfo, Segmentation, packet_sound
from wave_search.media.demux import stamp_and_duration_s
from wave_search.media.probe import probe
from wave_search.media.source import Source
from wave_search.media.track_choice import parse_audio_track
from wave_search.models.wave.clips import SAMPLING
from wave_search.types import Modality, Span

HZ = SAMPLING.sample_rate_hz
LOSSY = 0.15
"""Seconds of padding and delay that encoders may add where files are joined."""


@pytest.fixture(scope="module")
def decoders() -> Iterator[DecoderPool]:
    with DecoderPool(1, SAMPLING) as running:
        yield running


def tone(hz: float, seconds: float, rate_hz: int, channels: int = 1) -> NDArray[np.float32]:
    wave = 0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)
    return np.repeat(wave.astype(np.float32)[:, None], channels, axis=1)


def write(path: Path, sound: NDArray[np.float32], rate_hz: int, codec: str) -> None:
    """Write Vorbis with libsndfile, because the encoder of PyAV takes no mono, and other codecs with PyAV."""
    if codec == "vorbis":
        soundfile.write(path, sound, rate_hz, format="OGG", subtype="VORBIS")
    else:
        write_sound(path, sound, rate_hz, codec)


def write_packets(
    path: Path, parts: Sequence[tuple[float, NDArray[np.float32]]], rate_hz: int, codec: str = "pcm_s16le"
) -> Path:
    """Write sounds of one channel, each from its own time on, with nothing in between."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate_hz, layout="mono")
        for start_s, sound in parts:
            for first in range(0, len(sound), 1000):
                pcm = (sound[first : first + 1000, 0] * 32767).astype(np.int16)[None]
                frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
                frame.sample_rate, frame.time_base = rate_hz, Fraction(1, rate_hz)
                frame.pts = round(start_s * rate_hz) + first
                container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def heard(decoders: DecoderPool, path: Path, span: Span | None = None) -> tuple[MediaInfo, NDArray[np.float32]]:
    info, segments = decode(decoders, path, "none", span, (Modality.AUDIO,))
    (segment,) = segments
    assert segment.clip.waveform is not None
    return info, segment.clip.waveform.samples


def pitch_hz(samples: NDArray[np.float32], start_s: float, stop_s: float) -> float:
    """Loudest frequency of a range, 0.0 for silence."""
    part = samples[round(start_s * HZ) : round(stop_s * HZ)]
    if np.abs(part).max(initial=0.0) < 1e-3:
        return 0.0
    return float(np.abs(np.fft.rfft(part * np.hanning(len(part)))).argmax() * HZ / len(part))


def assert_pitches(samples: NDArray[np.float32], expected: Sequence[tuple[float, float, float]]) -> None:
    """Check (hz, from_s, to_s) of each part, a little inside it."""
    for hz, start_s, stop_s in expected:
        assert pitch_hz(samples, start_s + 0.2, stop_s - 0.2) == pytest.approx(hz, abs=8), (start_s, stop_s)


@pytest.mark.parametrize("pause_s", [1.5, 95.0, 7200.0])
def test_a_pause_without_packets_is_silence(decoders: DecoderPool, tmp_path: Path, pause_s: float) -> None:
    later_s = 2.0 + pause_s
    path = tmp_path / "pause.mkv"
    write_packets(path, [(0.0, tone(400, 2.0, 8000)), (later_s, tone(1200, 2.0, 8000))], 8000)
    info = decoders.identify(path)
    assert info.duration_s == pytest.approx(later_s + 2.0, abs=0.01)
    _, start = heard(decoders, path, Span(0.0, 2.5))
    assert_pitches(start, [(400, 0.0, 2.0), (0, 1.9, 2.5)])
    _, end = heard(decoders, path, Span(later_s - 1.0, later_s + 2.0))
    assert_pitches(end, [(0, 0.0, 1.0), (1200, 1.0, 3.0)])
    assert np.flatnonzero(np.abs(end) > 0.01)[0] / HZ == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(
    ("codec", "suffix", "length_s"), [("adpcm_yamaha", "wav", 30), ("adpcm_yamaha", "avi", 30), ("g723_1", "wav", 45)]
)
def test_a_decoder_that_never_forgets_is_not_started_inside_the_file(
    decoders: DecoderPool, tmp_path: Path, codec: str, suffix: str, length_s: int
) -> None:
    path = tmp_path / f"a.{suffix}"
    write_sound(path, 1.6 * tone(440, float(length_s), 8000), 8000, codec)
    _, samples = heard(decoders, path)
    start_s = length_s - 4
    _, part = heard(decoders, path, Span(start_s, length_s))
    for second in (1, 9, 18, 20, length_s - 2):
        assert_pitches(samples, [(440, second, second + 1)])
        loudness = np.sqrt(np.square(samples[second * HZ : (second + 1) * HZ]).mean())
        assert loudness == pytest.approx(0.8 / 2**0.5, abs=0.06), second
    length = min(len(part), len(samples) - start_s * HZ)
    np.testing.assert_allclose(part[:length], samples[start_s * HZ :][:length], atol=1e-6)


def test_a_decoder_that_forgets_is_not_started_at_the_beginning_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, rate_hz, bytes_per_s = tmp_path / "a.wav", 8000, 1625
    soundfile.write(path, 1.6 * tone(440, 45.0, rate_hz), rate_hz, format="WAV", subtype="GSM610")
    read: list[int] = []

    def watched(packet: av.Packet, *args: float, **options: bool) -> tuple[float | None, float]:
        read.append(packet.pos or 0)
        return stamp_and_duration_s(packet, *args, **options)

    monkeypatch.setattr(packet_sound, "stamp_and_duration_s", watched)
    with path.open("rb") as file:
        info = probe(path, file, path.stat().st_size)
        assert info.audio is not None
        sound = packet_sound.PacketSound(Source(path, file, info.container), info.audio)
        whole = np.concatenate(list(sound.blocks(0)))
        read.clear()
        part = np.concatenate(list(sound.blocks(40 * rate_hz)))
    assert min(read) > 5 * bytes_per_s
    assert np.sqrt(np.square(part).mean()) == pytest.approx(0.8 / 2**0.5, abs=0.06)
    np.testing.assert_allclose(part, whole[40 * rate_hz :], atol=1e-6)


@pytest.mark.parametrize(("codec", "channels"), [("eac3", 1), ("vorbis", 2)])
def test_packets_that_ffmpeg_counts_too_fast_follow_each_other(
    decoders: DecoderPool, tmp_path: Path, codec: str, channels: int
) -> None:
    sound = np.concatenate([tone(400, 20.0, 32_000, channels), tone(1200, 10.0, 32_000, channels)])
    path = tmp_path / "a.avi"
    write_sound(path, sound, 32_000, codec)
    assert decoders.identify(path).duration_s == pytest.approx(30.0, abs=0.1)
    _, samples = heard(decoders, path, Span(18.0, 24.0))
    assert_pitches(samples, [(400, 0.0, 2.0), (1200, 2.0, 6.0)])


def test_a_clock_that_jumps_by_years_is_no_silence(decoders: DecoderPool, tmp_path: Path) -> None:
    path = tmp_path / "years.mkv"
    write_packets(path, [(0.0, tone(400, 2.0, 8000)), (7e7, tone(1200, 2.0, 8000))], 8000)
    info, samples = heard(decoders, path)
    assert info.duration_s == pytest.approx(4.0, abs=0.01)
    assert_pitches(samples, [(400, 0.0, 2.0), (1200, 2.0, 4.0)])


def test_a_last_packet_of_days_is_no_silence(decoders: DecoderPool, tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    soundfile.write(path, np.sin(np.arange(32_000) / 5), 16_000, format="OGG")
    content = path.read_bytes()
    begin = content.rindex(b"OggS")
    page = bytearray(content[begin:])
    page[6:14] = (127).to_bytes(8, "little")  # its granule position, in samples: before its own packets
    page[22:26] = bytes(4)
    page[22:26] = ogg_checksum(bytes(page)).to_bytes(4, "little")
    path.write_bytes(content[:begin] + page)
    assert decoders.identify(path).duration_s == pytest.approx(2.0, abs=0.1)


def test_mp3_of_variable_rate_without_a_header(decoders: DecoderPool, tmp_path: Path) -> None:
    path = tmp_path / "vbr.mp3"
    sound = np.concatenate([tone(400, 4.0, 44_100), np.zeros((4 * 44_100, 1), np.float32), tone(1200, 4.0, 44_100)])
    with av.open(str(path), "w", options={"write_xing": "0", "id3v2_version": "0"}) as container:
        stream = container.add_stream("libmp3lame", rate=44_100, layout="mono")
        stream.codec_context.qscale, stream.codec_context.global_quality = True, 4 * 118
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound.T), format="fltp", layout="mono")
        frame.sample_rate = 44_100
        for part in av.AudioResampler("fltp", "mono", 44_100, frame_size=1152).resample(frame):
            container.mux(stream.encode(part))
        container.mux(stream.encode())
    assert len({path.read_bytes()[4:].count(b"Xing"), 0}) == 1
    info, samples = heard(decoders, path)
    assert info.duration_s == pytest.approx(12.0, abs=LOSSY)
    assert_pitches(samples, [(400, 0.0, 4.0), (0, 4.2, 7.8), (1200, 8.0, 12.0)])


PARTS = {
    "joined.mp3": ("libmp3lame", LOSSY),
    "joined.aac": ("aac", LOSSY),
    "joined.flac": ("flac", 0.001),
    "chained.oga": ("flac", 0.001),
    "chained.ogg": ("vorbis", 0.01),
    "chained.opus": ("libopus", 0.01),
    "joined.ts": ("mp2", LOSSY),
    "joined.ac3": ("ac3", LOSSY),
}


@pytest.mark.parametrize("name", PARTS)
def test_joined_files_are_heard_to_the_end(decoders: DecoderPool, tmp_path: Path, name: str) -> None:
    codec, tolerance_s = PARTS[name]
    parts = [(400, 3.0, 48_000, 1), (1200, 4.0, 24_000 if codec not in ("mp2", "ac3") else 32_000, 2)]
    content = b""
    for hz, seconds, rate_hz, channels in [*parts, parts[0]]:
        part = tmp_path / f"part{Path(name).suffix}"
        write(part, tone(hz, seconds, rate_hz, channels), rate_hz, codec)
        content += part.read_bytes()
    path = tmp_path / name
    path.write_bytes(content)
    info, samples = heard(decoders, path)
    assert info.duration_s == pytest.approx(10.0, abs=2 * tolerance_s)
    assert len(samples) / HZ == pytest.approx(10.0, abs=2 * tolerance_s)
    assert_pitches(samples, [(400, 0.0, 3.0), (1200, 3.0, 7.0), (400, 7.0, 10.0)])
    for start_s in (1.0, 4.0, 8.0):  # at the level of its own, without seams
        level = np.sqrt((samples[round(start_s * HZ) : round((start_s + 1.5) * HZ)] ** 2).mean())
        assert level == pytest.approx(0.5 / np.sqrt(2), rel=0.1)


def flac_of_unknown_length(sound: NDArray[np.float32], path: Path) -> None:
    write_sound(path, sound, 16_000, "flac")
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    path.write_bytes(data)


def gsm(sound: NDArray[np.float32], path: Path) -> None:
    soundfile.write(path, sound[::2], 8000, format="WAV", subtype="GSM610")


def large_wav(sound: NDArray[np.float32], path: Path) -> None:
    """BW64 and RF64: sizes of 64 bits in a chunk of their own."""
    plain = wav_bytes((sound * 32767).astype(np.int16))
    length = len(sound) * 2
    sizes = b"ds64" + struct.pack("<IQQQI", 28, len(plain) + 28, length, len(sound), 0)
    magic = b"BW64" if path.name.startswith("bw64") else b"RF64"
    data = plain.replace(b"data" + struct.pack("<I", length), b"data\xff\xff\xff\xff")
    path.write_bytes(magic + b"\xff\xff\xff\xffWAVE" + sizes + data[12:])


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("pipe.flac", flac_of_unknown_length),
        ("gsm.wav", gsm),
        ("bw64.wav", large_wav),
        ("rf64.wav", large_wav),
    ],
)
def test_unusual_files_are_good_files(decoders: DecoderPool, tmp_path: Path, name: str, write: object) -> None:
    assert callable(write)
    write(np.concatenate([tone(400, 2.0, 16_000), tone(1200, 2.0, 16_000)]), tmp_path / name)
    info, samples = heard(decoders, tmp_path / name)
    assert info.duration_s == pytest.approx(4.0, abs=0.05)
    assert_pitches(samples, [(400, 0.0, 2.0), (1200, 2.0, 4.0)])


def test_opposite_channels_are_heard(decoders: DecoderPool, tmp_path: Path) -> None:
    left = tone(400, 2.0, HZ)
    soundfile.write(tmp_path / "inverted.flac", np.concatenate([left, -left], axis=1), HZ)
    _, samples = heard(decoders, tmp_path / "inverted.flac")
    assert np.abs(samples - left[:, 0]).max() < 1e-4


@pytest.fixture(scope="module")
def three_tracks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A silent track, which players play, and two in other languages, of other rates."""
    sounds = [np.zeros(32_000, np.float32), tone(400, 2.0, 48_000)[:, 0], tone(1200, 2.0, 32_000)[:, 0]]
    path = tmp_path_factory.mktemp("tracks") / "tracks.mka"
    return write_tracks(path, list(zip(sounds, (16_000, 48_000, 32_000), ("und", "eng", "deu"), strict=True)))


@pytest.mark.parametrize(
    ("name", "codec"), [("a.ogg", "vorbis"), ("a.aac", "aac"), ("a.mka", "pcm_s16le"), ("a.ts", "mp2")]
)
def test_a_sound_of_a_tenth_of_a_second_is_heard(decoders: DecoderPool, tmp_path: Path, name: str, codec: str) -> None:
    write(tmp_path / name, tone(800, 0.1, 48_000, 2), 48_000, codec)
    info, samples = heard(decoders, tmp_path / name)
    assert info.duration_s == pytest.approx(0.12, abs=0.03)
    assert pitch_hz(samples, 0.03, 0.09) == pytest.approx(800, abs=20)


def test_the_last_packet_is_heard_where_packets_declare_no_duration(decoders: DecoderPool, tmp_path: Path) -> None:
    sound = np.concatenate([tone(400, 2.0, 22_050), tone(1200, 1.7, 22_050)])
    info, samples = heard(decoders, write_sound(tmp_path / "a.flv", sound, 22_050, "adpcm_swf"))
    assert info.duration_s == pytest.approx(3.7, abs=0.02)  # in packets of 0.19 s
    assert_pitches(samples, [(400, 0.0, 2.0), (1200, 2.9, 3.7)])


@pytest.mark.parametrize(
    ("choice", "pitches_hz"),
    [("auto", {400}), ("1", set()), ("2", {400}), ("3", {1200}), ("DEU", {1200}), ("de", {1200}), ("ger", {1200}),
     ("en", {400}), ("4", {400}), ("fra", {400}), ("all", {400, 1200})],
)  # fmt: skip
def test_the_audio_track_is_chosen(
    three_tracks: Path, kept_decoders: KeptDecoders, choice: str, pitches_hz: set[int]
) -> None:
    with kept_decoders.in_use(), DecoderPool(1, SAMPLING, audio_track=parse_audio_track(choice)) as decoders:
        info, samples = heard(decoders, three_tracks)
    spectrum = np.abs(np.fft.rfft(samples[: 2 * HZ])) / HZ
    assert {hz for hz in (400, 1200) if spectrum[2 * hz] > 0.1} == pitches_hz
    assert info.audio is info.tracks[1] or info.audio == info.tracks[1]
    assert [track.language for track in info.tracks][1:] == ["eng", "deu"]


@pytest.mark.parametrize("suffix", ["mp3", "aac", "ac3", "ogg", "opus", "webm", "ts", "vob"])
def test_a_range_alone_is_the_same_as_within_the_file(decoders: DecoderPool, tmp_path: Path, suffix: str) -> None:
    codec = {"mp3": "libmp3lame", "ogg": "vorbis", "opus": "libopus", "webm": "libopus", "ts": "aac", "vob": "ac3"}
    rate_hz = 48_000
    noise = 0.1 * np.random.default_rng(0).standard_normal((13 * rate_hz, 2)).astype(np.float32)
    path = tmp_path / f"long.{suffix}"
    write(path, noise, rate_hz, codec.get(suffix, suffix))
    info, whole = heard(decoders, path)
    for start_s, stop_s in ((5.0, 6.0), (9.5, 12.5), (11.25, 12.75)):
        (alone,) = decoders.segments(path, info, Segmentation.parse("none"), [Modality.AUDIO], Span(start_s, stop_s))
        assert alone.clip.waveform is not None
        assert np.array_equal(alone.clip.waveform.samples, whole[round(start_s * HZ) : round(stop_s * HZ)])
