"""Frames as a player shows them: upright, of square pixels, tone-mapped, without the lines of another moment."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.media_samples import moving_picture
from wave_search.media.av_frames import AvReader
from wave_search.media.info import VideoStream
from wave_search.media.picture import to_rgb
from wave_search.media.probe import probe
from wave_search.media.source import Source, open_regular
from wave_search.media.video import DecordReader, FrameSource
from wave_search.models.wave.clips import SAMPLING
from wave_search.types import Span

PQ, HLG, BT2020 = 16, 18, 9


def write(path: Path, frames: np.ndarray, prepare: Any, options: dict[str, str] | None = None) -> Path:
    """Encode H.264; `prepare` changes the stream before the first frame."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "10", **(options or {})})
        _, stream.height, stream.width, _ = frames.shape
        stream.pix_fmt = "yuv420p"
        prepare(stream)
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def opened(path: Path) -> tuple[Source, VideoStream]:
    file = open_regular(path)
    info = probe(path, file, path.stat().st_size)
    assert info.video is not None
    return Source(path, file, info.container), info.video


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("quarter_turns", [0, 1, 2, 3])
def test_frames_are_turned_and_mirrored(tmp_path: Path, suffix: str, mirrored: bool, quarter_turns: int) -> None:
    stored = moving_picture(2, 64, 128)
    path = tmp_path / f"turned{suffix}"
    source, video = opened(
        write(path, stored, lambda stream: stream.set_display_rotation(90 * quarter_turns, hflip=mirrored))
    )
    shown = np.rot90(stored[1], quarter_turns)
    shown = shown[:, ::-1] if mirrored else shown
    assert (video.height, video.width) == shown.shape[:2]
    pixels = AvReader(source, video).get(1)
    assert np.abs(pixels.astype(int) - shown).mean() < 6
    assert video.by_decord is (not mirrored and (suffix == ".mp4" or quarter_turns == 0))
    if video.by_decord:
        assert np.abs(DecordReader(source.file, video).get(1).astype(int) - pixels).mean() < 0.5


def test_pixels_that_are_not_square_are_stretched(tmp_path: Path) -> None:
    def widen(stream: Any) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(16, 11)

    source, video = opened(write(tmp_path / "wide.mkv", moving_picture(5, 288, 352), widen))
    assert (video.width, video.height) == (512, 288)
    frames = FrameSource(source, video, SAMPLING).read(Span(0.0, 0.2))
    assert frames is not None
    assert frames.pixels.shape[1:3] == (280, 504)


def test_of_interlaced_frames_one_field_is_shown(tmp_path: Path) -> None:
    bars = np.random.default_rng(0).integers(30, 220, 200).astype(np.uint8).repeat(8)
    fields = np.stack([np.broadcast_to(bars[None, 12 * n : 12 * n + 96, None], (64, 96, 3)) for n in range(16)])
    woven = fields[::2].copy()
    woven[:, 1::2] = fields[1::2, 1::2]
    source, video = opened(write(tmp_path / "tv.mp4", woven, lambda _: None, {"x264-params": "tff=1"}))
    assert not video.by_decord
    error = np.abs(AvReader(source, video).get(3).astype(int) - fields[6]).mean()
    assert error < 0.2 * np.abs(woven[3].astype(int) - fields[6]).mean()


def hdr_frame(transfer: int, code: float) -> av.VideoFrame:
    """A grey frame: (32, 32), of a coded value between 0 and 1."""
    frame = av.VideoFrame(32, 32, "yuv420p10le")
    for plane, value in zip(frame.planes, (64 + 876 * code, 512, 512), strict=True):
        plane.update(np.full(plane.buffer_size // 2, round(value), np.uint16).tobytes())
    frame.color_trc, frame.color_primaries, frame.colorspace = transfer, BT2020, BT2020
    return frame


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_hdr_is_tone_mapped(transfer: int) -> None:
    # Codes of 0, 26, 100, 203 and 1,000 cd/m2.
    codes = {PQ: (0.0, 0.38, 0.508, 0.581, 0.752), HLG: (0.0, 0.378, 0.63, 0.75, 1.0)}[transfer]
    levels = [int(to_rgb(hdr_frame(transfer, code)).mean()) for code in codes]
    assert levels[0] == 0
    assert levels[1] == pytest.approx(108, abs=4)
    assert levels[2] == pytest.approx(188, abs=4)
    assert levels[3] == pytest.approx(238, abs=3)
    assert levels[4] >= 254


def test_colours_of_hdr_are_those_of_ordinary_video() -> None:
    frame = hdr_frame(PQ, 0.5)
    # Green of BT.709 at 100 cd/m2 with the primaries of BT.2020, in PQ: R'G'B' = 0.401, 0.500, 0.290.
    red, green, blue = 0.401, 0.500, 0.290
    luma = 0.2627 * red + 0.6780 * green + 0.0593 * blue
    codes = (64 + 876 * luma, 512 + 896 * (blue - luma) / 1.8814, 512 + 896 * (red - luma) / 1.4746)
    for plane, value in zip(frame.planes, codes, strict=True):
        plane.update(np.full(plane.buffer_size // 2, round(value), np.uint16).tobytes())
    colour = to_rgb(frame)[16, 16].tolist()
    assert colour[1] == pytest.approx(188, abs=6)
    assert max(colour[0], colour[2]) < 50
