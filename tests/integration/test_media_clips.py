"""Videos, images and texts as segments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.media_decoding import ALL, arrays, decode, write_wav
from tests.media_samples import chord, moving_picture, write_av, write_frames
from wave_search.errors import UsageError
from wave_search.media import DecoderPool, Segmentation
from wave_search.models.wave.clips import SAMPLING
from wave_search.types import Modality, Span


@pytest.fixture(scope="module")
def decoders() -> Iterator[DecoderPool]:
    with DecoderPool(2, SAMPLING) as running:
        yield running


def test_windows_of_a_video_alone_and_in_the_stream(decoders: DecoderPool, tmp_path: Path) -> None:
    path = write_av(tmp_path / "film.mkv", moving_picture(115), 10, chord(14.0, 22_050, 2), 22_050)
    info, segments = decode(decoders, path, "3")
    assert info.modalities == (Modality.AUDIO, Modality.VIDEO, Modality.AV)
    assert info.duration_s == pytest.approx(14.0, abs=0.01)
    heard = [segment.clip.waveform is not None for segment in segments]
    seen = [segment.clip.frames is not None for segment in segments]
    assert (heard, seen) == ([True] * 5, [True] * 5)  # the last frame stays while the sound goes on
    assert segments[3].clip.frames is not None
    assert segments[3].clip.frames.duration_s == pytest.approx(2.5)
    for segment in segments:
        (alone,) = decoders.segments(path, info, Segmentation.parse("3"), ALL, segment.span)
        for left, right in zip(arrays(alone), arrays(segment), strict=True):
            assert np.array_equal(left, right)


def test_only_what_is_wanted_is_decoded(decoders: DecoderPool, tmp_path: Path) -> None:
    path = write_av(tmp_path / "film.mkv", moving_picture(20), 10, chord(5.0, 16_000), 16_000)
    _, heard = decode(decoders, path, "2", modalities=(Modality.AUDIO,))
    _, seen = decode(decoders, path, "2", modalities=(Modality.VIDEO,))
    _, read = decode(decoders, path, "2", modalities=(Modality.TEXT,))
    assert [segment.clip.modalities for segment in heard] == [(Modality.AUDIO,)] * 3
    assert [segment.clip.modalities for segment in seen] == [(Modality.VIDEO,)] * 3
    assert read == []


@pytest.mark.parametrize("suffix", ["gif", "png", "apng", "avif"])
def test_a_moving_image_is_a_video_and_a_still_one_an_image(decoders: DecoderPool, tmp_path: Path, suffix: str) -> None:
    red, green, blue = (Image.new("RGB", (64, 48), colour) for colour in ("red", "green", "blue"))
    kind = suffix.replace("apng", "png")
    red.save(
        tmp_path / f"moving.{suffix}", kind, save_all=True, append_images=[green, blue], duration=[1000, 500, 2500]
    )
    red.save(tmp_path / f"still.{suffix}", kind)
    moving, clips = decode(decoders, tmp_path / f"moving.{suffix}", "1")
    still, (image,) = decode(decoders, tmp_path / f"still.{suffix}")
    assert (moving.kind, moving.duration_s, still.kind) == ("video", pytest.approx(4.0), "image")
    brightest = [int(clip.clip.frames.pixels[-1].mean(axis=(0, 1)).argmax()) for clip in clips if clip.clip.frames]
    assert brightest == [0, 2, 2, 2]  # red, then green until 1.5 s, then blue
    assert image.clip.modalities == (Modality.IMAGE,)


def test_cover_art_is_no_video(decoders: DecoderPool, tmp_path: Path) -> None:
    import av

    path = tmp_path / "song.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        sound = container.add_stream("aac", rate=16_000, layout="mono")
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 128, 96, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        container.mux(cover.encode(av.VideoFrame.from_ndarray(moving_picture(1)[0], format="rgb24")))
        container.mux(cover.encode())
        frame = av.AudioFrame.from_ndarray(chord(1.0, 16_000).T.copy(), format="fltp", layout="mono")
        frame.sample_rate = 16_000
        container.mux(sound.encode(frame))
        container.mux(sound.encode())
    info = decoders.identify(path)
    assert (info.kind, info.video) == ("audio", None)


def test_scenes(decoders: DecoderPool, tmp_path: Path) -> None:
    pytest.importorskip("scenedetect")
    colours = [(200, 30, 30), (20, 60, 20), (230, 230, 255)]
    frames = np.concatenate([np.broadcast_to(np.array(c, np.uint8), (30, 96, 128, 3)) for c in colours])
    path = write_frames(tmp_path / "scenes.mp4", frames)
    _, segments = decode(decoders, path, "scene")
    assert [segment.span for segment in segments] == [Span(0, 1.2), Span(1.2, 2.4), Span(2.4, 3.6)]
    _, (sound,) = decode(decoders, write_wav(tmp_path / "sound.wav", 2.0), "scene")
    assert sound.span == Span(0.0, 2.0)


def test_a_range_outside_the_file_is_a_mistake_of_the_user(decoders: DecoderPool, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"begins at 5 s, but the file ends at 1 s"):
        decode(decoders, write_wav(tmp_path / "short.wav"), span=Span(5.0, 6.0))


def test_images_are_upright_and_on_white(decoders: DecoderPool, tmp_path: Path) -> None:
    pixels = np.zeros((56, 84, 4), np.uint8)
    pixels[:, :42] = (255, 0, 0, 255)  # the right half is transparent
    image = Image.fromarray(pixels)
    image.save(tmp_path / "half.png")
    _, (segment,) = decode(decoders, tmp_path / "half.png")
    assert segment.clip.image is not None
    assert segment.clip.image[10, 10].tolist() == [255, 0, 0]
    assert segment.clip.image[10, 80].tolist() == [255, 255, 255]
    exif = Image.Exif()
    exif[0x0112] = 6
    image.convert("RGB").save(tmp_path / "turned.jpg", exif=exif)
    info, (turned,) = decode(decoders, tmp_path / "turned.jpg")
    assert (info.width, info.height) == (56, 84)
    assert turned.clip.image is not None
    assert turned.clip.image.shape == (84, 56, 3)
    assert turned.clip.image[10, 28, 0] > 200


def test_sixteen_bits_of_grey_are_scaled(decoders: DecoderPool, tmp_path: Path) -> None:
    Image.fromarray(np.full((56, 56), 40_000, np.uint16)).save(tmp_path / "grey.png")
    _, (segment,) = decode(decoders, tmp_path / "grey.png")
    assert segment.clip.image is not None
    assert segment.clip.image[0, 0].tolist() == [40_000 // 256] * 3


def test_texts(decoders: DecoderPool, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("# One\n\n" + "two " * 300)
    (tmp_path / "film.srt").write_text("1\n00:00:01,0 --> 00:00:03,0\nHello\n\n2\n00:00:12,0 --> 00:00:14,0\nBye\n")
    notes, pieces = decode(decoders, tmp_path / "notes.md")
    film, cues = decode(decoders, tmp_path / "film.srt")
    assert (notes.kind, notes.duration_s, len(pieces), pieces[0].span) == ("text", None, 3, None)
    assert (film.kind, film.duration_s) == ("text", 14.0)
    assert [(cue.span, cue.clip.text) for cue in cues] == [(Span(1.0, 3.0), "Hello"), (Span(12.0, 14.0), "Bye")]
    _, (bye,) = decode(decoders, tmp_path / "film.srt", span=Span(10.0, 13.0))
    assert bye.clip.text == "Bye"
