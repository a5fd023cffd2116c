"""Formats of sound and video, and what stands before them, each with its right length and content."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.media_decoding import decode
from tests.media_samples import wav_bytes
from wave_search.errors import BrokenMediaError, UnsupportedMediaError
from wave_search.media import DecodedSegment, DecoderPool
from wave_search.models.wave.clips import SAMPLING

COLOURS = ((208, 32, 32), (32, 160, 32), (32, 32, 208))
"""What is seen in each second."""
TONES_HZ = (400, 800, 1600)
"""What is heard in each second."""
SECONDS = 3


@dataclass(frozen=True)
class Kind:
    """A file to make: three seconds of colours and of tones."""

    muxer: str
    video: str = ""
    audio: str = ""
    rate_hz: int = 48_000
    size: tuple[int, int] = (64, 48)
    layout: str = "mono"
    pixel_format: str = "yuv420p"
    options: Mapping[str, str] = field(default_factory=dict)
    fps: int = 25


KINDS = {
    "a.aac": Kind("adts", audio="aac"),
    "a.ac3": Kind("ac3", audio="ac3"),
    "a.eac3": Kind("eac3", audio="eac3"),
    "a.flac": Kind("flac", audio="flac"),
    "a.latm": Kind("latm", audio="aac"),
    "a.apm": Kind("apm", audio="adpcm_ima_apm", rate_hz=22_050),
    "a.mmf": Kind("mmf", audio="adpcm_yamaha", rate_hz=22_050),
    "a.spdif": Kind("spdif", audio="ac3"),
    "a.mp2": Kind("mp2", audio="mp2"),
    "a.mp3": Kind("mp3", audio="libmp3lame", options={"id3v2_version": "0"}),
    "a.tta": Kind("tta", audio="tta"),
    "a.wv": Kind("wv", audio="wavpack"),
    "a.voc": Kind("voc", audio="pcm_u8", rate_hz=8000),
    "a.sox": Kind("sox", audio="pcm_s32le", rate_hz=8000),
    "a.ircam": Kind("ircam", audio="pcm_s16le", rate_hz=8000),
    "a.amr": Kind("amr", audio="libopencore_amrnb", rate_hz=8000),
    "a.caf": Kind("caf", audio="alac", rate_hz=16_000),
    "le.aifc": Kind("aiff", audio="pcm_s16le", rate_hz=8000),
    "mulaw.aifc": Kind("aiff", audio="pcm_mulaw", rate_hz=8000),
    "ima4.aifc": Kind("aiff", audio="adpcm_ima_qt", rate_hz=8000),
    "real.ra": Kind("rm", audio="ac3", rate_hz=44_100),
    "real_144.ra": Kind("rm", audio="real_144", rate_hz=8000),
    "opatom.mxf": Kind("mxf_opatom", audio="pcm_s16le"),
    "v.mxf": Kind("mxf", "mpeg2video", "pcm_s16le"),
    "v.rm": Kind("rm", "rv20", "ac3", 44_100, (176, 144)),
    "v.wtv": Kind("wtv", "mpeg2video", "mp2"),
    "v.nut": Kind("nut", "mpeg4", "mp2"),
    "v.mpg": Kind("mpeg", "mpeg2video", "mp2"),
    "v.vob": Kind("vob", "mpeg2video", "mp2"),
    "v.ts": Kind("mpegts", "mpeg2video", "mp2"),
    "v.m2ts": Kind("mpegts", "mpeg2video", "mp2", options={"mpegts_m2ts_mode": "1"}),
    "v.3gp": Kind("3gp", "h263", "aac", size=(176, 144)),
    "a.adx": Kind("adx", audio="adpcm_adx", rate_hz=8000),
    "a.ast": Kind("ast", audio="pcm_s16be_planar", rate_hz=8000),
    "v.roq": Kind("roq", "roqvideo", "roq_dpcm", 22_050, (32, 32), pixel_format="yuvj444p"),
    "v.cpk": Kind("film_cpk", "cinepak", "pcm_s16be_planar", size=(32, 24), pixel_format="rgb24"),
    "v.smjpeg": Kind("smjpeg", "mjpeg", "pcm_s16le", pixel_format="yuvj420p"),
    "v.ivf": Kind("ivf", "libvpx"),
    "v.y4m": Kind("yuv4mpegpipe", "rawvideo"),
    "v.m4v": Kind("m4v", "mpeg4"),
    "v.m2v": Kind("mpeg2video", "mpeg2video"),
    "v.h264": Kind("h264", "libx264"),
    "v.hevc": Kind("hevc", "libx265", options={"x265-params": "log-level=none"}),
    "v.h261": Kind("h261", "h261", size=(176, 144), fps=30),
    "v.h263": Kind("h263", "h263", size=(176, 144), fps=30),
    "a.g722": Kind("g722", audio="g722", rate_hz=16_000),
    "a.msbc": Kind("sbc", audio="sbc", rate_hz=16_000, options={"msbc": "1"}),
    "a.rso": Kind("rso", audio="pcm_u8", rate_hz=8000),
    "v.mjpeg": Kind("mjpeg", "mjpeg", pixel_format="yuvj420p"),
}
FPS = 25


def make(path: Path, kind: Kind) -> Path:
    with av.open(str(path), "w", format=kind.muxer, options=dict(kind.options)) as container:
        video = audio = None
        if kind.video:
            video = container.add_stream(kind.video, rate=kind.fps)
            video.width, video.height, video.pix_fmt = *kind.size, kind.pixel_format
            video.options = dict(kind.options)
        if kind.audio:
            audio = container.add_stream(kind.audio, rate=kind.rate_hz, layout=kind.layout)
            audio.options = dict(kind.options)
        for second in range(SECONDS):
            if video is not None:
                for number in range(kind.fps):
                    colour = np.full((*kind.size[::-1], 3), COLOURS[second], np.uint8)
                    frame = av.VideoFrame.from_ndarray(colour, format="rgb24")
                    frame.pts, frame.time_base = second * kind.fps + number, Fraction(1, kind.fps)
                    container.mux(video.encode(frame))
            if audio is not None and second == 0:
                write_tones(container, audio, kind)
        for stream in (video, audio):
            if stream is not None:
                container.mux(stream.encode())
    return path


def tones(rate_hz: int) -> NDArray[np.float32]:
    t = np.arange(rate_hz) / rate_hz
    return np.concatenate([0.5 * np.sin(2 * np.pi * hz * t) for hz in TONES_HZ]).astype(np.float32)


def write_tones(container: av.container.OutputContainer, stream: av.AudioStream, kind: Kind) -> None:
    frame = av.AudioFrame.from_ndarray(tones(kind.rate_hz)[None], format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = kind.rate_hz, 0, Fraction(1, kind.rate_hz)
    codec = stream.codec_context
    resampler = av.AudioResampler(codec.format.name, codec.layout.name, kind.rate_hz, codec.frame_size or 1024)
    for part in [*resampler.resample(frame), *resampler.resample(None)]:
        container.mux(stream.encode(part))


def heard_hz(segment: DecodedSegment) -> int:
    """The tone in the middle of a segment, to the nearest of 50 Hz."""
    assert segment.clip.waveform is not None
    samples = segment.clip.waveform.samples
    middle = samples[len(samples) // 4 : -len(samples) // 4]
    peak = int(np.argmax(np.abs(np.fft.rfft(middle * np.hanning(len(middle))))))
    return round(peak * segment.clip.waveform.sample_rate_hz / len(middle) / 50) * 50


def seen(segment: DecodedSegment) -> NDArray[np.float64]:
    """The colour at the beginning of a segment."""
    assert segment.clip.frames is not None
    return segment.clip.frames.pixels[0].mean((0, 1))


@pytest.fixture(scope="module")
def decoders() -> Iterator[DecoderPool]:
    with DecoderPool(2, SAMPLING) as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kinds")
    for name, kind in KINDS.items():
        make(folder / name, kind)
    return folder


def check(decoders: DecoderPool, path: Path, kind: Kind) -> None:
    info, segments = decode(decoders, path, "1")
    assert (info.audio is not None, info.video is not None) == (bool(kind.audio), bool(kind.video))
    assert info.duration_s == pytest.approx(SECONDS, abs=0.07)  # codecs pad the last frame of sound
    if kind.audio:
        assert [heard_hz(segment) for segment in segments[:SECONDS]] == list(TONES_HZ)
    if kind.video:
        np.testing.assert_allclose([seen(segment) for segment in segments[:SECONDS]], COLOURS, atol=25)
    # Of H.261 and H.263, 29.97 is the highest rate.
    assumed = {"mjpeg": "25", "h261": "29.97", "h263": "29.97"}.get(info.container)
    causes = [f"it does not state its frame rate: {assumed} frames per second are assumed"] if assumed else []
    assert ([note.cause for note in info.notes], info.declared_s) == (causes, None)


@pytest.mark.parametrize("name", KINDS)
def test_formats(decoders: DecoderPool, folder: Path, name: str) -> None:
    check(decoders, folder / name, KINDS[name])


def test_packets_in_a_wav_file_are_not_heard_as_samples(decoders: DecoderPool, folder: Path, tmp_path: Path) -> None:
    """As on CDs with DTS, whose bursts sound like noise."""
    kind = KINDS["a.spdif"]
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(np.frombuffer((folder / "a.spdif").read_bytes(), np.int16).reshape(-1, 2), kind.rate_hz))
    check(decoders, path, kind)


def id3_with_cover(size: int) -> bytes:
    """A tag with `size` bytes of a cover, in which there are bytes like those of frames of MP3."""
    cover = np.random.default_rng(0).bytes(size)
    length = len(cover) + 10 + 14
    digits = bytes(length >> shift & 0x7F for shift in (21, 14, 7, 0))
    frame = b"APIC" + (len(cover) + 14).to_bytes(4) + b"\x00\x00" + b"\x00image/jpeg\x00\x03\x00" + cover
    return b"ID3\x03\x00\x00" + digits + frame


BEFORE = {
    "a cover of 300 kB": id3_with_cover(300_000),
    "two tags": id3_with_cover(5000) + id3_with_cover(100),
    "a response": b"ICY 200 OK\r\nicy-name: radio\r\n\r\n",
    "zeros": bytes(70_000),
    "noise": np.random.default_rng(1).bytes(20_000),
}


@pytest.mark.parametrize("name", ["a.aac", "a.ac3", "a.eac3", "a.flac", "a.mp3", "a.mp2", "a.latm", "v.mpg", "v.ts"])
@pytest.mark.parametrize("before", BEFORE)
def test_bytes_before_media(decoders: DecoderPool, folder: Path, tmp_path: Path, name: str, before: str) -> None:
    path = tmp_path / name
    path.write_bytes(BEFORE[before] + (folder / name).read_bytes())
    check(decoders, path, KINDS[name])


@pytest.mark.parametrize("before", BEFORE)
def test_bytes_before_files_whose_decoders_get_the_whole_file(
    decoders: DecoderPool, folder: Path, tmp_path: Path, before: str
) -> None:
    """libsndfile and decord would begin at the wrong byte."""
    path = tmp_path / "sound.wav"
    path.write_bytes(BEFORE[before] + wav_bytes(tones(16_000)[:, None]))
    check(decoders, path, Kind("wav", audio="pcm"))
    if before != "noise":  # an MP4 is not searched for
        film = make(tmp_path / "film.mp4", Kind("mp4", "libx264", "aac"))
        film.write_bytes(BEFORE[before] + film.read_bytes())
        check(decoders, film, Kind("mp4", "libx264", "aac"))


@pytest.mark.parametrize("name", ["v.ts", "v.m2ts", "error correction.ts"])
@pytest.mark.parametrize("cut", [0, 1, 100, 187])
def test_transport_streams_that_begin_within_a_packet(
    decoders: DecoderPool, folder: Path, tmp_path: Path, name: str, cut: int
) -> None:
    data = (folder / ("v.m2ts" if name == "v.m2ts" else "v.ts")).read_bytes()
    if name.startswith("error"):
        parity = bytes(range(100, 116))
        data = b"".join(data[at : at + 188] + parity for at in range(0, len(data), 188))
    path = tmp_path / name
    path.write_bytes(data[cut:])
    check(decoders, path, KINDS["v.ts"])


def test_dv(decoders: DecoderPool, tmp_path: Path) -> None:
    kind = Kind("dv", "dvvideo", "pcm_s16le", 48_000, (720, 576), "stereo")
    check(decoders, make(tmp_path / "tape.dv", kind), kind)


def test_dsd(decoders: DecoderPool, tmp_path: Path) -> None:
    """The samples of DSD are bits: here, a first-order modulator of a tone of 1,000 Hz."""
    rate_hz, channels, block = 2_822_400, 1, 4096
    wave, error, bits = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(rate_hz) / rate_hz), 0.0, np.zeros(rate_hz, np.uint8)
    for at, value in enumerate(wave.tolist()):
        error += value
        bits[at] = error > 0
        error -= 1.0 if error > 0 else -1.0
    data = np.packbits(bits, bitorder="little").tobytes()
    data += b"\x69" * (-len(data) % block)
    numbers = [1, 0, 1, channels, rate_hz, 1]
    form = b"fmt " + (52).to_bytes(8, "little") + b"".join(number.to_bytes(4, "little") for number in numbers)
    form += rate_hz.to_bytes(8, "little") + block.to_bytes(4, "little") + bytes(4)
    body = form + b"data" + (12 + len(data)).to_bytes(8, "little") + data
    path = tmp_path / "sound.dsf"
    path.write_bytes(b"DSD " + (28).to_bytes(8, "little") + (28 + len(body)).to_bytes(8, "little") + bytes(8) + body)
    info, (segment,) = decode(decoders, path)
    assert (info.container, info.duration_s) == ("dsf", pytest.approx(1.0, abs=0.02))
    assert heard_hz(segment) == 1000


def test_one_jpeg_is_an_image_whatever_its_name(decoders: DecoderPool, tmp_path: Path) -> None:
    Image.new("RGB", (64, 48), COLOURS[0]).save(tmp_path / "still.mjpeg", format="JPEG")
    info, _ = decode(decoders, tmp_path / "still.mjpeg")
    assert (info.kind, info.width, info.height) == ("image", 64, 48)


def test_the_initialization_segment_of_a_stream_is_no_damage(decoders: DecoderPool, tmp_path: Path) -> None:
    path = tmp_path / "init.mp4"
    with av.open(str(path), "w", options={"movflags": "empty_moov+frag_keyframe"}) as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode())
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"moof") - 4])
    with pytest.raises(UnsupportedMediaError, match="its tracks contain nothing"):
        decoders.identify(path)


def test_an_unknown_codec_is_no_damage(decoders: DecoderPool, tmp_path: Path) -> None:
    path = make(tmp_path / "film.mkv", Kind("matroska", "libx264"))
    path.write_bytes(path.read_bytes().replace(b"V_MPEG4/ISO/AVC", b"V_MPEG9/ISO/XYZ"))
    with pytest.raises(UnsupportedMediaError, match="contains video of a codec that is not supported"):
        decoders.identify(path)


def test_a_file_that_is_cut_off_in_its_header_is_not_called_unsupported(decoders: DecoderPool, tmp_path: Path) -> None:
    whole = make(tmp_path / "film.mp4", Kind("mp4", "libx264", options={"movflags": "faststart"})).read_bytes()
    for stop in (300, 400, 500):
        (tmp_path / "film.mp4").write_bytes(whole[:stop])
        with pytest.raises(BrokenMediaError):
            decoders.identify(tmp_path / "film.mp4")
