"""Questions about clips, through the public face."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import wave_search as ws
from tests.libraries import CountingEmbedder
from tests.media_factory import write_image, write_sound, write_video
from wave_search.errors import UsageError
from wave_search.types import Clip, Waveform

if TYPE_CHECKING:
    from pathlib import Path

CHOICES = ["a dog", "rain", "a bell"]
QUESTION = "What is heard?"


@pytest.fixture(scope="module")
def embedder() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wave_search.models.load", CountingEmbedder().load)
        with ws.load_embedder("wave-tiny") as loaded:
            yield loaded


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    write_sound(folder / "bell.wav", 2, 440)
    write_image(folder / "moon.png")
    write_video(folder / "clip.mp4", 3, seed=3, hz=300)
    (folder / "notes.txt").write_text("words")
    return folder


def by_text(answers: list[ws.Answer]) -> dict[str, float]:
    return {answer.text: answer.score for answer in answers}


@pytest.mark.parametrize(
    ("clip", "modality", "reference"),
    [
        ("bell.wav", None, ws.Audio),
        ("moon.png", None, ws.Image),
        ("clip.mp4", None, ws.AV),
        ("clip.mp4", "video", ws.Video),
        ("clip.mp4", "audio", ws.Audio),
    ],
)
def test_the_clip_is_asked_and_the_nearest_answer_comes_first(
    *, embedder: ws.MediaEmbedder, media: Path, clip: str, modality: str | None, reference: type
) -> None:
    answers = embedder.ask(media / clip, QUESTION, CHOICES, modality=modality)
    assert [answer.rank for answer in answers] == [1, 2, 3]
    assert [answer.score for answer in answers] == sorted((answer.score for answer in answers), reverse=True)
    asked = embedder.encode(reference(media / clip), QUESTION)
    expected = embedder.similarity(asked, embedder.encode(CHOICES))[0].tolist()
    assert by_text(answers) == pytest.approx(dict(zip(CHOICES, expected, strict=True)), abs=1e-5)


def test_a_range_a_reference_and_a_decoded_clip(embedder: ws.MediaEmbedder, media: Path) -> None:
    part = embedder.ask(f"{media / 'clip.mp4'}@0-1", QUESTION, CHOICES)
    assert part == embedder.ask(ws.AV(media / "clip.mp4", 0, 1), QUESTION, CHOICES)
    assert by_text(part) != pytest.approx(by_text(embedder.ask(media / "clip.mp4", QUESTION, CHOICES)), abs=1e-5)
    clip = Clip(waveform=Waveform(np.full(16_000, 0.1, np.float32), 16_000))
    assert len(embedder.ask(clip, QUESTION, CHOICES)) == 3


def test_the_question_counts(embedder: ws.MediaEmbedder, media: Path) -> None:
    one, other = (embedder.ask(media / "bell.wav", asked, CHOICES) for asked in (QUESTION, "How many are there?"))
    assert by_text(one) != pytest.approx(by_text(other), abs=1e-5)


@pytest.mark.parametrize(
    ("clip", "question", "choices", "message"),
    [
        ("bell.wav", "What?", ["a"], "two or more choices, all different"),
        ("bell.wav", "What?", ["a", "a"], "two or more choices, all different"),
        ("bell.wav", " ", ["a", "b"], "the question is empty"),
        ("bell.wav", "What?", ["a", " "], "the text is empty"),
        ("notes.txt", "What?", ["a", "b"], "text is embedded without the question"),
        ("none.wav", "What?", ["a", "b"], "no such file"),
        ("bell.wav@7-8", "What?", ["a", "b"], "the range begins after the end"),
        ("moon.png@1-2", "What?", ["a", "b"], "has no duration, so it has no range"),
    ],
)
def test_questions_that_make_no_sense(
    *, embedder: ws.MediaEmbedder, media: Path, clip: str, question: str, choices: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        embedder.ask(media / clip, question, choices)


def test_ways_to_look_at_a_clip_that_there_are_not(embedder: ws.MediaEmbedder, media: Path) -> None:
    with pytest.raises(UsageError, match="the file has no video"):
        embedder.ask(media / "bell.wav", QUESTION, CHOICES, modality="video")
    with pytest.raises(UsageError, match='no modality "smell"'):
        embedder.ask(media / "bell.wav", QUESTION, CHOICES, modality="smell")
    with pytest.raises(UsageError, match="text is embedded without the question"):
        embedder.ask(Clip(text="words"), QUESTION, CHOICES)
