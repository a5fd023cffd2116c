"""Evaluations of the small model on real files, whole, damaged and interrupted."""

from __future__ import annotations

import csv
import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

import wave_search as ws
from tests.libraries import CountingEmbedder, tiny
from tests.media_factory import write_image, write_sound, write_video
from wave_search.errors import CacheError, DatasetError, UsageError
from wave_search.evaluation.run import CACHE_FILE
from wave_search.reports import Progress
from wave_search.types import Modality

Options = ws.EvaluationOptions
evaluate = partial(ws.evaluate, workers=1)
SOUNDS = {300: "a low tone", 500: "a tone", 900: "a high tone"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for hz in SOUNDS:
        write_sound(folder / "media" / f"{hz}.flac", 1.0, hz)
        write_video(folder / "media" / f"{hz}.mp4", 1.0, seed=hz, hz=hz)
    write_image(folder / "media" / "picture.png")
    write_video(folder / "media" / "silent.mp4", 1.0, seed=7)
    (folder / "media" / "broken.mp4").write_bytes((folder / "media" / "300.mp4").read_bytes()[:300])
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path, counted: CountingEmbedder) -> Path:
    return Path(shutil.copytree(made, tmp_path / "data"))


def write_pairs(path: Path, *rows: tuple[str, str, str, str]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("query", "modality", "target", "relevant"), *rows])
    return path


def values(report: ws.Evaluation, query: str, target: str) -> dict[str, float]:
    (direction,) = [one for one in report.directions if (one.query, one.target) == (query, target)]
    return {figure.name: figure.value for figure in direction.exact}


def all_pairs(folder: Path) -> Path:
    copies = [shutil.copy(folder / "media" / f"{hz}.flac", folder / "media" / f"copy of {hz}.flac") for hz in SOUNDS]
    return write_pairs(
        folder / "pairs.csv",
        *((f"media/{hz}.flac", "audio", "audio", copy) for hz, copy in zip(SOUNDS, copies, strict=True)),
        *((words, "text", "video", f"media/{hz}.mp4") for hz, words in SOUNDS.items()),
        *((f"media/{hz}.mp4", "av", "audio", f"media/{hz}.flac") for hz in SOUNDS),
        ("media/picture.png", "image", "text", "a picture"),
    )


def test_equal_sounds_find_each_other_and_directions_are_apart(folder: Path) -> None:
    report = evaluate(all_pairs(folder), "wave-tiny")
    assert [(one.name, one.queries, one.items) for one in report.directions] == [
        ("audio -> audio", 3, 6),
        ("av -> audio", 3, 6),
        ("image -> text", 1, 1),
        ("text -> video", 3, 3),
    ]
    assert set(values(report, "audio", "audio").values()) == {1.0}
    assert values(report, "text", "video")["R@5"] == 1.0
    for direction in report.directions:
        assert direction.exact == direction.index, "so few are searched whole"
        assert direction.index_recall.value == 1.0
    assert report.complete
    assert report.model == tiny().spec
    assert report.prompts["audio"] == ("Please describe the audio.",)
    assert (report.embedded, report.reused, report.left_out) == (14, 3, 0), "copies are embedded once"
    assert report.media_s == pytest.approx(9, abs=0.3)
    json.dumps(report.as_record())


def test_a_second_run_embeds_nothing_and_a_moved_file_neither(folder: Path, counted: CountingEmbedder) -> None:
    pairs, cache = all_pairs(folder), folder / "cache"
    first = evaluate(pairs, cache=cache)
    embedded = len(counted.clips)
    assert embedded == first.embedded == 14
    (folder / "media").rename(folder / "moved")
    pairs.write_text(pairs.read_text().replace(f"{folder}/media/", "").replace("media/", ""))
    again = evaluate(pairs, options=Options(media=folder / "moved"), cache=cache)
    assert len(counted.clips) == embedded
    assert (again.embedded, again.reused) == (0, first.embedded + first.reused)
    assert [one.exact for one in again.directions] == [one.exact for one in first.directions]
    assert again.media_s == 0


def test_another_instruction_embeds_media_again_but_no_text(folder: Path, counted: CountingEmbedder) -> None:
    pairs, cache = all_pairs(folder), folder / "cache"
    evaluate(pairs, cache=cache)
    counted.clips.clear()
    report = evaluate(pairs, cache=cache, options=Options(instruction="What is heard?"))
    assert len(counted.clips) == report.embedded == 10
    assert not any(clip.text for clip in counted.clips)
    assert report.prompts["audio"] == ("What is heard?",)


@pytest.mark.parametrize("after", [1, 6])
def test_ctrl_c_loses_nothing_that_was_embedded(folder: Path, counted: CountingEmbedder, after: int) -> None:
    pairs, cache = all_pairs(folder), folder / "cache"

    def interrupt(progress: Progress) -> None:
        if progress.segments >= after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(pairs, cache=cache, progress=interrupt)
    before = len(counted.clips)
    assert before >= after
    report = evaluate(pairs, cache=cache)
    assert len(counted.clips) == 14, "nothing was embedded twice"
    assert (report.embedded, report.complete) == (14 - before, True)


def test_what_cannot_be_read_is_named_and_left_out(folder: Path) -> None:
    pairs = write_pairs(
        folder / "pairs.csv",
        ("a low tone", "text", "audio", "media/300.flac"),
        ("a tone", "text", "audio", "media/silent.mp4"),
        ("something", "text", "audio", "media/broken.mp4"),
        ("a high tone", "text", "audio", "media/none.flac"),
        ("", "", "audio", "media/500.flac"),
    )
    seen: list[Progress] = []
    report = evaluate(pairs, progress=seen.append)
    assert not report.complete
    assert [str(row.place) for row in report.bad_rows] == ["line 5"]
    assert {Path(unusable.name).name for unusable in report.unusable} == {"silent.mp4", "broken.mp4"}
    causes = " ".join(unusable.cause for unusable in report.unusable)
    assert "the file has no audio" in causes
    (direction,) = report.directions
    assert (direction.queries, direction.items, report.left_out) == (1, 2, 2)
    assert seen[-1].stage == "done"
    assert seen[-1].files_skipped == 2
    assert max(one.files_done for one in seen) == seen[0].files_total == 7


def test_the_model_refuses_one_clip_and_embeds_the_others(folder: Path, counted: CountingEmbedder) -> None:
    def refuse(clips: object) -> None:
        if any(clip.text == "a tone" for clip in clips):
            raise UsageError("the text is too long", "Shorten it.")

    counted.before = refuse
    report = evaluate(all_pairs(folder))
    assert [(one.name, one.cause, one.remedy) for one in report.unusable] == [
        ("a tone", "the text is too long", "Shorten it.")
    ]
    assert [one.queries for one in report.directions] == [3, 3, 1, 2]


def test_questions_are_asked_as_prompts(folder: Path) -> None:
    def entry(path: str, question: str, answer: str, *wrong: str) -> dict[str, object]:
        said = [{"from": "human", "value": f"<image>\n{question}"}, {"from": "gpt", "value": answer}]
        return {"audio": path, "conversations": said, "neg_text": wrong}

    def nearest(question: str) -> str:
        with ws.load_embedder("wave-tiny") as embedder:
            asked = embedder.encode(ws.Audio(folder / "media" / "300.flac"), question)
            offered = embedder.encode(["a dog", "a bell", "a car"])
        return ("a dog", "a bell", "a car")[int(np.argmax(offered @ asked))]

    questions = ["What is it?", "Is it loud?"]
    rows = []
    for question in questions:
        right = nearest(question)
        rows.append(entry("media/300.flac", question, right, *({"a dog", "a bell", "a car"} - {right})))
    wrong = entry(
        "media/300.flac", "What is it?", *sorted({"a dog", "a bell", "a car"}, key=nearest("What is it?").__eq__)
    )
    (folder / "mc.json").write_text(json.dumps([*rows, wrong, wrong]))
    report = evaluate(folder / "mc.json", "wave-tiny")
    (about,) = report.questions
    assert (about.name, about.questions) == ("questions about audio", 4)
    assert about.chance == pytest.approx(1 / 3)
    assert about.accuracy.value == 0.5
    assert not report.directions
    assert evaluate(folder / "mc.json", options=Options(limit=2)).questions[0].accuracy.value == 1.0


def test_media_inside_a_parquet_file_are_read(folder: Path, counted: CountingEmbedder) -> None:
    sounds = [(folder / "media" / f"{hz}.flac").read_bytes() for hz in SOUNDS]
    tables = {
        "corpus": {"id": ["a", "b", "c"], "audio": [{"bytes": sound, "path": None} for sound in sounds]},
        "queries": {"id": ["q"], "audio": [{"bytes": sounds[1], "path": None}]},
        "qrels": {"query-id": ["q"], "corpus-id": ["b"], "score": [1]},
    }
    for name, columns in tables.items():
        (folder / "set" / name).mkdir(parents=True)
        parquet.write_table(pyarrow.table(columns), folder / "set" / name / "test-00000-of-00001.parquet")
    report = evaluate(folder / "set", cache=folder / "cache")
    assert values(report, "audio", "audio")["hit@1"] == 1.0
    assert len(counted.clips) == 3
    assert len(list((folder / "cache" / "media").iterdir())) == 3
    (folder / "full").mkdir()
    (folder / "full" / "media").write_text("in the way")
    with pytest.raises(CacheError, match=r"full/media/.*media cannot be kept there"):
        evaluate(folder / "set", cache=folder / "full")


def test_sound_of_another_file_is_heard_with_a_silent_video(folder: Path, counted: CountingEmbedder) -> None:
    said = [{"from": "human", "value": "<image>\nPlease describe the video."}, {"from": "gpt", "value": "a tone"}]
    entry = {"video": "media/silent.mp4", "audio": "media/300.flac", "conversations": said}
    (folder / "ret.json").write_text(json.dumps([entry]))
    report = evaluate(folder / "ret.json")
    assert [one.name for one in report.directions] == ["av -> text", "text -> av"]
    (clip,) = [clip for clip in counted.clips if clip.text is None]
    assert clip.modalities == (Modality.AUDIO, Modality.VIDEO, Modality.AV)


def test_a_task_names_its_direction_and_the_published_figure(folder: Path) -> None:
    rows = [f"{hz},0,tone,test" for hz in SOUNDS]
    for hz in SOUNDS:
        (folder / "media" / f"{hz}.mp4").rename(folder / "media" / f"{hz}_000000.mp4")
    (folder / "vggsound.csv").write_text("\n".join(rows))
    report = evaluate(folder / "vggsound.csv", options=Options(task="vggsound", media=folder / "media"))
    assert [one.name for one in report.directions] == ["video -> audio"]
    assert report.task is not None
    assert report.task.expected == {"hit@1": 0.25}


def test_the_limit_is_of_queries_and_not_of_what_they_search(folder: Path) -> None:
    report = evaluate(all_pairs(folder), options=Options(limit=2))
    assert [(one.name, one.queries, one.items) for one in report.directions] == [("audio -> audio", 2, 6)]
    with pytest.raises(UsageError, match="at least 1, got 0"):
        evaluate(folder / "pairs.csv", options=Options(limit=0))
    with pytest.raises(UsageError, match="workers must be at least 1, got -1"):
        evaluate(folder / "pairs.csv", workers=-1)


def test_faults_show_before_a_model_is_loaded(folder: Path, counted: CountingEmbedder) -> None:
    with pytest.raises(DatasetError, match="no such file or folder"):
        evaluate(folder / "none.csv")
    with pytest.raises(UsageError, match="no task"):
        evaluate(all_pairs(folder), options=Options(task="none"))
    (folder / CACHE_FILE).write_text("not a database, but long enough to look at it closely")
    with pytest.raises(CacheError, match="not a database"):
        evaluate(folder / "pairs.csv", cache=folder)
    assert counted.loads == 0
