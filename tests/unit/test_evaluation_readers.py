"""Data sets in the layouts that they are published in, whole and damaged."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from wave_search.errors import DatasetError
from wave_search.evaluation.datasets.dataset import Dataset, Item
from wave_search.evaluation.datasets.layouts import read_dataset
from wave_search.evaluation.datasets.rows import read_rows
from wave_search.evaluation.datasets.tasks import QuestionMapping, Side, TableMapping
from wave_search.finetune import data
from wave_search.types import MediaRef, Modality

NAMES = ("dog.wav", "rain.wav", "clip.mp4", "clip.wav", "moon.png")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with media; readers only look whether they are there."""
    for name in NAMES:
        (tmp_path / "media" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "media" / name).write_bytes(b"x")
    return tmp_path


def read(path: Path, **options: Any) -> Dataset:
    return read_dataset(
        path,
        **{
            "mapping": None,
            "media": path.parent / "media" if path.is_file() else path / "media",
            "unpacked": path.parent / "unpacked",
            "split": "test",
            **options,
        },
    )


def ref(folder: Path, name: str, modality: Modality, prompt: str | None = None) -> Item:
    return Item(MediaRef(folder / "media" / name, modality), prompt)


def json_lines(path: Path, *rows: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def faults(dataset: Dataset) -> list[str]:
    return [f"{row.place.path.name}, {row.place}: {row.cause}" for row in dataset.bad_rows]


@pytest.mark.parametrize(
    "times",
    [
        pyarrow.array([0, 253_402_300_800_000_000, 0], pyarrow.timestamp("us")),
        pyarrow.array([0, -62_135_596_800_000_001, 0], pyarrow.timestamp("us")),
        pyarrow.array([0, 2**40, 0], pyarrow.timestamp("s", tz="America/New_York")),
        pyarrow.array([0, 2**62, 0], pyarrow.duration("s")),
    ],
)
def test_a_row_of_parquet_that_python_cannot_represent_is_reported(tmp_path: Path, times: pyarrow.Array) -> None:
    parquet.write_table(pyarrow.table({"n": [1, 2, 3], "time": times}), tmp_path / "x.parquet")
    first, bad, last = read_rows(tmp_path / "x.parquet")
    assert (first.fields["n"], last.fields["n"]) == (1, 3)
    assert str(bad.place) == "entry 2"
    assert "out of range" in bad.cause


@pytest.mark.parametrize(
    ("value", "cause"), [("9" * 4301, "a number of more than 4,300 digits"), ("[" * 100_000, "nested too deeply")]
)
def test_json_that_python_cannot_read_is_named_by_its_line(tmp_path: Path, value: str, cause: str) -> None:
    (tmp_path / "x.jsonl").write_text(f'{{"n": 1}}\n{{"n": {value}}}\n{{"n": 3}}\n')
    first, bad, last = read_rows(tmp_path / "x.jsonl")
    assert (first.fields["n"], bad.place.line, bad.cause, last.fields["n"]) == (1, 2, f"not JSON ({cause})", 3)
    (tmp_path / "x.json").write_text(f'[{{"n": 1}},\n{{"n": {value}}}]')
    with pytest.raises(DatasetError, match=f"line 2: {cause}"):
        list(read_rows(tmp_path / "x.json"))


def test_a_cell_may_be_long(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(f"a,b\n1,{'x' * 200_000}\n")
    (row,) = read_rows(tmp_path / "x.csv")
    assert row.fields["b"] == "x" * 200_000


def test_beir_with_texts(folder: Path) -> None:
    json_lines(folder / "corpus.jsonl", {"_id": "d1", "title": "Dogs", "text": "bark."}, {"_id": "d2", "text": "Cats."})
    json_lines(folder / "queries.jsonl", {"_id": "q1", "text": "Who barks?"}, {"_id": "q2", "text": "Unasked."})
    (folder / "qrels").mkdir()
    (folder / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\nq2\td1\t1\n")
    (folder / "qrels" / "test.tsv").write_text('query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\n"q9\td1\t1\n')
    dataset = read(folder)
    assert dataset.layout == "mteb"
    assert dataset.corpus == {"d1": Item("Dogs bark."), "d2": Item("Cats.")}
    assert dataset.qrels == {"q1": {"d1": 2, "d2": 0}}
    assert faults(dataset) == ['test.tsv, line 4: the query has no usable row with the id ""q9"']
    assert read(folder, split="train").qrels == {"q2": {"d1": 1}}
    with pytest.raises(DatasetError, match=r"no split dev. Choose one with --split: test, train"):
        read(folder, split="dev")


def test_mteb_with_media_by_path(folder: Path) -> None:
    json_lines(
        folder / "corpus.jsonl",
        {"id": 1, "modality": "audio", "audio": "dog.wav", "text": "not meant"},
        {"id": 2, "modality": "audio,video", "video": "clip.mp4", "audio": None},
        {"id": 3, "image": "moon.png", "text": None},
        {"id": 4, "modality": "image,text", "image": "moon.png", "text": "What shines?"},
    )
    json_lines(folder / "queries.jsonl", {"_id": "a", "modality": "text", "text": "a dog barks"})
    json_lines(folder / "qrels.jsonl", {"query-id": "a", "corpus-id": 1, "score": 1.0})
    dataset = read(folder)
    assert dataset.corpus == {
        "1": ref(folder, "dog.wav", Modality.AUDIO),
        "2": ref(folder, "clip.mp4", Modality.AV),
        "3": ref(folder, "moon.png", Modality.IMAGE),
        "4": ref(folder, "moon.png", Modality.IMAGE, "What shines?"),
    }
    assert dataset.queries == {"a": Item("a dog barks")}
    assert dataset.qrels == {"a": {"1": 1}}
    assert not dataset.bad_rows


def test_mteb_parquet_with_media_inside(folder: Path) -> None:
    audio = [{"bytes": b"RIFF one", "path": "1.wav"}, {"bytes": None, "path": "dog.wav"}]
    tables = {
        "corpus": {"id": ["d1", "d2"], "modality": ["audio"] * 2, "audio": audio, "text": [None] * 2},
        "queries": {"id": ["q1"], "modality": ["text"], "text": ["a dog"], "audio": pyarrow.nulls(1)},
        "qrels": {"query-id": ["q1", "q1"], "corpus-id": ["d1", "d2"], "score": [1, 1]},
    }
    for name, columns in tables.items():
        (folder / name).mkdir()
        parquet.write_table(pyarrow.table(columns), folder / name / "test-00000-of-00001.parquet")
    dataset = read(folder)
    inside, by_path = (dataset.corpus[name].content for name in ("d1", "d2"))
    assert isinstance(inside, MediaRef)
    assert inside.path.read_bytes() == b"RIFF one"
    assert by_path == MediaRef(folder / "media" / "dog.wav", Modality.AUDIO)
    assert dataset.qrels == {"q1": {"d1": 1, "d2": 1}}

    file = folder / "corpus" / "test-00000-of-00001.parquet"
    file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(DatasetError, match=r"test-00000-of-00001.parquet: not a complete parquet file .* Download"):
        read(folder)


def test_bad_rows_of_mteb_are_named_and_cost_no_other(folder: Path) -> None:
    json_lines(folder / "queries.jsonl", {"_id": "a", "text": "a dog barks"}, {"_id": "b", "text": "  "})
    json_lines(
        folder / "corpus.jsonl",
        {"_id": "1", "audio": "dog.wav"},
        {"_id": "2", "audio": "cat.wav"},
        {"audio": "dog.wav"},
        {"_id": "1", "audio": "rain.wav"},
        {"_id": "4", "audio": "dog.wav", "text": "both"},
        {"_id": "5", "modality": "smell", "smell": "x"},
        {"_id": "6", "text": [{"role": "user"}]},
        {"_id": "7", "modality": "audio,text", "audio": "dog.wav", "text": "\ud800"},
        ["no object"],
    )
    with (folder / "corpus.jsonl").open("ab") as file:
        file.write(b'{"_id": "7", "text": "\xff"}\n{"_id": "8",\n')
    json_lines(
        folder / "qrels.jsonl",
        {"query-id": "a", "corpus-id": "1", "score": 1},
        {"query-id": "a", "corpus-id": "2", "score": 1},
        {"query-id": "a", "corpus-id": "1", "score": "much"},
        {"query-id": "a", "corpus-id": "1", "score": 10**400},
        {"query-id": "a", "corpus-id": "1", "score": 1e300},
    )
    dataset = read(folder)
    assert dataset.qrels == {"a": {"1": 1}}
    found = faults(dataset)
    assert [fault.partition(": ")[0] for fault in found] == [
        *(f"corpus.jsonl, line {number}" for number in range(2, 12)),
        "queries.jsonl, line 2",
        *(f"qrels.jsonl, line {number}" for number in range(2, 6)),
    ]
    assert found[0].endswith("cat.wav: no such file")
    assert "there is no _id or id" in found[1]
    assert found[2].endswith('the id "1" is a duplicate')
    assert "must have exactly one of" in found[3]
    assert '"smell" is not a modality' in found[4]
    assert found[5].endswith("the text is [{'role': 'user'}], not a string")
    assert "the prompt is not valid Unicode" in found[6]
    assert "not JSON" in found[9]
    assert 'the score "much" is not a whole number' in found[-3]


def conversation(prompt: str, reply: str) -> list[dict[str, str]]:
    return [{"from": "human", "value": f"<image>\n{prompt}"}, {"from": "gpt", "value": reply}]


def test_wave_pairs_of_media_and_texts(folder: Path) -> None:
    entries = [
        {"video": "clip.mp4", "audio": "clip.wav", "conversations": conversation("Describe.", "a dog runs")},
        {"audio": "dog.wav", "conversations": conversation("Please describe the audio.", "a dog barks")},
        {"audio": "dog.wav", "conversations": conversation("Please describe the audio.", "barking")},
        {"video": ["clip.mp4"], "timestamps": [1, 2.5], "conversations": conversation("Describe.", "it sits")},
    ]
    (folder / "ret.json").write_text(json.dumps(entries))
    dataset = read(folder / "ret.json")
    assert dataset.layout == "wave"
    assert not dataset.bad_rows
    names = {item: name for name, item in dataset.corpus.items()}
    assert len(names) == 3 + 4, "the sound that has two captions is one"
    seen = MediaRef(folder / "media" / "clip.mp4", Modality.AV)
    both = Item(seen, "Describe.", sound=MediaRef(folder / "media" / "clip.wav", Modality.AUDIO))
    dog = ref(folder, "dog.wav", Modality.AUDIO, "Please describe the audio.")
    cut = Item(MediaRef(folder / "media" / "clip.mp4", Modality.VIDEO, 1.0, 2.5), "Describe.")
    assert {*names} == {both, dog, cut, *map(Item, ("a dog runs", "a dog barks", "barking", "it sits"))}
    pairs = {(dataset.queries[query], dataset.corpus[found]) for query, of in dataset.qrels.items() for found in of}
    assert {
        (Item("barking"), dog),
        (dog, Item("barking")),
        (dog, Item("a dog barks")),
        (both, Item("a dog runs")),
    } <= pairs


def test_wave_pairs_of_media(folder: Path) -> None:
    other = {"video": "clip.mp4", "conversations": [{"from": "human", "value": "<video>\nPlease describe the video."}]}
    entry = {"audio": "dog.wav", "conversations": conversation("Please describe the audio.", ""), "pos_image": other}
    json_lines(folder / "ret.jsonl", entry)
    dataset = read(folder / "ret.jsonl")
    audio = ref(folder, "dog.wav", Modality.AUDIO, "Please describe the audio.")
    video = ref(folder, "clip.mp4", Modality.VIDEO, "Please describe the video.")
    pairs = {(dataset.queries[query], dataset.corpus[found]) for query, of in dataset.qrels.items() for found in of}
    assert pairs == {(audio, video), (video, audio)}


def test_wave_questions(folder: Path) -> None:
    entry = {"video": "clip.mp4", "conversations": conversation("Which?\nA. x\nB. y", "B"), "neg_text": ["A", "C"]}
    (folder / "mc.json").write_text(json.dumps([entry]))
    (question,) = read(folder / "mc.json").questions
    assert question.clip == ref(folder, "clip.mp4", Modality.VIDEO, "Which?\nA. x\nB. y")
    assert question.choices[question.answer] == "B"
    assert question.choices == ("B", "A", "C")


def test_bad_entries_of_wave_are_named(folder: Path) -> None:
    good = {"audio": "dog.wav", "conversations": conversation("Describe.", "a dog")}
    bad = [
        ({**good, "audio": "cat.wav"}, "cat.wav: no such file"),
        ({**good, "type": "sft_text"}, "type sft_text, which trains text generation"),
        ({**good, "conversations": []}, "not one question"),
        ({"conversations": good["conversations"]}, "no media file cannot be embedded"),
        ({**good, "image": "moon.png"}, "image and audio"),
        ({**good, "video": ["clip.mp4", "clip.mp4"]}, "2 files of video"),
        ({**good, "timestamps": [3, 1]}, "not a range"),
        ({**good, "timestamps": "soon"}, "not two numbers"),
        ({**good, "timestamps": [1, 10**400]}, "not two numbers"),
        ({**good, "conversations": conversation("Describe.", " ")}, "the answer is empty"),
        ({**good, "neg_text": "A"}, "not a list of wrong answers"),
        ({"frame_dir": "frames", "conversations": good["conversations"]}, "use the video"),
        ("an entry", "not an object with fields"),
    ]
    (folder / "ret.json").write_text(json.dumps([good, *(entry for entry, _ in bad)]))
    dataset = read(folder / "ret.json")
    assert len(dataset.qrels) == 2
    for number, (row, (_, cause)) in enumerate(zip(dataset.bad_rows, bad, strict=True), start=2):
        assert str(row.place) == f"entry {number} (line 1)"
        assert cause in row.cause


def test_evaluation_and_fine_tuning_parse_an_entry_alike(folder: Path) -> None:
    media: list[dict[str, Any]] = [
        {"video": "clip.mp4", "audio": "clip.wav", "timestamps": [0.5, 2]},
        {"video": ["clip.mp4"], "audio": "clip.mp4"},
        {"video": "clip.mp4", "image": None},
        {"audio": "dog.wav", "timestamps": [1, 3]},
        {"image": "moon.png", "timestamps": [1, 3]},
        {"audio": "dog.wav", "image": "moon.png"},
        {"audio": 3},
    ]
    asked = ["<video>What?", "What?\n<image>", "<audio>\nWhat?", " What? ", "<image>\n", "", "<image>\nA <b>?", None]
    replies = ["a dog", " a dog ", "", None]
    other = {"video": "clip.mp4", "conversations": [{"from": "human", "value": "<video>What?"}]}
    more: list[dict[str, Any]] = [
        {},
        {"neg_text": ["a cat", " a cow "]},
        {"neg_text": []},
        {"neg_text": ["a dog"]},
        {"pos_image": other},
        {"pos_image": other, "neg_text": ["a cat"]},
        {"type": "sft_text"},
        {"type": "give_neg", "neg_text": ["a cat"]},
    ]
    entries = [
        {**medium, **added, "conversations": [{"from": "human", "value": value}, {"from": "gpt", "value": reply}]}
        for medium, value, reply, added in itertools.product(media, asked, replies, more)
    ]
    file = folder / "media" / "all.json"
    file.write_text(json.dumps(entries))

    def of_item(item: Item) -> tuple[Any, ...]:
        if isinstance(item.content, str):
            return (Modality.TEXT, item.content)
        ref, sound = item.content, item.sound and item.sound.path
        return (ref.modality, ref.path, sound, ref.start_s, ref.stop_s, item.prompt)

    def of_side(side: data.Side) -> tuple[Any, ...]:
        if side.modality is Modality.TEXT:
            return (Modality.TEXT, side.text)
        start_s, stop_s = (side.span.start_s, side.span.stop_s) if side.span else (None, None)
        return (side.modality, side.path, side.sound, start_s, stop_s, side.prompt)

    evaluated, trained = read(file, media=file.parent), data.read_data([file])
    assert evaluated.bad_rows == trained.rejected
    asking = {(of_item(question.clip), question.choices) for question in evaluated.questions}
    assert asking == {(of_side(pair.query), (pair.target.text, *pair.wrong)) for pair in trained.pairs if pair.wrong}
    found = {
        (of_item(evaluated.queries[query]), of_item(evaluated.corpus[name]))
        for query, grades in evaluated.qrels.items()
        for name in grades
    }
    sides = [(of_side(pair.query), of_side(pair.target)) for pair in trained.pairs if not pair.wrong]
    assert found == {*sides, *(side[::-1] for side in sides)}
    assert len(asking) > 20
    assert {item[-1] for item, _ in asking} == {"What?", "A <b>?", None}, "the marker is no part of the question"


def test_pairs(folder: Path) -> None:
    (folder / "pairs.csv").write_text(
        "\ufeffquery,modality,target,relevant\n"
        '"a dog, barking",text,audio,dog.wav\n'
        "dog.wav,audio,video,clip.mp4@1-2.5\n"
        "\n"
        ",,audio,rain.wav\n"
        '"a dog, barking",text,audio,clip.wav\n'
        "what rains?,text,audio,snow.wav\n"
        "dog.wav,sound,video,clip.mp4\n"
        "too,few\n"
        ",text,audio,dog.wav\n"
        "dog.wav,audio,rain.wav,1\n"
    )
    dataset = read(folder / "pairs.csv")
    assert dataset.layout == "pairs"
    assert {*dataset.corpus.values()} == {
        *(ref(folder, name, Modality.AUDIO) for name in ("dog.wav", "clip.wav", "rain.wav")),
        Item(MediaRef(folder / "media" / "clip.mp4", Modality.VIDEO, 1.0, 2.5)),
    }
    asked = {dataset.queries[query]: len(of) for query, of in dataset.qrels.items()}
    assert asked == {Item("a dog, barking"): 2, ref(folder, "dog.wav", Modality.AUDIO): 1}
    assert [fault.partition(": ")[0] for fault in faults(dataset)] == [
        f"pairs.csv, line {number}" for number in (7, 8, 9, 10, 11)
    ]
    assert faults(dataset)[1].endswith('in the column modality: "sound" is not a modality, use one of '
                                       "text, image, audio, video, av")  # fmt: skip
    assert "2 fields instead of 4" in faults(dataset)[2]
    assert 'in the column target: "rain.wav"' in faults(dataset)[4]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "x.csv",
            "text,file\na,b\n",
            "there is no column 'query'; its columns are text, file. The first line",
        ),
        ("x.csv", "query,modality,target,relevant\n", "x.csv: there is nothing to evaluate in it. See docs"),
        ("x.json", '{"a": 1}', "not a list of entries"),
        ("x.json", "[1,", "not JSON"),
        ("x.txt", "hello", "neither a folder nor"),
        ("x.csv", None, "there is no such file or folder"),
        ("empty/x.md", "", "there is no corpus in it"),
    ],
)
def test_what_cannot_be_read_at_all(tmp_path: Path, name: str, content: str | None, message: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    with pytest.raises(DatasetError) as error:
        read(path.parent if name.startswith("empty") else path)
    assert message in str(error.value)


def test_a_mapped_table(folder: Path) -> None:
    (folder / "clotho.csv").write_text("file_name,caption_1,caption_2\ndog,a dog,barking\nrain,it rains,\nsnow,x,y\n")
    mapping = TableMapping(
        Side(Modality.TEXT, ("{caption_1}", "{caption_2}")), Side(Modality.AUDIO, ("{file_name}.wav",))
    )
    dataset = read(folder / "clotho.csv", mapping=mapping)
    dog = ref(folder, "dog.wav", Modality.AUDIO)
    pairs = {(dataset.queries[query], dataset.corpus[found]) for query, of in dataset.qrels.items() for found in of}
    assert {(Item("barking"), dog), (dog, Item("barking")), (Item("a dog"), dog)} <= pairs
    assert len(pairs) == 6
    assert faults(dataset) == [f"clotho.csv, line 4: {folder}/media/snow.wav: no such file"]

    rows = [{"clip": "dog", "words": ["barking"]}, {"clip": "dog", "words": []}, {"clip": "rain", "words": None}]
    (folder / "msvd.json").write_text(json.dumps([*rows, {"clip": None, "words": ["rain"]}]))
    first = TableMapping(Side(Modality.TEXT, ("{words[0]}",)), Side(Modality.AUDIO, ("{clip}.wav",)))
    dataset = read(folder / "msvd.json", mapping=first)
    assert {*dataset.corpus.values()} == {Item("barking"), dog}
    assert [row.place.entry for row in dataset.bad_rows] == [2, 3, 4]

    (folder / "split.csv").write_text("dog,0,barking,test\nrain,0,rain,train\n")
    headless = TableMapping(
        Side(Modality.VIDEO, ("{name}.wav",)), Side(Modality.AUDIO, ("{name}.wav",)),
        columns=("name", "start", "label", "split"), keep=("split", "test"),
    )  # fmt: skip
    assert len(read(folder / "split.csv", mapping=headless).qrels) == 2
    missing = TableMapping(Side(Modality.TEXT, ("{title}",)), Side(Modality.AUDIO, ("{file_name}.wav",)))
    with pytest.raises(DatasetError, match=r"3 rows cannot be used: line 2: \{title\} cannot be built from the row"):
        read(folder / "clotho.csv", mapping=missing)


def test_mapped_questions(folder: Path) -> None:
    rows = [
        {"audio_id": "./dog.wav", "question": "Who?", "choices": ["a cat", "a dog"], "answer": "a dog"},
        {"audio_id": "./dog.wav", "question": "Who?", "choices": "['a cat', 'a dog']", "answer": "a cat"},
        {"audio_id": "./dog.wav", "question": "Who?", "choices": ["a cat", "a dog"], "answer": "a cow"},
        {"audio_id": "./dog.wav", "question": "Who?", "choices": "a cat", "answer": "a cat"},
    ]
    (folder / "mmau.json").write_text(json.dumps(rows))
    by_text = read(folder / "mmau.json", mapping=QuestionMapping(Modality.AUDIO, "{audio_id}"))
    assert [question.choices[question.answer] for question in by_text.questions] == ["a dog", "a cat"]
    assert by_text.questions[0].clip.prompt == "Who?"
    assert [row.place.entry for row in by_text.bad_rows] == [3, 4]
    by_place = [
        {"idx": "dog", "q": "Who?", "a0": "a cat", "a1": "2", "a2": "a dog", "answer": 2},
        {"idx": "dog", "q": "Who?", "a0": "A. a cat", "a1": "B. a cow", "a2": "C. a dog", "answer": "B"},
        {"idx": "dog", "q": "Who?", "a0": "a cat", "a1": "a cow", "a2": "a dog", "answer": "7"},
    ]
    json_lines(folder / "next.jsonl", *by_place)
    numbered = QuestionMapping(Modality.AUDIO, "{idx}.wav", choices=("a0", "a1", "a2"), prompt="{q}\n{options}")
    dataset = read(folder / "next.jsonl", mapping=numbered)
    assert [question.answer for question in dataset.questions] == [1, 1], "what is a choice is meant as such"
    assert dataset.questions[1].clip.prompt == "Who?\nA. a cat\nB. a cow\nC. a dog", "no letters twice"
    assert [str(row.place) for row in dataset.bad_rows] == ["line 3"]
    lettered = QuestionMapping(Modality.AUDIO, "{audio_id}", prompt="{question}\n{options}", letters=True)
    question = read(folder / "mmau.json", mapping=lettered).questions[0]
    assert question.clip.prompt == "Who?\nA. a cat\nB. a dog"
    assert (question.choices, question.answer) == (("A", "B"), 1)
