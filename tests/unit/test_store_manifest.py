import json
from dataclasses import fields, replace
from types import MappingProxyType

import pytest

from wave_search.errors import IndexCorruptError, IndexLockedError, IndexMismatchError, IndexNotFoundError
from wave_search.models import ModelSpec
from wave_search.store import ChecksumsRef, LocalFiles, Manifest, Problem, Settings, ShardRef, manifest, verify
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
    table_versions={"files": 3, "contents": 2, "segments": 9, "metadata": 1},
    table_checksums=ChecksumsRef(6, "0a"),
    next_segment_id=42,
    next_content_id=4,
    shards=(ShardRef(PartitionKey(Modality.AUDIO, "What?"), "000-042-ab", 0, 42, 40, "ff"),),
)


@pytest.fixture
def index(tmp_path):
    return LocalFiles(tmp_path)


def path_of(index, version=7):
    return index.local_path(manifest.name_of(version))


def rewrite(index, without=(), **changes):
    """Change a manifest and give it a digest that matches."""
    content = {**json.loads(path_of(index).read_bytes()), **changes}
    path_of(index).write_bytes(manifest.signed({k: v for k, v in content.items() if k not in ("digest", *without)}))


def test_what_is_published_is_what_is_read(index):
    manifest.publish(index, STATE)
    read = manifest.newest(index)
    assert read == STATE
    assert isinstance(read.settings.modalities[0], Modality)
    assert isinstance(next(iter(read.model.prompts)), Modality)


def test_the_highest_version_wins_whatever_its_date(index):
    for version in (2, 10, 9):
        manifest.publish(index, replace(STATE, version=version, created=f"20{30 - version:02}-01-01T00:00:00+00:00"))
    (index.local_path("manifest") / ".000000000011.json.1.tmp").write_text("{}")
    (index.local_path("manifest") / "notes.json").write_text("{}")
    assert manifest.versions(index) == [2, 9, 10]
    assert manifest.newest(index).version == 10


def test_a_version_is_never_written_twice(index):
    manifest.publish(index, STATE)
    with pytest.raises(IndexLockedError):
        manifest.publish(index, replace(STATE, next_segment_id=0))
    assert manifest.newest(index) == STATE
    assert [path.name for path in index.local_path("manifest").iterdir()] == ["000000000007.json"]


def test_any_changed_byte_is_found(index):
    manifest.publish(index, STATE)
    path = path_of(index)
    good = path.read_bytes()
    for position in range(len(good)):
        path.write_bytes(good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])
        is_format = good[:position].endswith(b'"format_version": ')
        with pytest.raises(IndexMismatchError if is_format else IndexCorruptError):
            manifest.newest(index)


@pytest.mark.parametrize("length", [0, 1, 100, -1])
def test_a_shortened_manifest_is_found(index, length):
    manifest.publish(index, STATE)
    path = path_of(index)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(IndexCorruptError, match="another folder"):
        manifest.newest(index)


def test_what_nobody_can_parse_is_damage(index):
    index.put(manifest.name_of(7), b"")
    path_of(index).write_text("[" * 100_000)
    with pytest.raises(IndexCorruptError, match="is damaged: not a manifest"):
        manifest.newest(index)


def test_a_damaged_manifest_names_the_way_back(index):
    manifest.publish(index, replace(STATE, version=6))
    manifest.publish(index, STATE)
    path_of(index).write_text("{}")
    with pytest.raises(IndexCorruptError, match=r"000000000007\.json.*go back to version 6"):
        manifest.newest(index)


OLDER = {"format_version": 1, "byte_order": "middle", "vectors": "float64"}
NEWER = {"format_version": 7, "digests": {"kind": "sha3"}}


@pytest.mark.parametrize("content", [OLDER, NEWER])
def test_another_format_is_refused_whatever_else_it_holds(index, content):
    index.put(manifest.name_of(7), json.dumps(content).encode())
    with pytest.raises(IndexMismatchError) as caught:
        manifest.newest(index)
    found = content["format_version"]
    assert caught.value.message == f"the index {index.url()} has format {found}, this program reads format 6"
    assert caught.value.remedy.startswith("Index the files again")
    assert verify(index.local_path("")) == (Problem(caught.value.message, caught.value.remedy),), "said once"


@pytest.mark.parametrize("changes", [{"format_version": 5}, {"format_version": 7}])
def test_another_format_with_the_same_entries_is_refused_too(index, changes):
    manifest.publish(index, STATE)
    rewrite(index, **changes)
    with pytest.raises(IndexMismatchError, match=r"has format \d, this program reads format 6"):
        manifest.newest(index)


@pytest.mark.parametrize("nonsense", ["one", None, 1.5, True, [1]])
def test_a_format_that_is_none_is_damage(index, nonsense):
    manifest.publish(index, STATE)
    rewrite(index, format_version=nonsense)
    with pytest.raises(IndexCorruptError, match=r"000000000007\.json is damaged: .* is not a format"):
        manifest.newest(index)


def test_features_that_are_unknown_are_refused(index):
    manifest.publish(index, STATE)
    rewrite(index, features=["sparse", "other"])
    with pytest.raises(IndexMismatchError, match="lacks: sparse, other") as caught:
        manifest.newest(index)
    assert caught.value.remedy


@pytest.mark.parametrize("entry", [field.name for field in fields(Manifest)])
def test_an_entry_that_is_missing_in_this_format_is_damage(index, entry):
    manifest.publish(index, STATE)
    rewrite(index, without=[entry])
    with pytest.raises(IndexCorruptError, match=f"is damaged: it lacks the entry '{entry}'") as caught:
        manifest.newest(index)
    assert "KeyError" not in str(caught.value)
    assert caught.value.remedy.startswith("Index the files again")


def test_a_manifest_without_a_digest_is_damage(index):
    manifest.publish(index, STATE)
    content = json.loads(path_of(index).read_bytes())
    del content["digest"]
    path_of(index).write_text(json.dumps(content))
    with pytest.raises(IndexCorruptError, match="it lacks the entry 'digest'"):
        manifest.newest(index)


MODEL = json.loads(manifest.encode(STATE))["model"]
SHARD = json.loads(manifest.encode(STATE))["shards"][0]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model": []}, "model: expected `object`, got `array`"),
        ({"model": {"name": "x"}}, "model: object missing required field `revision`"),
        ({"model": {**MODEL, "dim": "8"}}, "model.dim: expected `int`, got `str`"),
        ({"model": {**MODEL, "dim": 8.5}}, "model.dim: expected `int`, got `float`"),
        ({"model": {**MODEL, "modalities": ["smell"]}}, "model.modalities[0]: invalid enum value 'smell'"),
        ({"settings": None}, "settings: expected `object`, got `null`"),
        ({"settings": {"modalities": []}}, "settings: object missing required field `segmentation`"),
        ({"next_segment_id": True}, "next_segment_id: expected `int`, got `bool`"),
        ({"shards": [SHARD, {**SHARD, "key": {}}]}, "shards[1].key: object missing required field `modality`"),
        ({"shards": [{**SHARD, "key": {"modality": "text", "instruction": "x"}}]}, "shards[0].key: text is embedded"),
        ({"shards": [{**SHARD, "name": "../audio"}]}, "'../audio' is not the name of a shard"),
        ({"columns": 3}, "columns: expected `array`, got `int`"),
        ({"columns": [{"name": "a", "type": "colour"}]}, "columns[0].type: invalid enum value 'colour'"),
        ({"features": "sparse"}, "features: expected `array`, got `str`"),
        ({"features": [1]}, "features[0]: expected `str`, got `int`"),
    ],
)
def test_a_value_of_another_type_is_damage_and_named(index, changes, named):
    manifest.publish(index, STATE)
    rewrite(index, **changes)
    with pytest.raises(IndexCorruptError) as caught:
        manifest.newest(index)
    assert f"{path_of(index)} is damaged: {named}" in caught.value.message


def test_a_message_quotes_no_megabytes(index):
    manifest.publish(index, STATE)
    rewrite(index, model={**MODEL, "modalities": ["smell " * 1_000_000]})
    with pytest.raises(
        IndexCorruptError, match=r"model.modalities\[0\]: invalid enum value 'smell smell .* \.\.\. "
    ) as caught:
        manifest.newest(index)
    assert 5_000 < len(str(caught.value)) < 10_000


def test_the_same_manifest_has_the_same_bytes():
    other = replace(STATE, table_versions=dict(reversed(STATE.table_versions.items())))
    assert manifest.encode(other) == manifest.encode(STATE)
    assert manifest.encode(replace(STATE, next_content_id=5)) != manifest.encode(STATE)


def test_no_index(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path, tmp_path / "missing", tmp_path / "file"):
        with pytest.raises(IndexNotFoundError, match="wave-search index"):
            manifest.newest(LocalFiles(place))


def test_a_copy_under_the_name_of_another_version_is_damage(index):
    manifest.publish(index, STATE)
    path_of(index, 8).write_bytes(path_of(index, 7).read_bytes())
    with pytest.raises(IndexCorruptError, match=r"8.json is damaged: it is that of version 7. Delete it to go back"):
        manifest.newest(index)
