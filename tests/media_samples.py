"""Real media files of many kinds, encoded on the spot, for the tests of decoding."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Encoding:
    """How a video is written."""

    codec: str = "libx264"
    options: Mapping[str, str] = field(default_factory=dict)
    pixel_format: str = "yuv420p"
    key_interval: int = 20
    fps: int = 25


_SOUND_CODECS = {".ogv": "flac", ".ts": "mp2", ".mp4": "aac"}
QUIET_X265 = "log-level=none:scenecut=0:bframes=3:b-adapt=0"
ENCODINGS = {
    "h264.mp4": Encoding(),
    "h264_open_gop.mp4": Encoding(options={"x264-params": "open-gop=1:scenecut=0:bframes=3:b-adapt=0"}),
    "h264_full_range.mkv": Encoding(pixel_format="yuvj420p"),
    "h264.ts": Encoding(),
    "raw.h264": Encoding(),
    "hevc_closed.mp4": Encoding("libx265", {"x265-params": QUIET_X265 + ":open-gop=0"}),
    "hevc_open_gop.mkv": Encoding("libx265", {"x265-params": QUIET_X265 + ":open-gop=1"}),
    "vp8.webm": Encoding("libvpx", {"deadline": "realtime"}),
    "vp9.webm": Encoding("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
    "av1.mkv": Encoding("libsvtav1", {"preset": "12"}),
    "mpeg4.avi": Encoding("mpeg4"),
    "mpeg4.mp4": Encoding("mpeg4"),
    "mpeg2.mpg": Encoding("mpeg2video", {"qmin": "2", "qmax": "3"}),
    "mjpeg.mov": Encoding("mjpeg", pixel_format="yuvj420p"),
}


def moving_picture(frames: int, height: int = 96, width: int = 128, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth colours that move, and a bright block that tells frames and directions apart: (frames, h, w, 3) RGB."""
    t, y, x, c = np.ogrid[:frames, :height, :width, :3]
    waves = np.sin(x / 17 + t / 3 + c + seed) + np.sin(y / 13 - t / 5 + 2 * c)
    pixels = 128 + 50 * waves + 0 * t
    for number in range(frames):
        left = 7 * number % (width - width // 8)
        pixels[number, : height // 4, left : left + width // 8] = 240 - 60 * np.arange(3)
    return pixels.clip(0, 255).astype(np.uint8)


def write_frames(
    path: Path,
    frames: NDArray[np.uint8],
    encoding: Encoding = Encoding(),
    times_s: list[float] | None = None,
) -> Path:
    """Encode frames without sound; `times_s` makes the frame rate variable."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(encoding.codec, rate=encoding.fps)
        _, stream.height, stream.width, _ = frames.shape
        stream.pix_fmt, stream.options = encoding.pixel_format, dict(encoding.options)
        stream.codec_context.gop_size = encoding.key_interval
        time_base = Fraction(1, encoding.fps) if times_s is None else Fraction(1, 1000)
        stream.codec_context.time_base = time_base
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = (number if times_s is None else round(times_s[number] * 1000)), time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_av(
    path: Path,
    frames: NDArray[np.uint8],
    fps: int,
    sound: NDArray[np.float32],
    rate_hz: int,
    *,
    times_s: Sequence[float] | None = None,
    sound_start_s: float = 0.0,
) -> Path:
    """Encode H.264, in Ogg VP8, with sound, (samples, channels), lossless where the container takes PCM or FLAC.

    `times_s` makes the frame rate variable, or the picture begin late; the sound begins late if asked to.
    """
    with av.open(str(path), "w") as container:
        video = container.add_stream("libvpx" if path.suffix == ".ogv" else "libx264", rate=fps)
        _, video.height, video.width, _ = frames.shape
        video.pix_fmt = "yuv420p"
        time_base = Fraction(1, fps) if times_s is None else Fraction(1, 1000)
        video.codec_context.time_base = time_base
        layout = {1: "mono", 2: "stereo", 6: "5.1"}[sound.shape[1]]
        audio = container.add_stream(_SOUND_CODECS.get(path.suffix, "pcm_s16le"), rate=rate_hz, layout=layout)
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = number if times_s is None else round(times_s[number] * 1000)
            frame.time_base = time_base
            container.mux(video.encode(frame))
        container.mux(video.encode())
        _write_sound(container, audio, sound, rate_hz, round(sound_start_s * rate_hz))
    return path


def write_sound(path: Path, sound: NDArray[np.float32], rate_hz: int, codec: str, container: str | None = None) -> Path:
    """Encode sound, (samples, channels), with one of FFmpeg's encoders; the suffix tells the container by default."""
    with av.open(str(path), "w", format=container) as output:
        layout = {1: "mono", 2: "stereo", 6: "5.1"}[sound.shape[1]]
        stream = output.add_stream(codec, rate=rate_hz, layout=layout)
        stream.options = {"strict": "experimental"}  # Vorbis
        if codec == "g723_1":
            stream.bit_rate = 6300  # the only one
        _write_sound(output, stream, sound, rate_hz, 0)
    return path


def write_tracks(path: Path, tracks: Sequence[tuple[NDArray[np.float32], int, str]]) -> Path:
    """Write sounds, (samples,), with their rate in Hz and their language, as tracks; players play the first one."""
    with av.open(str(path), "w") as container:
        streams = []
        for _, rate_hz, language in tracks:
            stream = container.add_stream("pcm_s16le", rate=rate_hz, layout="mono")
            stream.metadata["language"] = language
            stream.disposition = av.stream.Disposition(0 if streams else av.stream.Disposition.default)
            streams.append(stream)
        for stream, (sound, rate_hz, _) in zip(streams, tracks, strict=True):
            _write_sound(container, stream, sound[:, None], rate_hz, 0)
    return path


def _write_sound(
    container: av.container.OutputContainer,
    stream: av.AudioStream,
    sound: NDArray[np.float32],
    rate_hz: int,
    first: int,
) -> None:
    pcm = np.ascontiguousarray((sound * 32767).round().astype(np.int16)).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout=stream.layout.name)
    frame.sample_rate, frame.pts, frame.time_base = rate_hz, first, Fraction(1, rate_hz)
    resampler = av.AudioResampler(
        stream.format.name, stream.layout.name, rate_hz, stream.codec_context.frame_size or None
    )
    for part in [*resampler.resample(frame), *resampler.resample(None)]:
        container.mux(stream.encode(part))
    container.mux(stream.encode())


def rotate_mp4(path: Path, turned_path: Path, degrees: int) -> Path:
    """Copy an MP4 and write into its track header that it has to be turned clockwise by 90, 180 or 270 degrees."""
    cosine, sine = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    one = 1 << 16
    matrix = (cosine * one, sine * one, 0, -sine * one, cosine * one, 0, 0, 0, 1 << 30)
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 44
    data[start : start + 36] = struct.pack(">9i", *matrix)
    turned_path.write_bytes(data)
    return turned_path


def wav_bytes(
    samples: NDArray[np.generic],
    rate_hz: int = 16_000,
    *,
    declared_bytes: int | None = None,
    channels: int | None = None,
) -> bytes:
    """A WAV file, (samples, channels), whose header may lie about the length or the channels."""
    data = samples.tobytes()
    kind = 3 if samples.dtype.kind == "f" else 1
    real_channels = samples.shape[1]
    size = samples.dtype.itemsize
    header = struct.pack(
        "<HHIIHH",
        kind,
        real_channels if channels is None else channels,
        rate_hz,
        rate_hz * real_channels * size,
        real_channels * size,
        8 * size,
    )
    length = len(data) if declared_bytes is None else declared_bytes
    body = b"WAVEfmt " + struct.pack("<I", 16) + header + b"data" + struct.pack("<I", length) + data
    return b"RIFF" + struct.pack("<I", min(length + 36, 2**32 - 1)) + body


def chord(seconds: float, rate_hz: int, channels: int = 1) -> NDArray[np.float32]:
    """A chirp a channel, at half of full scale: (samples, channels)."""
    t = np.arange(round(seconds * rate_hz))[:, None] / rate_hz
    low_hz = 200 + 130 * np.arange(channels)
    return (0.5 * np.sin(2 * np.pi * (low_hz * t + 40 * t * t))).astype(np.float32)
