"""The model without an index, through the public face."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import wave_search as ws
from tests.libraries import PACKAGE_PARENT, CountingEmbedder, tiny
from tests.media_factory import write_image, write_sound, write_video
from wave_search.errors import UsageError
from wave_search.types import Clip, Waveform


@pytest.fixture
def embedder(monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr("wave_search.models.load", CountingEmbedder().load)
    with ws.load_embedder("wave-tiny") as loaded:
        yield loaded


def test_a_mixture_keeps_its_order(embedder: ws.MediaEmbedder, tmp_path: Path) -> None:
    sound = write_sound(tmp_path / "dog.wav", 2, 440)
    clip = write_video(tmp_path / "clip.mp4", 12, seed=3, hz=300)
    image = write_image(tmp_path / "moon.png")
    items = [
        "a dog barks",
        ws.Audio(sound),
        ws.Video(clip, start_s=3, stop_s=8),
        ws.AV(clip),
        ws.Image(image),
        Clip(waveform=Waveform(np.full(16_000, 0.1, np.float32), 16_000)),
        "rain",
    ]
    vectors = embedder.encode(items)
    assert vectors.shape == (len(items), tiny().spec.dim)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    for item, vector in zip(items, vectors, strict=True):
        np.testing.assert_allclose(embedder.encode(item), vector, atol=1e-5)


def test_a_range_is_another_clip(embedder: ws.MediaEmbedder, tmp_path: Path) -> None:
    sound = write_sound(tmp_path / "long.wav", 4, 440)
    whole, first, last = embedder.encode([ws.Audio(sound), ws.Audio(sound, 0, 2), ws.Audio(sound, 2, 4)])
    similarity = embedder.similarity([whole, first, last], [whole, first, last])
    np.testing.assert_allclose(np.diag(similarity), 1, atol=1e-5)
    assert (similarity[~np.eye(3, dtype=bool)] < 0.99999).all()
    open_ended = embedder.encode([ws.Audio(sound, stop_s=2), ws.Audio(sound, start_s=2)])
    np.testing.assert_allclose(open_ended, [first, last], atol=1e-5)


def test_a_still_of_a_video_is_an_image(embedder: ws.MediaEmbedder, tmp_path: Path) -> None:
    film = write_video(tmp_path / "film.mp4", 2, seed=3)
    stills = [embedder.encode(ws.Image(film, at_s)) for at_s in (0.0, 0.01, 1.5)]
    assert np.array_equal(stills[0], stills[1])
    assert not np.allclose(stills[0], stills[2])
    with pytest.raises(UsageError, match="a still of it as FILE@SECONDS"):
        embedder.encode(ws.Image(film))
    with pytest.raises(UsageError, match="begins after the end"):
        embedder.encode(ws.Image(film, 9))
    with pytest.raises(UsageError, match="no image"):
        embedder.encode(ws.Image(write_sound(tmp_path / "a.wav"), 0))


def test_similarity_takes_single_vectors_and_any_length(embedder: ws.MediaEmbedder) -> None:
    assert embedder.similarity([2.0, 0.0], [[0.0, 1.0], [3.0, 3.0]]) == pytest.approx(np.array([[0, 0.5**0.5]]))


def test_nothing_gives_nothing(embedder: ws.MediaEmbedder) -> None:
    assert embedder.encode([]).shape == (0, tiny().spec.dim)


def test_what_cannot_be_embedded(embedder: ws.MediaEmbedder, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the text is empty"):
        embedder.encode([""])
    with pytest.raises(UsageError, match="not valid Unicode"):
        embedder.encode(["a\udcff"])
    with pytest.raises(UsageError, match="Audio, Video"):
        embedder.encode([tmp_path / "dog.wav"])  # type: ignore[list-item]
    with pytest.raises(UsageError, match="5 cannot be embedded"):
        embedder.encode(5)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="5 is not an instruction"):
        embedder.encode("a", 5)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="two or more choices"):
        embedder.ask(write_image(tmp_path / "b.png"), "What?", "ab")
    with pytest.raises(UsageError, match="the clip is empty"):
        embedder.encode([Clip()])
    with pytest.raises(UsageError, match="the file has no audio"):
        embedder.encode(ws.Audio(write_image(tmp_path / "a.png")))


def test_every_exported_name_exists() -> None:
    for name in ws.__all__:
        assert getattr(ws, name) is not None
    assert set(ws.__all__) <= set(dir(ws))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = ws.nonsense


def test_using_an_index_without_a_model_loads_no_torch(tmp_path: Path) -> None:
    code = """
import sys, wave_search as ws
index = ws.open(sys.argv[1])
index.info()
assert len(index.search(vector=[1.0] * index.model.dim)) == 1
assert index.add([sys.argv[2]]).unchanged == 1
assert not {"torch", "transformers"} & set(sys.modules)
"""
    media = tmp_path / "media"
    media.mkdir()
    (media / "a.txt").write_text("a")
    with ws.create(tmp_path / "index", "wave-tiny") as index:
        index.add([media])
    subprocess.run([sys.executable, "-c", code, tmp_path / "index", media], check=True, cwd=PACKAGE_PARENT)
