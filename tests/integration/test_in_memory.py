"""Queries and items of `encode` that are in memory: arrays, images, sounds, bytes, open files."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from PIL import Image

import wave_search as ws
from tests.libraries import CountingEmbedder
from tests.media_decoding import KeptDecoders
from tests.media_factory import RATE_HZ, tone, write_sound, write_video
from tests.media_samples import moving_picture
from wave_search.remote.requests import pack, unpack

PIXELS = moving_picture(1, 130, 170, 3)[0]


@pytest.fixture(scope="module", autouse=True)
def model(kept_decoders: KeptDecoders) -> Iterator[CountingEmbedder]:
    counting = CountingEmbedder()
    with pytest.MonkeyPatch.context() as patch, kept_decoders.in_use():
        patch.setattr("wave_search.models.load", counting.load)
        yield counting


@pytest.fixture(scope="module")
def embedder(model: CountingEmbedder) -> Iterator[ws.MediaEmbedder]:
    with ws.load_embedder() as loaded:
        yield loaded


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    Image.fromarray(PIXELS).save(folder / "picture.png")
    Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257).save(folder / "deep.png")
    turned = Image.fromarray(PIXELS)
    turned.getexif()[0x0112] = 6
    turned.save(folder / "turned.png", exif=turned.getexif())
    stereo = np.stack([tone(2, 440), tone(2, 660)], axis=1)
    soundfile.write(folder / "sound.wav", soxr.resample(stereo, RATE_HZ, 44_100), 44_100)
    write_video(folder / "film.mp4", 2, hz=300)
    return {path.stem: path for path in folder.iterdir()}


def opened(path: Path) -> io.BytesIO:
    return io.BytesIO(path.read_bytes())


def test_what_is_in_memory_is_as_the_file_of_it(embedder: ws.MediaEmbedder, files: dict[str, Path]) -> None:
    samples, rate = soundfile.read(files["sound"], dtype="float32")
    integers, _ = soundfile.read(files["sound"], dtype="int16")
    picture = Image.open(files["picture"])
    like: dict[Any, list[Any]] = {
        ws.Image(files["picture"]): [
            PIXELS,
            picture,
            PIXELS / 255,
            files["picture"].read_bytes(),
            opened(files["picture"]),
            PIXELS.astype(np.uint16) * 257,
            np.dstack([PIXELS, np.full(PIXELS.shape[:2], 255, np.uint8)]),
            picture.convert("RGBA"),
            ws.Clip(image=PIXELS),
        ],
        ws.Audio(files["sound"]): [
            (samples, rate),
            (samples.T, rate),
            (integers, 44_100.0),
            (integers.astype(">i2"), rate),
            ws.Waveform(samples, rate),
            ws.Clip(waveform=ws.Waveform(samples, rate)),
            bytearray(files["sound"].read_bytes()),
        ],
        ws.AV(files["film"]): [files["film"].read_bytes()],
        ws.Image(files["deep"]): [Image.open(files["deep"]), Image.fromarray(PIXELS[..., 0] / np.float32(255))],
        ws.Image(files["turned"]): [Image.open(files["turned"])],
    }
    for ref, items in like.items():
        expected = embedder.encode(ref)
        for vector in embedder.encode(items):
            np.testing.assert_allclose(vector, expected, atol=2e-3)
        assert embedder.encode(items[0]).shape == expected.shape  # a single item, not several
    frames = moving_picture(20, 90, 120, 1)
    whole, alone = embedder.encode([ws.Frames(frames, 10.0), ws.Clip(frames=ws.Frames(frames, 10.0))])
    np.testing.assert_allclose(whole, alone, atol=1e-6)


def test_arrays_are_sampled_as_the_model_needs_them(model: CountingEmbedder, embedder: ws.MediaEmbedder) -> None:
    model.clips.clear()
    embedder.encode(
        [
            np.full((300, 200), 7, np.uint8),
            np.zeros((1, 1, 3), np.uint8),
            ws.Frames(np.zeros((12, 500, 700), np.uint8), 1.0),
            (tone(1, 440)[::4], RATE_HZ // 4),
        ]
    )
    large, small, film, sound = model.clips
    assert large.image is not None
    assert large.image.shape == (308, 196, 3)
    assert small.image is not None
    assert small.image.shape == (28, 28, 3)
    assert film.frames is not None
    assert film.frames.pixels.shape == (2, 336, 476, 3)
    assert film.frames.duration_s == 1.0
    assert sound.waveform is not None
    assert (len(sound.waveform.samples), sound.waveform.sample_rate_hz) == (RATE_HZ, RATE_HZ)


WRONG: dict[str, tuple[Any, str]] = {
    "samples without a rate": (
        tone(1, 440),
        r"an array of shape \(16000,\) and type float32 is no picture, and a sound",
    ),
    "channels first": (PIXELS.transpose(2, 0, 1), r"\(3, 130, 170\).*numpy.moveaxis"),
    "several pictures": (np.stack([PIXELS] * 2), r"\(2, 130, 170, 3\).*Use list\(array\) for pictures, or Frames"),
    "floats beyond 1": (PIXELS.astype(np.float32), r"and type float32 has pixels outside of \[0, 1\]"),
    "integers": (PIXELS.astype(np.int64), "pixels of type int64 have no known range"),
    "not a number": (np.full((9, 9, 3), np.nan), "pixels outside of"),
    "nothing": (np.zeros((0, 9, 3), np.uint8), r"an array of shape \(0, 9, 3\)"),
    "objects": (np.array([[{}]]), "an array of shape"),
    "no bytes": (b"", "0 bytes long. Rewind an open file"),
    "text file": (io.StringIO("a"), r"open as text. Open it with open\(path, \"rb\"\)"),
    "no media": (
        b"\x00\x01\x02" * 99,
        r"^the file of 297 bytes in memory: not in any .* it there; otherwise use the bytes of an intact file\.$",
    ),
    "text": (b"nonsense", "memory: text, not media. Use a string for text, or the bytes of a picture, a sound or a"),
    "a program": (b"\x7fELF" * 9, "memory: a program, not media. Use the bytes of a picture, a sound or a film"),
    "a playlist": (b"#EXTM3U\na.mp3\n", "memory: a playlist, not media. Use the files that it lists"),
    "loud": ((tone(1, 440) * 32_768, RATE_HZ), r"has samples beyond \[-1, 1\]"),
    "not finite": ((np.full(99, np.inf), RATE_HZ), "has samples that are not finite"),
    "no rate": ((tone(1, 440), 0), "a sample rate must be an integer from 1,000 to 1,000,000 Hz, got 0"),
    "odd rate": ((tone(1, 440), 44_100.5), "got 44100.5"),
    "many channels": ((np.zeros((99, 99), np.float32), RATE_HZ), r"an array of shape \(99, 99\)"),
    "no samples": ((np.zeros(0), RATE_HZ), r"shape \(0,\)"),
    "ragged": (([[1.0], [1.0, 2.0]], RATE_HZ), "a list of length 2 is not a sound"),
    "endless": (ws.Frames(np.zeros((2, 9, 9, 3), np.uint8), 1e9), "above 0 and up to 604,800, got 1000000000.0"),
    "no duration": (ws.Frames(np.zeros((2, 9, 9, 3), np.uint8), 0.0), "duration of frames must be a number"),
    "frames": (ws.Frames(np.zeros((9, 9), np.uint8), 1.0), r"an array of shape \(9, 9\).* is not frames"),
    "empty clip": (ws.Clip(), "the clip is empty"),
    "empty text": (ws.Clip(text=" "), "the text is empty"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_by_type_and_shape(embedder: ws.MediaEmbedder, name: str) -> None:
    item, message = WRONG[name]
    with pytest.raises(ws.WaveSearchError, match=message) as raised:
        embedder.encode(item)
    assert len(str(raised.value)) < 300
    assert tempfile.gettempdir() not in str(raised.value)


QUERIES: dict[str, Callable[[dict[str, Path]], tuple[dict[str, Any], dict[str, Any]]]] = {
    "image": lambda files: ({"image": PIXELS}, {"image": files["picture"]}),
    "images": lambda files: ({"image": [PIXELS, ws.Weighted(PIXELS, 0.5)]}, {"image": [files["picture"]]}),
    "audio": lambda files: ({"audio": soundfile.read(files["sound"])}, {"audio": files["sound"]}),
    "bytes": lambda files: ({"audio": files["film"].read_bytes()}, {"audio": files["film"]}),
    "file": lambda files: ({"av": opened(files["film"])}, {"av": files["film"]}),
    "similar": lambda files: ({"similar": opened(files["film"])}, {"similar": files["film"]}),
    "similar array": lambda files: ({"similar": PIXELS}, {"similar": files["picture"]}),
    "pair": lambda files: (
        {"audio": soundfile.read(files["sound"]), "video": files["film"].read_bytes()},
        {"audio": files["sound"], "video": files["film"]},
    ),
    "avoided": lambda files: (
        {"text": "a dog", "audio": ws.Not(soundfile.read(files["sound"]))},
        {"text": "a dog", "audio": ws.Not(files["sound"])},
    ),
}


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_in_memory_finds_what_the_file_finds(
    kept: Path, files: dict[str, Path], tmp_path: Path, name: str
) -> None:
    in_memory, on_disk = QUERIES[name](files)
    request = ws.SearchRequest.build(**in_memory)
    packed = pack(request)
    received = {}
    for part, content in packed.files.items():  # as a server receives them
        received[part] = tmp_path / part
        received[part].write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    with ws.open(kept / "index") as index:
        found, expected = index.search(request), index.search(**on_disk)
        sent = index.search(unpack(packed.record, received))
    assert [hit.segment_id for hit in found] == [hit.segment_id for hit in expected]
    np.testing.assert_allclose([hit.score for hit in found], [hit.score for hit in expected], atol=3e-3)
    assert sent == found


def test_a_long_sound_is_cut_as_the_files_of_the_index(kept: Path, model: CountingEmbedder, tmp_path: Path) -> None:
    path = write_sound(tmp_path / "long.wav", 25, 500)
    with ws.open(kept / "index") as index:
        model.clips.clear()
        found = index.search(audio=soundfile.read(path), target="audio")
        assert len(model.clips) == 3
        assert [hit.segment_id for hit in found] == [hit.segment_id for hit in index.search(audio=path, target="audio")]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"audio": PIXELS}, r"\(130, 170, 3\).* cannot be used as audio. Use \(samples, rate\)"),
        ({"video": PIXELS}, r"cannot be used as video. Use Frames\(pixels, duration_s\)"),
        ({"image": (tone(1, 440), RATE_HZ)}, "has no image. Use an image of Pillow"),
        ({"video": ws.Waveform(tone(1, 440), RATE_HZ)}, "has no video"),
        ({"text": PIXELS}, r"an array of shape \(130, 170, 3\) and type uint8 is not a text"),
        ({"like": PIXELS}, "is not a segment of the index"),
        ({"image": 5}, "5 is not a file name"),
        ({"vector": "abc"}, "the vector cannot be searched for: 'abc'"),
        ({"audio": (RATE_HZ, tone(1, 440))}, r"the rate of a sound stands before its samples. Write \(samples, rate\)"),
    ],
)
def test_media_of_another_kind_are_refused(query: dict[str, Any], message: str) -> None:
    with pytest.raises(ws.errors.UsageError, match=message):
        ws.SearchRequest.build(**query)


def test_requests_with_media_are_values() -> None:
    build = ws.SearchRequest.build
    pixels = PIXELS.copy()
    first, same, other = build(image=pixels), build(image=PIXELS), build(image=PIXELS[::-1])
    assert first == same != other
    assert hash(first) == hash(same)
    pixels[:] = 0
    assert first == same  # what the caller does later changes nothing
    assert build(audio=b"abc") == build(audio=bytearray(b"abc")) != build(audio=b"abd")


def test_a_question_about_what_is_in_memory(embedder: ws.MediaEmbedder, files: dict[str, Path]) -> None:
    choices = ["a dog", "a cat"]
    asked = embedder.ask(files["picture"], "What is it?", choices)
    for picture in (PIXELS, files["picture"].read_bytes()):
        assert [answer.text for answer in embedder.ask(picture, "What is it?", choices)] == [
            answer.text for answer in asked
        ]


def test_media_in_memory_compare_by_value() -> None:
    pixels, samples = np.zeros((2, 9, 9, 3), np.uint8), np.zeros(9, np.float32)
    makes: list[Callable[[Any], Any]] = [
        lambda array: ws.Frames(array(pixels), 1.0),
        lambda array: ws.Waveform(array(samples), 9),
        lambda array: ws.Clip(waveform=ws.Waveform(array(samples), 9), frames=ws.Frames(array(pixels), 1.0)),
        lambda array: ws.Weighted(array(samples), modality="text"),
        lambda array: ws.Not(ws.Frames(array(pixels), 1.0)),
    ]
    for make in makes:
        one, same, other = make(np.copy), make(np.copy), make(lambda array: array + 1)
        assert one == same
        assert hash(one) == hash(same)
        assert one != other
        assert one != 5
    assert ws.Weighted("rain") == ws.Weighted("rain", 1.0)
