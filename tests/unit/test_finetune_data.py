"""Training data as users write it: pairs, and rows that cannot be used."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import CHECKOUT
from wave_search.errors import DatasetError
from wave_search.finetune.data import Side
from wave_search.finetune.data import read_data as read
from wave_search.finetune.settings import Lora, Settings
from wave_search.types import Modality, Span

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "path,start_s,stop_s,text,modality,question,choices"


def asked(prompt: str, answer: str | None = None) -> list[dict[str, Any]]:
    turns = [{"from": "human", "value": f"<image>\n{prompt}"}]
    return turns if answer is None else [*turns, {"from": "gpt", "value": answer}]


def test_a_table(tmp_path: Path) -> None:
    file = tmp_path / "pairs.csv"
    file.write_text(
        f'\ufeff{HEADER}\na.mp4,1.5,4,"a dog, barking",audio,,\nb/c.mp4,2,,rain,,,\n'
        "d.png,,,red,image,Which colour?,blue|two greens\n"
    )
    first, second, third = read([file]).pairs
    assert first.query == Side(Modality.AUDIO, path=tmp_path / "a.mp4", span=Span(1.5, 4))
    assert (first.target, first.task, first.place.line) == (Side(Modality.TEXT, "a dog, barking"), "text_audio", 2)
    assert second.query == Side(None, path=tmp_path / "b/c.mp4", span=Span(2, math.inf))
    assert (third.query.prompt, third.wrong, third.task) == ("Which colour?", ("blue", "two greens"), "questions")


def test_the_four_columns_are_enough(tmp_path: Path) -> None:
    file = tmp_path / "pairs.csv"
    file.write_text("path,start_s,stop_s,text\na.wav,,,rain\n")
    assert read([file]).pairs[0].query == Side(None, path=tmp_path / "a.wav")


@pytest.mark.parametrize(
    ("row", "cause"),
    [
        ("a.wav,x,,rain,,,", "start_s is 'x'"),
        ("a.wav,nan,,rain,,,", "start_s is 'nan'"),
        ("a.wav,4,2,rain,,,", "not a range of seconds"),
        ("a.wav,-1,2,rain,,,", "not a range of seconds"),
        ("a.wav,,,,,,", "text is empty"),
        (",,,rain,,,", "path is empty"),
        ("a.wav,,,rain", "4 fields instead of 7"),
        ("a.wav,,,rain,,,,hail", "8 fields instead of 7"),
        ("a.wav,,,rain,smell,,", "no modality 'smell'"),
        ("a.wav,,,rain,text,,", "no modality 'text'"),
        ("a.wav,,,rain,,,hail", "without a question"),
        ("a.wav,,,rain,,What?,hail||snow", "the choice is empty"),
        ("a.wav,,,rain,,What?,hail|rain", "among the wrong"),
    ],
)
def test_a_bad_row_of_a_table_is_named_and_the_others_are_read(tmp_path: Path, row: str, cause: str) -> None:
    file = tmp_path / "pairs.csv"
    file.write_text(f'{HEADER}\na.wav,,,"two\nlines",,,\n{row}\nb.wav,,,wind,,,\n')
    data = read([file])
    assert [pair.target.text for pair in data.pairs] == ["two\nlines", "wind"]
    (rejected,) = data.rejected
    assert (rejected.place.path, rejected.place.line) == (file, 4)
    assert cause in rejected.cause


@pytest.mark.parametrize(
    ("name", "content", "cause"),
    [
        ("a.csv", "file,text\n", "no column 'path'"),
        ("a.csv", "path,text,colour\n", "there is an unknown column 'colour'"),
        ("a.csv", "path,text,path\n", "two columns"),
        ("a.csv", "", "no column 'path'"),
        ("a.json", '[{"audio": "a.wav"},\n nonsense]', "line 2 column 2"),
        ("a.json", "{}", "not a list of entries"),
        ("a.json", '[{"a": 1}\n{"b": 2}]', "a comma"),
        ("a.json", "[" * 100_000, "not JSON"),
        ("a.txt", "path,text\n", "not a file of pairs"),
        ("b.csv", None, "No such file"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str, content: str | None, cause: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(DatasetError, match=cause) as caught:
        read([tmp_path / name])
    assert name in caught.value.message


def test_texts_in_another_encoding_and_open_quotes_are_bad_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes('path,text\na.wav,Gezwitscher süß\nb.wav,rain\nc.wav,"hail\n'.encode("latin-1"))
    data = read([tmp_path / "a.csv"])
    assert [pair.target.text for pair in data.pairs] == ["rain"]
    assert [row.place.line for row in data.rejected] == [2, 4]
    assert "the text is not valid Unicode" in data.rejected[0].cause
    assert "not well-formed" in data.rejected[1].cause
    (tmp_path / "a.json").write_bytes('[{"audio": "süß.wav"}]'.encode("latin-1"))
    with pytest.raises(DatasetError, match=r"a\.json: not JSON .*utf-8"):
        read([tmp_path / "a.json"])


def test_the_published_format(tmp_path: Path) -> None:
    records = [
        {"video": "a.mp4", "audio": "a.wav", "conversations": asked("What is seen?", "a dog")},
        {"video": ["b.mp4"], "timestamps": [2, 5.5], "conversations": asked("", "a cat ")},
        {
            "audio": "c.wav",
            "type": "give_neg",
            "neg_text": ["B", "C"],
            "conversations": asked("Which?\nA. rain\nB. hail\nC. snow", "A"),
        },
        {
            "audio": "d.wav",
            "conversations": asked("Please describe the audio.", ""),
            "pos_image": {"video": "d.mp4", "conversations": asked("Please describe the video.")},
        },
        {"image": "e.png", "conversations": asked("What is it?", "the moon")},
    ]
    (tmp_path / "a.json").write_text(json.dumps(records, indent=1))
    (tmp_path / "b.jsonl").write_text("\n".join(map(json.dumps, records)) + "\n\n")
    data, lines = read([tmp_path / "a.json"]), read([tmp_path / "b.jsonl"])
    assert data.rejected == lines.rejected == ()
    assert [(pair.query, pair.target, pair.wrong) for pair in data.pairs] == [
        (pair.query, pair.target, pair.wrong) for pair in lines.pairs
    ]
    both, seen, question, other, image = data.pairs
    assert both.query == Side(Modality.AV, path=tmp_path / "a.mp4", sound=tmp_path / "a.wav", prompt="What is seen?")
    assert seen.query == Side(Modality.VIDEO, path=tmp_path / "b.mp4", span=Span(2, 5.5))
    assert (question.target.text, question.wrong, question.task) == ("A", ("B", "C"), "questions")
    assert question.query.prompt == "Which?\nA. rain\nB. hail\nC. snow"
    assert other.target == Side(Modality.VIDEO, path=tmp_path / "d.mp4", prompt="Please describe the video.")
    assert [pair.task for pair in (both, seen, other, image)] == ["text_av", "text_video", "audio_video", "text_image"]
    assert [pair.place.line for pair in lines.pairs] == [1, 2, 3, 4, 5]
    content = (tmp_path / "a.json").read_text().splitlines()
    assert all(content[pair.place.line - 1].strip() == "{" for pair in data.pairs)


@pytest.mark.parametrize(
    ("record", "cause"),
    [
        ("a.mp4", "not an object with fields"),
        ({"video": "a.mp4"}, "there are no conversations"),
        ({"conversations": asked("What?", "rain")}, "no media file cannot be embedded"),
        ({"video": "a.mp4", "conversations": asked("What?")}, "the answer is None, not a string"),
        ({"video": "a.mp4", "conversations": asked("What?", " ")}, "the answer is empty"),
        ({"video": "a.mp4", "conversations": [*asked("A?", "a"), *asked("B?", "b")]}, "not one question"),
        ({"video": ["a.mp4", "b.mp4"], "conversations": asked("What?", "rain")}, "2 files of video"),
        ({"video": 3, "conversations": asked("What?", "rain")}, "the path of the video is 3, not a string"),
        ({"frame_dir": "a", "conversations": asked("What?", "rain")}, "frame_dir"),
        (
            {"image": "a.png", "audio": "a.wav", "conversations": asked("What?", "rain")},
            "image and audio cannot",
        ),
        ({"audio": "a.wav", "timestamps": [1], "conversations": asked("What?", "rain")}, "not two numbers"),
        ({"audio": "a.wav", "timestamps": [3, 1], "conversations": asked("What?", "rain")}, "not a range"),
        ({"audio": "a.wav", "timestamps": [0, 10**400], "conversations": asked("What?", "rain")}, "not two numbers"),
        ({"audio": "a.wav", "conversations": asked("What?", "\ud83d")}, "the answer is not valid Unicode"),
        ({"audio": "a.wav", "conversations": asked("\ud83d", "rain")}, "the question is not valid Unicode"),
        ({"audio": "a.wav", "type": "sft_text", "conversations": asked("What?", "rain")}, "type sft_text"),
        (
            {"audio": "a.wav", "neg_text": "hail", "conversations": asked("What?", "rain")},
            "neg_text is not a list",
        ),
        ({"audio": "a.wav", "neg_text": ["rain"], "conversations": asked("What?", "rain")}, "among neg_text"),
        (
            {"audio": "a.wav", "neg_text": [""], "conversations": asked("What?", "rain")},
            "of neg_text is empty",
        ),
        ({"audio": "a.wav", "pos_image": "a.mp4", "conversations": asked("What?", "")}, "pos_image is not an entry"),
    ],
)
def test_a_bad_record_is_named_and_the_others_are_read(tmp_path: Path, record: Any, cause: str) -> None:
    good = {"audio": "a.wav", "conversations": asked("What?", "rain")}
    (tmp_path / "a.json").write_text("[\n" + ",\n".join(map(json.dumps, [good, record, good])) + "\n]\n")
    data = read([tmp_path / "a.json"])
    assert [pair.place.line for pair in data.pairs] == [2, 4]
    (rejected,) = data.rejected
    assert str(rejected.place) == "entry 2 (line 3)"
    assert cause in rejected.cause


def test_a_broken_line_is_one_bad_row(tmp_path: Path) -> None:
    good = json.dumps({"audio": "a.wav", "conversations": asked("What?", "rain")})
    (tmp_path / "a.jsonl").write_text(f'{good}\n{{"audio": \n{good}\n')
    data = read([tmp_path / "a.jsonl"])
    assert len(data.pairs) == 2
    assert [row.place.line for row in data.rejected] == [2]
    assert "not JSON" in data.rejected[0].cause


def test_the_digest_depends_on_the_content(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("path,text\na.wav,rain\n")
    before = read([file]).digest
    file.write_text("path,text\na.wav,hail\n")
    assert read([file]).digest != before


@pytest.mark.parametrize(("language", "name", "count"), [("csv", "a.csv", 4), ("json", "a.jsonl", 1)])
def test_the_examples_of_the_manual_are_read(tmp_path: Path, language: str, name: str, count: int) -> None:
    example = _example(language)
    (tmp_path / name).write_text(example if language == "csv" else example.replace("\n", " "))
    data = read([tmp_path / name])
    assert (len(data.pairs), data.rejected) == (count, ())


def test_the_configuration_of_the_manual_is_read(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(_example("toml"))
    settings = Settings.read(tmp_path / "run.toml")
    assert settings.lora == Lora()
    assert settings.epochs == 3


def _example(language: str) -> str:
    """The first block of code in the manual that is marked as of a language."""
    manual = (CHECKOUT / "docs" / "guide" / "fine-tuning.md").read_text()
    return manual.split(f"\n```{language}\n", 1)[1].split("```", 1)[0]
