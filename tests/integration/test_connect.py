"""`wave_search.connect`: what a server answers equals what the index itself does."""

from __future__ import annotations

import http.client
import inspect
import io
import itertools
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

import wave_search as ws
from tests.libraries import CountingEmbedder
from tests.media_decoding import KeptDecoders
from tests.serving import PORT
from tests.signatures import NEVER_VALID, ODD, WRONG, reading
from wave_search.remote import transport
from wave_search.serve.app import create_app
from wave_search.serve.options import Limits, ServeOptions
from wave_search.serve.service import Service

REAL_CONNECTION = http.client.HTTPConnection
TOKEN = "a-token-of-the-tests"  # noqa: S105


class InMemory:
    """Stands for a connection: its requests go to an application in this process."""

    client: TestClient

    def __init__(self, host: str, port: int | None, timeout: float) -> None:
        self.base = f"http://{host}:{port}"

    def connect(self) -> None: ...
    def close(self) -> None: ...

    def request(self, method: str, path: str, body: Any, headers: dict[str, str]) -> None:
        content = None if body is None else b"".join(body)
        self.answer = self.client.request(method, self.base + path, content=content, headers=headers)

    def getresponse(self) -> Any:
        return Answer(self.answer.status_code, self.answer.content)


class Answer(io.BytesIO):
    def __init__(self, status: int, content: bytes) -> None:
        super().__init__(content)
        self.status = status


@pytest.fixture(scope="module")
def both(
    kept: Path, kept_decoders: KeptDecoders, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ws.Index, ws.RemoteIndex]]:
    """The same index, opened here, and connected to."""
    own = shutil.copytree(kept / "index", tmp_path_factory.mktemp("both") / "index")
    options = ServeOptions(port=PORT, token=TOKEN, limits=Limits(where_s=20))
    with pytest.MonkeyPatch.context() as patch, kept_decoders.in_use():
        patch.setattr("wave_search.models.load", CountingEmbedder().load)
        with (
            ws.open(own) as index,
            ws.open(own) as served,
            closing(Service(served, options, tmp_path_factory.mktemp("previews"))) as service,
            TestClient(create_app(service, options, PORT), raise_server_exceptions=False) as client,
        ):
            patch.setattr(InMemory, "client", client, raising=False)
            patch.setattr(http.client, "HTTPConnection", InMemory)
            dogs = ws.SearchRequest.build(text="a dog", like=next(iter(index.segments())).segment_id)
            index.save_search("dogs", dogs)
            with ws.connect(f"http://127.0.0.1:{PORT}", token=TOKEN) as remote:
                yield index, remote


def outcome(call: Callable[[], Any]) -> Any:
    """What a call returns, or the error that it raises, as a value."""
    try:
        found = call()
    except ws.WaveSearchError as error:
        return type(error), error.message, error.remedy, getattr(error, "path", None)
    return list(found) if isinstance(found, Iterator) else found


def media(index: ws.Index, kind: str) -> Path:
    return next(file.path for file in index.files(f"kind = '{kind}'"))


def hits_of(index: ws.Index) -> list[ws.Hit]:
    return index.search(text="a dog", k=5)


FRAMES = np.arange(4 * 40 * 50 * 3, dtype=np.uint8).reshape(4, 40, 50, 3)
SEARCHES: dict[str, Callable[[ws.Index], dict[str, Any]]] = {
    "text": lambda index: {"text": "a dog", "k": 4},
    "weights": lambda index: {"text": ["a dog", ws.Weighted("rain", 0.3), ws.Not("a cat")], "min_z": -9},
    "file": lambda index: {"audio": f"{media(index, 'audio')}@0-0.5", "moments": False, "columns": ["kind", "mtime"]},
    "image": lambda index: {"image": media(index, "image"), "target": "image"},
    "similar": lambda index: {"similar": media(index, "video"), "per_file": 1},
    "range": lambda index: {"similar": f"{media(index, 'video')}@0-1", "dedupe": 0.99},
    "pair": lambda index: {"audio": media(index, "audio"), "video": media(index, "video")},
    "text file": lambda index: {"similar": media(index, "text")},
    "like": lambda index: {"like": [hits_of(index)[0], ws.Not(hits_of(index)[-1])]},
    "vector": lambda index: {"vector": np.random.default_rng(1).normal(size=(3, index.model.dim))},
    "known vector": lambda index: {"vector": ws.Vector(np.ones(index.model.dim), "audio"), "target": "any"},
    "where": lambda index: {"text": "a dog", "where": "kind = 'audio'", "where_timeout_s": 5, "columns": "path"},
    "among": lambda index: {"text": "a cat", "among": hits_of(index)[:3]},
    "nothing": lambda index: {"text": "a dog", "where": "false"},
    "targets": lambda index: {"text": "a dog", "target": ["audio", "video"]},
    "array": lambda index: {"image": np.full((40, 50, 3), 99, np.uint8)},
    "sound": lambda index: {"audio": (np.sin(np.arange(44_100) / 9), 44_100), "target": "audio"},
    "bytes": lambda index: {"similar": media(index, "video").read_bytes(), "video": ws.Frames(FRAMES, 2.0)},
    "no media": lambda index: {"image": b"no media"},
    "no column": lambda index: {"text": "a dog", "where": "no_column = 1"},
    "no segment": lambda index: {"like": 1 << 60},
    "dimension": lambda index: {"vector": [1.0, 2.0]},
    "instruction": lambda index: {"text": "a dog", "instruction": "What is this?"},
    "rerank": lambda index: {"text": "a dog", "instruction": "What is this?", "rerank": 3, "target": "audio"},
    "no terms": lambda index: {},
    "no target": lambda index: {"text": "a dog", "target": "smell"},
    "no file": lambda index: {"audio": "missing.flac"},
    "no sound": lambda index: {"audio": media(index, "image")},
    "damaged": lambda index: {"image": __file__},
}


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_finds_the_same(both: tuple[ws.Index, ws.RemoteIndex], name: str) -> None:
    index, remote = both
    arguments = SEARCHES[name](index)
    here = outcome(lambda: index.search(**arguments))
    assert outcome(lambda: remote.search(**arguments)) == here
    if isinstance(here, list) and "vector" not in name:
        request = ws.SearchRequest.build(**arguments)
        assert remote.search(request) == here


READS: dict[str, Callable[[ws.Index | ws.RemoteIndex, ws.Index], Any]] = {
    "path": lambda index, _: index.path,
    "model": lambda index, _: index.model,
    "version": lambda index, _: (index.version, index.refresh()),
    "info": lambda index, _: index.info(),
    "count_files": lambda index, _: index.count_files(),
    "metadata": lambda index, _: index.metadata(),
    "duplicates": lambda index, _: index.duplicates(0.9),
    "bad threshold": lambda index, _: index.duplicates(2),
    "files": lambda index, _: list(index.files(columns=["fps", "mtime"])),
    "skipped": lambda index, _: list(index.files(skipped=True)),
    "some files": lambda index, _: list(index.files("kind = 'video'", columns="kind", where_timeout_s=5)),
    "wrong files": lambda index, _: index.files("no_column = 1"),
    "browse": lambda index, _: index.browse("kind <> 'text'", columns=["kind"], offset=1, limit=3),
    "browse all": lambda index, _: index.browse(limit=5_000),
    "browse among": lambda index, local: index.browse(among=[hit.segment_id for hit in hits_of(local)[:2]]),
    "ask": lambda index, local: index.ask(
        local.search(text="a dog", target="audio")[0].segment_id, "What is heard?", ["a dog", "a cat"]
    ),
    "ask nothing": lambda index, _: index.ask(1 << 60, "What?", ["a", "b"]),
    "entries": lambda index, local: index.entries([hit.segment_id for hit in hits_of(local)[:2]] + [1 << 60]),
    "paths": lambda index, local: index.paths([hit.segment_id for hit in hits_of(local)[:3]]),
    "created": lambda index, _: (index.created, index.next_segment_id),
    "saved_searches": lambda index, _: index.saved_searches(),
    "saved_request": lambda index, _: index.saved_request("dogs", k=3, columns="kind"),
    "saved_segment": lambda index, _: [
        index.saved_segment(term) for search in index.saved_searches() for term in search.terms
    ],
    "no saved request": lambda index, _: index.saved_request("cats"),
    "new_matches": lambda index, local: index.new_matches(
        ws.SearchRequest.build(text="a dog", k=9), hits_of(local)[0].segment_id
    ),
    "numbers of numpy": lambda index, local: (
        index.browse(limit=np.int64(2), offset=np.int8(1), where_timeout_s=np.float32(5)),
        index.search(text="a dog", k=np.int64(2), min_z=np.float32(-9), moments=np.bool_(False)),
        index.segment(np.int64(hits_of(local)[0].segment_id)),
        index.entries(np.array([hit.segment_id for hit in hits_of(local)])),
        index.duplicates(np.float64(0.9)),
    ),
    "no values": lambda index, _: index.metadata_values("no_column"),
    "wrong browse": lambda index, _: index.browse(columns=["nothing"]),
    "segment": lambda index, local: index.segment(hits_of(local)[0].segment_id),
    "no segment": lambda index, _: index.segment(1 << 60),
    "file": lambda index, local: index.file(media(local, "video")),
    "no file": lambda index, _: index.file("/nowhere\udcff"),
    "score_file": lambda index, local: index.score_file(
        ws.SearchRequest.build(text="a dog", audio=media(local, "audio")), hits_of(local)[0].segment_id
    ),
    "search_many": lambda index, _: index.search_many(["a dog", {"text": "rain", "k": 2}], target="audio", k=1),
    "no query": lambda index, _: index.search_many([5]),  # type: ignore[list-item]
    "no request": lambda index, _: index.search("a dog"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", READS)
def test_reading_gives_the_same(both: tuple[ws.Index, ws.RemoteIndex], name: str) -> None:
    index, remote = both
    here = outcome(lambda: READS[name](index, index))
    assert outcome(lambda: READS[name](remote, index)) == here


def test_files_that_could_not_be_used_again_are_reported(both: tuple[ws.Index, ws.RemoteIndex], tmp_path: Path) -> None:
    index, _ = both
    sound = media(index, "audio")
    query = {"text": "a dog", "instruction": "What is gone?", "rerank": 9, "target": "audio"}
    sound.rename(tmp_path / "away")
    try:
        reports: tuple[list[ws.Skipped], list[ws.Skipped]] = [], []
        found = [each.search(warn=lost.append, **query) for each, lost in zip(both, reports, strict=True)]
    finally:
        (tmp_path / "away").rename(sound)
    assert found[0] == found[1]
    assert reports[0] == reports[1] != []


CHANGES = {*("add", "remove", "relocate", "optimize", "tag", "save_search", "rename_search", "remove_search")} | {
    *("import_metadata", "edit_metadata", "restore_metadata", "remove_metadata"),
}


def test_what_a_server_does_not_do_is_refused(both: tuple[ws.Index, ws.RemoteIndex]) -> None:
    _, remote = both
    with pytest.raises(ws.errors.UsageError) as raised:
        remote.add(["media"])
    assert raised.value.message == "add is only done where the index is, not by the server http://127.0.0.1:8765"
    assert raised.value.remedy == (
        f"Use it on the machine of the server: wave_search.open({str(remote.path)!r}).add(...)"
    )
    public = {name for name in vars(ws.Index) if not name.startswith("_")}
    refused = public - vars(ws.RemoteIndex).keys()
    assert refused == CHANGES | {"plan_remove", "plan_optimize", "decoder_processes", "segment_set"}
    for name in refused:
        with pytest.raises(ws.errors.UsageError, match=name):
            getattr(remote, name)("anything")
    with pytest.raises(AttributeError, match="no attribute 'serch'"):
        _ = remote.serch
    assert not hasattr(remote, "_snapshot")


def test_both_have_the_same_signatures() -> None:
    shared = {name for name in vars(ws.RemoteIndex).keys() & vars(ws.Index).keys() if not name.startswith("_")}
    assert {"search", "search_many", "files", "ask", "close"} <= shared
    for name in shared:
        local, remote = (inspect.getattr_static(kind, name) for kind in (ws.Index, ws.RemoteIndex))
        assert isinstance(local, property) == isinstance(remote, property), name
        if not isinstance(local, property):
            parameters = [[*inspect.signature(each).parameters.values()] for each in (local, remote)]
            here, there = ([(one.name, one.kind, one.default) for one in each] for each in parameters)
            assert here == there, name
            here, there = (str(inspect.signature(each).return_annotation) for each in (local, remote))
            assert here == there.removeprefix("Remote"), name


def test_segments_are_those_of_the_index(both: tuple[ws.Index, ws.RemoteIndex]) -> None:
    index, remote = both
    for given in ({}, {"where": "kind = 'video'", "modality": ["audio", ws.Modality.AV]}, {"where": "false"}):
        here, there = index.segments(**given), remote.segments(**given)
        assert [*there] == [*here]
        assert len(there) == len(here)
        assert [*there.batches()] == [*here.batches()]
    assert outcome(lambda: remote.segments("colour = 'red'")) == outcome(lambda: index.segments("colour = 'red'"))


CALLS: dict[str, dict[str, Any]] = {
    "search": {"text": "rain"},
    "search_many": {"queries": ["rain"]},
    "score_file": {"request": ws.SearchRequest.build(text="rain"), "segment_id": 0},
    "segment": {"segment_id": 0},
    "file": {"path": "a.wav"},
    "ask": {"segment_id": 0, "question": "What?", "choices": ["a", "b"]},
    "entries": {"segment_ids": [0]},
    "paths": {"segment_ids": [0]},
    "metadata_values": {"column": "tag"},
    "add": {"paths": ["."]},
    "remove": {"paths": []},
    "plan_remove": {"paths": []},
    "relocate": {"old": "a", "new": "b"},
    "import_metadata": {"file": "a.csv"},
    "remove_columns": {"columns": []},
    "edit_metadata": {"edits": []},
    "restore_metadata": {"changes": []},
    "tag": {"labels": ["a dog"]},
    "segment_set": {"modality": "audio"},
    "save_search": {"name": "rain"},
    "saved_request": {"name": "rain"},
    "saved_segment": {"term": None},
    "rename_search": {"name": "rain", "to": "snow"},
    "remove_search": {"name": "rain"},
    "new_matches": {"request": ws.SearchRequest.build(text="rain"), "first_id": 0},
}
"""Arguments without a default, by method."""


def test_an_argument_of_another_type_is_an_error(both: tuple[ws.Index, ws.RemoteIndex]) -> None:
    odd, methods = object(), inspect.getmembers(ws.Index, inspect.isfunction)
    tried = 0
    for index, (name, method) in itertools.product(both, methods):
        parameters = [*inspect.signature(method).parameters.values()][1:]
        for parameter in parameters if not name.startswith("_") else ():
            if parameter.kind is parameter.VAR_KEYWORD:
                continue
            for value in (odd, [odd]):
                given = {**CALLS.get(name, {}), parameter.name: value}
                positional = [
                    given.pop(one.name) for one in parameters if one.kind is one.POSITIONAL_ONLY and one.name in given
                ]
                with pytest.raises(ws.errors.UsageError):
                    getattr(index, name)(*positional, **given)
                tried += 1
    assert tried > 200


def test_numbers_of_numpy_are_numbers(both: tuple[ws.Index, ws.RemoteIndex]) -> None:
    whole, real = np.int64(1), np.float32(0.5)
    for index in both:
        assert index.browse(
            offset=whole, limit=whole, where="true", where_timeout_s=real * 9, among=[whole, np.int32(2)]
        )
        assert index.segment(whole) == index.segment(1)
        hits = index.search(
            text=ws.Weighted("rain", real), k=whole, min_z=-real * 20, like=whole, where_timeout_s=np.float64(5)
        )
        assert len(hits) == 1
        assert index.duplicates(real) == index.duplicates(0.5)


def test_wrong_types_are_refused_as_here(both: tuple[ws.Index, ws.RemoteIndex]) -> None:
    request = ws.SearchRequest.build(text="a dog")
    segment_id = hits_of(both[0])[0].segment_id
    here, there = (list(reading(index, request, segment_id)) for index in both)
    differing = []
    for local, remote in zip(here, there, strict=True):
        for argument, odd in product(local.arguments(), (WRONG, *map(ODD.get, NEVER_VALID))):
            found = [outcome(partial(each.with_one, argument, odd)) for each in (local, remote)]
            if found[0] != found[1]:
                differing.append((local.name, argument, odd, *found))
    assert not differing, "\n".join(map(str, differing))


def test_who_may_not_ask_gets_the_reason(
    both: tuple[ws.Index, ws.RemoteIndex], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ws.errors.UsageError, match="a token is needed"):
        ws.connect(f"http://127.0.0.1:{PORT}")
    assert ws.connect(f"http://127.0.0.1:{PORT}/?token={TOKEN}").version == both[1].version
    with pytest.raises(ws.errors.UsageError, match="a server finds at most 10,000 hits, got k=10001"):
        both[1].search(text="a dog", k=10_001)
    monkeypatch.setattr("wave_search.remote.client.__version__", "9.9")
    with pytest.raises(ws.errors.UsageError, match=r"has version 0\.1\.0 of wave-search, and this is 9\.9"):
        ws.connect(f"http://127.0.0.1:{PORT}", token=TOKEN)


@pytest.mark.parametrize("address", ["127.0.0.1:8765", "ftp://127.0.0.1", "http://", "http://[", None, "http://h:x"])
def test_what_is_no_address_is_an_error(address: Any) -> None:
    with pytest.raises(ws.errors.UsageError, match="is not the address of a server"):
        ws.connect(address)


def test_a_server_that_does_not_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http.client, "HTTPConnection", REAL_CONNECTION)
    with pytest.raises(ws.WaveSearchError, match=re.escape("http://127.0.0.1:9 does not answer (Connection refused)")):
        ws.connect("http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("search", b"no json"),
        ("search", b"[]"),
        ("search", b'{"terms": 1}'),
        ("search", b'{"terms": [{"text": "a"}]}'),
        ("search", b'{"terms": [{"text": "a", "weight": "b"}]}'),
        ("search", b'{"terms": [{"media": "file0", "modality": "audio", "start_s": 0, "stop_s": 1, "weight": 1}]}'),
        (
            "search",
            b'{"terms": [{"similar": "/etc/passwd", "modality": null, "start_s": 0, "stop_s": 1, "weight": 1}]}',
        ),
        ("search", b'{"terms": [{"text": "a", "weight": 1}], "k": "1"}'),
        ("search", b'{"terms": [{"text": "a", "weight": 1}], "where_timeout_s": "1"}'),
        ("files", b'{"where": 1}'),
        ("files", b'{"where": null, "columns": [], "where_timeout_s": -1, "skipped": false}'),
        ("browse", b'{"where": null, "columns": [[]], "where_timeout_s": 1, "limit": 1, "offset": 0}'),
        ("segment", b'{"segment_id": true}'),
        ("file", b'{"path": null}'),
        ("close", b"{}"),
        ("__class__", b"{}"),
    ],
)
def test_requests_that_no_client_makes_are_refused(
    both: tuple[ws.Index, ws.RemoteIndex], path: str, content: bytes
) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Host": f"127.0.0.1:{PORT}"}
    answer = InMemory.client.post(f"/api/remote/{path}", content=content, headers=headers)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["type"] == "UsageError"


def test_the_transport_streams_what_it_sends(tmp_path: Path) -> None:
    (tmp_path / "a.flac").write_bytes(b"x" * 1_000_000)
    form = transport._Form({"terms": []}, {"file0": tmp_path / "a.flac", "vectors1": b"\0\1"})
    blocks = list(form)
    assert max(map(len, blocks)) <= 1 << 18
    assert sum(map(len, blocks)) == int(form.headers()["Content-Length"])
    assert b'filename="file0.flac"' in b"".join(blocks)
