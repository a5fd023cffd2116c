import json
import sys
from dataclasses import fields, replace
from types import MappingProxyType

import pytest

from wave_search.errors import IndexCorruptError, IndexLockedError, IndexMismatchError, IndexNotFoundError
from wave_search.models import ModelSpec
from wave_search.store import ListRef, Manifest, Problem, Settings, ShardRef, manifest, verify
from wave_search.types import Modality, PartitionKey, Sampling

SPEC = ModelSpec(
    name="some/model",
    revision="0123abcd",
    dim=8,
    modalities=(Modality.TEXT, Modality.AUDIO),
    sampling=Sampling("uniform", {"frame_interval_s": 1 / 3, "max_frames": 3}, 16_000),
    prompts=MappingProxyType({Modality.AUDIO: "Describe “the” audio."}),
    options={"positions": "sequential"},
    notice="not trained",
)
STATE = Manifest(
    version=7,
    created="2026-01-01T00:00:00+00:00",
    model=SPEC,
    settings=Settings("scene", (Modality.AUDIO,), ("What?",)),
    roots=("/media/é", "/media/\udcff"),
    table_versions={"files": 3, "contents": 2, "segments": 9},
    table_digests=ListRef(6, "0a"),
    next_segment_id=42,
    next_content_id=4,
    shards=(ShardRef(PartitionKey(Modality.AUDIO, "What?"), "000-042-ab", 0, 42, 40, "ff"),),
)


@pytest.fixture
def index(tmp_path):
    (tmp_path / "manifest").mkdir()
    return tmp_path


def rewrite(path, **changes):
    """Change a manifest and give it a digest that fits."""
    content = {**json.loads(path.read_bytes()), **changes}
    del content["digest"]
    path.write_bytes(manifest._dump({**content, "digest": manifest._digest(content)}))


def test_what_is_published_is_what_is_read(index):
    manifest.publish(index, STATE)
    read = manifest.newest(index)
    assert read == STATE
    assert isinstance(read.settings.modalities[0], Modality)
    assert isinstance(next(iter(read.model.prompts)), Modality)


def test_the_highest_version_wins_whatever_its_date(index):
    for version in (2, 10, 9):
        manifest.publish(index, replace(STATE, version=version, created=f"20{30 - version}-01-01T00:00:00+00:00"))
    (index / "manifest" / ".000000000011.json.1.tmp").write_text("{}")
    (index / "manifest" / "notes.json").write_text("{}")
    assert manifest.versions(index) == [2, 9, 10]
    assert manifest.newest(index).version == 10


def test_a_version_is_never_written_twice(index):
    manifest.publish(index, STATE)
    with pytest.raises(IndexLockedError):
        manifest.publish(index, replace(STATE, next_segment_id=0))
    assert manifest.newest(index) == STATE
    assert [path.name for path in (index / "manifest").iterdir()] == ["000000000007.json"]


def test_any_changed_byte_is_found(index):
    manifest.publish(index, STATE)
    path = manifest.path_of(index, 7)
    good = path.read_bytes()
    for position in range(len(good)):
        path.write_bytes(good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])
        is_format = good[:position].endswith(b'"format_version": ')
        with pytest.raises(IndexMismatchError if is_format else IndexCorruptError):
            manifest.newest(index)


@pytest.mark.parametrize("length", [0, 1, 100, -1])
def test_a_shortened_manifest_is_found(index, length):
    manifest.publish(index, STATE)
    path = manifest.path_of(index, 7)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(IndexCorruptError, match="another folder"):
        manifest.newest(index)


def test_what_nobody_can_parse_is_damage(index):
    manifest.path_of(index, 7).write_text("[" * 100_000)
    with pytest.raises(IndexCorruptError, match="is damaged: not a manifest"):
        manifest.newest(index)


def test_a_damaged_manifest_names_the_way_back(index):
    manifest.publish(index, replace(STATE, version=6))
    manifest.publish(index, STATE)
    manifest.path_of(index, 7).write_text("{}")
    with pytest.raises(IndexCorruptError, match=r"000000000007\.json.*go back to version 6"):
        manifest.newest(index)


OLDER = {"format_version": 1, "byte_order": "middle", "vectors": "float64"}
NEWER = {"format_version": 3, "byte_order": sys.byteorder, "digests": {"kind": "sha3"}}


@pytest.mark.parametrize("content", [OLDER, NEWER])
def test_another_format_is_refused_whatever_else_it_holds(index, content):
    path = manifest.path_of(index, 7)
    path.write_text(json.dumps(content))
    with pytest.raises(IndexMismatchError) as caught:
        manifest.newest(index)
    found = content["format_version"]
    assert caught.value.message == f"the index {index} has format {found}, this program reads format 2"
    assert caught.value.remedy.startswith("Index the files again")
    assert verify(index) == (Problem(caught.value.message, caught.value.remedy),), "said once"


@pytest.mark.parametrize("changes", [{"format_version": 1}, {"format_version": 3}])
def test_another_format_with_the_same_entries_is_refused_too(index, changes):
    manifest.publish(index, STATE)
    rewrite(manifest.path_of(index, 7), **changes)
    with pytest.raises(IndexMismatchError, match=r"has format \d, this program reads format 2"):
        manifest.newest(index)


@pytest.mark.parametrize("nonsense", ["one", None, 1.5, True, [1]])
def test_a_format_that_is_none_is_damage(index, nonsense):
    manifest.publish(index, STATE)
    rewrite(manifest.path_of(index, 7), format_version=nonsense)
    with pytest.raises(IndexCorruptError, match=r"000000000007\.json is damaged: .* is not a format"):
        manifest.newest(index)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"features": ["sparse"]}, "lacks: sparse"),
        ({"byte_order": "big" if sys.byteorder == "little" else "little"}, "endian"),
    ],
)
def test_what_cannot_be_understood_is_refused(index, changes, words):
    manifest.publish(index, STATE)
    rewrite(manifest.path_of(index, 7), **changes)
    with pytest.raises(IndexMismatchError, match=words) as caught:
        manifest.newest(index)
    assert caught.value.remedy


@pytest.mark.parametrize("entry", [field.name for field in fields(Manifest)] + ["byte_order"])
def test_an_entry_that_is_missing_in_this_format_is_damage(index, entry):
    manifest.publish(index, STATE)
    path = manifest.path_of(index, 7)
    content = json.loads(path.read_bytes())
    del content[entry], content["digest"]
    path.write_bytes(manifest._dump({**content, "digest": manifest._digest(content)}))
    with pytest.raises(IndexCorruptError, match=f"is damaged: it lacks the entry '{entry}'") as caught:
        manifest.newest(index)
    assert "KeyError" not in str(caught.value)
    assert caught.value.remedy.startswith("Index the files again")


@pytest.mark.parametrize(
    "changes",
    [{"model": {"name": "x"}}, {"model": []}, {"settings": None}, {"shards": [{"key": {}}]}, {"columns": 3}],
)
def test_entries_of_another_kind_are_damage(index, changes):
    manifest.publish(index, STATE)
    rewrite(manifest.path_of(index, 7), **changes)
    with pytest.raises(IndexCorruptError, match="is damaged: ") as caught:
        manifest.newest(index)
    assert "Error" not in caught.value.message
    assert "__init__" not in caught.value.message


def test_no_index(tmp_path):
    for place in (tmp_path, tmp_path / "missing"):
        with pytest.raises(IndexNotFoundError, match="wave-search index"):
            manifest.newest(place)
