"""Labels for a library of real sounds, by the small model that knows some."""

from __future__ import annotations

import shutil
import unicodedata

import pytest

import wave_search as ws
from tests.conftest import DEMO_MEDIA
from wave_search.errors import UsageError

SOUNDS = {
    "dog-100032": "dog",
    "dog-118072": "dog",
    "rain-73260": "rain",
    "rain-81731": "rain",
    "rooster-107219": "rooster",
    "rooster-34119": "rooster",
}
LABELS = ["dog\ta dog barks", "rain", "rooster"]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> object:
    folder = tmp_path_factory.mktemp("tagged")
    (folder / "media").mkdir()
    for name in SOUNDS:
        shutil.copy(DEMO_MEDIA / "sounds" / f"{name}.flac", folder / "media")
    with ws.create(folder / "index", "wave-nano", load=ws.LoadOptions(device="cpu"), workers=1) as made:
        made.add([folder / "media"])
        yield made


def said(index: ws.Index, *columns: str) -> dict[str, list[object]]:
    hits = index.search(text="a sound", k=100, columns=columns)
    return {hit.path.stem: [hit.columns[name] for name in columns] for hit in hits}


def test_sounds_get_the_label_of_what_is_heard(index: ws.Index) -> None:
    report = index.tag(LABELS, target="audio", min_z=0)
    assert report == ws.TagReport({"dog": 2, "rain": 2, "rooster": 2}, unlabelled=0)
    assert {name: tags for name, (tags, _) in said(index, "tag", "tag_z").items()} == SOUNDS
    assert all(isinstance(z, float) and z >= 0 for _, z in said(index, "tag", "tag_z").values())
    hits = index.search(text="x", where="tag = 'rain'", k=100)
    assert {hit.path.stem for hit in hits} == {"rain-73260", "rain-81731"}
    assert [(column.name, column.type, column.filled) for column in index.metadata()] == [
        ("tag", "text", 6), ("tag_z", "number", 6),
    ]  # fmt: skip


def test_labels_are_replaced_and_none_is_given_below_the_least_z(index: ws.Index) -> None:
    index.tag(LABELS, min_z=-9, top=2, column="tag")
    assert all(len(tags) == 2 for (tags,) in said(index, "tag").values())
    report = index.tag(LABELS, min_z=99)
    assert report == ws.TagReport({"dog": 0, "rain": 0, "rooster": 0}, unlabelled=6)
    assert set(map(tuple, said(index, "tag", "tag_z").values())) == {(None, None)}


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_the_name_of_a_column_may_be_composed_or_not(index: ws.Index, form: str) -> None:
    name = unicodedata.normalize(form, "geräusch")
    index.tag(LABELS, target="audio", min_z=0, column=name)
    other = unicodedata.normalize("NFD" if form == "NFC" else "NFC", name)
    assert len(index.search(text="x", where=f"{other} = 'rain'", k=100)) == 2
    index.remove_metadata([name, f"{name}_z"])


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        ([" ", "# nothing"], {}, "there are no labels"),
        (["dog", "rain", "dog\tpuppy"], {}, '"dog" is given 2 times'),
        (["dog"], {"top": 0}, "top must be at least 1, got 0"),
        (["dog"], {"target": "video"}, "the index holds no video"),
        (["dog"], {"column": "kind"}, 'the column name "kind" is reserved'),
    ],
)
def test_requests_that_make_no_sense(
    index: ws.Index, labels: list[str], options: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        index.tag(labels, **options)
