"""The server under load: searches by vectors, many at once, its metrics, and versions of the index and the API."""

from __future__ import annotations

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import wave_search as ws
from tests.libraries import WORDS
from tests.serving import find, served
from wave_search.query import searcher
from wave_search.serve import library as serve_library
from wave_search.serve.library import Library
from wave_search.serve.options import Limits
from wave_search.store import snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.testclient import TestClient

    from tests.libraries import CountingEmbedder
    from tests.media_decoding import KeptDecoders

DIM = 64
UNIT = [1.0] * DIM


@pytest.fixture
def site(settled: Path, counted: CountingEmbedder, tmp_path: Path) -> Iterator[TestClient]:
    """A client of the library, which is not to be changed."""
    with served(settled / "index", tmp_path / "cache") as client:
        yield client


def searched(client: TestClient, *terms: dict[str, Any], **fields: Any) -> Any:
    response = client.post("/api/search", json={"terms": terms, **fields})
    assert response.status_code == 200, response.text
    return response.json()["hits"]


def vectors(count: int) -> list[list[float]]:
    return np.random.default_rng(0).standard_normal((count, DIM)).tolist()


def metric(client: TestClient, name: str) -> float:
    """The value of a line of the metrics, by its name and labels."""
    (value,) = re.findall(rf"^{re.escape(name)} (\S+)$", client.get("/metrics").text, re.MULTILINE)
    return float(value)


def test_a_vector_finds_what_it_finds_in_the_library(site: TestClient, settled: Path) -> None:
    one, other, third = vectors(3)
    with ws.open(settled / "index") as index:
        assert index.model.dim == DIM
        plain = index.search(vector=one, k=5)
        named = index.search(vector=ws.Vector(one, "text"), k=5)
        several = index.search(vector=[ws.Weighted(ws.Vector([one, other])), ws.Not(third)], k=5)
    found = searched(site, {"vector": one}, limit=5)
    assert [(hit["segment"], hit["z"], hit["kind"]) for hit in found] == [
        (hit.segment_id, round(hit.z, 4), hit.kind) for hit in plain
    ]
    by_text = searched(site, {"vector": one, "modality": "text"}, limit=5)
    assert [(hit["segment"], hit["z"]) for hit in by_text] == [(hit.segment_id, round(hit.z, 4)) for hit in named]
    assert [hit["z"] for hit in by_text] != [hit["z"] for hit in found]
    both = searched(site, {"vector": [one, other]}, {"vector": third, "avoid": True}, limit=5)
    assert [hit["segment"] for hit in both] == [hit.segment_id for hit in several]


@pytest.mark.parametrize(
    ("term", "status", "message"),
    [
        ({"vector": UNIT[1:]}, 400, "the vector has 63 dimensions, those of the index have 64"),
        ({"vector": [UNIT, UNIT[1:]]}, 400, "the vector cannot be searched for"),
        ({"vector": [0.0] * DIM}, 400, "the vector cannot be searched for"),
        ({"vector": [1e300] * DIM}, 400, "the vector cannot be searched for"),
        ({"vector": [float("nan")] * DIM}, 422, "terms.0.vector"),
        ({"vector": ["one"] * DIM}, 422, "terms.0.vector"),
        ({"vector": []}, 422, "terms.0.vector"),
        ({"vector": UNIT, "modality": "smell"}, 422, "terms.0.modality"),
        ({"vector": UNIT, "text": "a"}, 400, "a term needs exactly one of text, segment, vector and upload"),
    ],
)
def test_a_vector_that_cannot_be_searched_for_is_an_error(
    site: TestClient, term: dict[str, Any], status: int, message: str
) -> None:
    response = site.post("/api/search", content=json.dumps({"terms": [term]}))
    assert response.status_code == status
    assert response.json()["error"]["message"].startswith(message)


def test_an_uploaded_text_is_searched_for_as_text(site: TestClient) -> None:
    request = json.dumps({"terms": [{"upload": "f", "modality": "text"}], "target": "text", "limit": 1})
    response = site.post("/api/search", data={"request": request}, files={"f": ("a.txt", b"a cat in the rain")})
    assert response.json()["hits"] == searched(site, {"text": "a cat in the rain"}, target="text", limit=1)


def test_answers_are_the_same_however_many_ask_at_once(
    settled: Path, counted: CountingEmbedder, tmp_path: Path
) -> None:
    terms = [{"vector": vector} for vector in vectors(6)] + [{"text": f"{word} again"} for word in WORDS[:2]]
    with served(settled / "index", tmp_path / "cache") as client:
        alone = [searched(client, term) for term in terms]
    with served(settled / "index", tmp_path / "again") as client, ThreadPoolExecutor(8) as users:
        assert list(users.map(lambda term: searched(client, term), terms * 3)) == alone * 3


def test_a_text_is_embedded_once_for_all_who_ask_for_it(
    settled: Path, counted: CountingEmbedder, tmp_path: Path
) -> None:
    begun, finish = threading.Event(), threading.Event()

    def wait(clips: object) -> None:
        begun.set()
        assert finish.wait(60)

    with served(settled / "index", tmp_path / "cache") as client, ThreadPoolExecutor(3) as users:
        counted.before, before = wait, len(counted.clips)
        first = users.submit(searched, client, {"text": "a shared wish"})
        assert begun.wait(60)
        others = [users.submit(searched, client, {"text": "a shared wish"}) for _ in range(2)]
        finish.set()
        hits = first.result()
        assert [other.result() for other in others] == [hits, hits]
        assert searched(client, {"text": "a shared wish"}, limit=2, offset=1) == hits[1:3]
        assert len(counted.clips) == before + 1


def test_a_text_whose_embedding_fails_is_tried_again(settled: Path, counted: CountingEmbedder, tmp_path: Path) -> None:
    def fail(clips: object) -> None:
        raise ws.errors.ModelError("the device is lost", "Try again.")

    with served(settled / "index", tmp_path / "cache") as client:
        counted.before = fail
        body = {"terms": [{"text": "a wish in vain"}]}
        assert client.post("/api/search", json=body).json()["error"]["message"] == "the device is lost"
        counted.before = lambda clips: None
        assert client.post("/api/search", json=body).status_code == 200


def test_searches_wait_for_their_turn_and_more_are_refused(
    settled: Path, counted: CountingEmbedder, tmp_path: Path
) -> None:
    begun, finish = threading.Event(), threading.Event()

    def wait(clips: object) -> None:
        begun.set()
        assert finish.wait(60)

    limits = Limits(searches=1, waiting=1)
    with served(settled / "index", tmp_path / "cache", limits=limits) as client, ThreadPoolExecutor(2) as users:
        counted.before = wait
        slow = users.submit(searched, client, {"text": "slow"})
        assert begun.wait(60)
        assert metric(client, 'wave_search_searches{state="running"}') == 1
        quick = users.submit(searched, client, {"vector": UNIT})
        while metric(client, 'wave_search_searches{state="waiting"}') < 1:
            pass
        refused = client.post("/api/search", json={"terms": [{"vector": UNIT}]})
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert refused.json()["error"]["message"] == "there are 2 searches already"
        finish.set()
        assert slow.result()
        assert quick.result()
        assert metric(client, "wave_search_searches_refused_total") == 1


def test_metrics_describe_the_server(site: TestClient, settled: Path) -> None:
    searched(site, {"vector": UNIT})
    picture = find(site, "1.png")["segment"]
    assert site.get(f"/api/segments/{picture}/thumb").status_code == 200
    assert site.get("/api/segments/999999").status_code == 404
    assert site.get("/").status_code == 200
    assert site.get("/no/such/file").status_code == 404
    response = site.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    assert response.headers["cache-control"] == "no-store"
    counts = dict(re.findall(r"^wave_search_requests_total(\{.*\}) (\S+)$", response.text, re.MULTILINE))
    assert counts == {
        '{route="/api/search",status="200"}': "2.0",
        '{route="/api/segments/{segment_id}/thumb",status="200"}': "1.0",
        '{route="/api/segments/{segment_id}",status="404"}': "1.0",
        '{route="page",status="200"}': "1.0",
        '{route="page",status="404"}': "1.0",
    }
    assert metric(site, 'wave_search_request_seconds_bucket{le="60.0",route="/api/search"}') == 2
    assert metric(site, "wave_search_index_version") == site.get("/api/health").json()["index_version"]
    assert metric(site, 'wave_search_index_segments{modality="audio"}') == 7
    assert metric(site, 'wave_search_index_files{kind="audio"}') == 3
    assert metric(site, "wave_search_cache_bytes") > 0
    assert metric(site, "wave_search_decoder_processes") >= 1
    assert metric(site, "process_resident_memory_bytes") > 1e6


def test_metrics_need_what_everything_needs(settled: Path, counted: CountingEmbedder, tmp_path: Path) -> None:
    with served(settled / "index", tmp_path / "cache", token="a" * 16) as client:
        assert client.get("/metrics").status_code == 401
        assert client.get("/metrics", headers={"Host": "evil.example"}).status_code == 403
        link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        bearer = {"Authorization": f"Bearer {'a' * 16}"}
        assert client.get("/metrics", headers={**bearer, **link}).status_code == 403
        answer = client.get("/metrics", headers=bearer)
        assert 'wave_search_requests_total{route="page",status="401"} 1.0' in answer.text


def test_the_api_has_a_version(site: TestClient) -> None:
    assert site.get("/api/health").headers["x-api-version"] == "1"
    assert site.get("/api/segments/999999").headers["x-api-version"] == "1"
    assert site.get("/api/health", headers={"X-API-Version": "1"}).status_code == 200
    response = site.get("/api/health", headers={"X-API-Version": "2"})
    assert (response.status_code, response.json()["error"]["message"]) == (
        400,
        "this server has version 1 of the API, not the one that the request asks for",
    )
    assert "X-API-Version" in site.get("/api/openapi.json").json()["info"]["description"]


def test_a_new_version_is_loaded_before_it_replaces_the_last(
    settled: Path, kept_decoders: KeptDecoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve_library, "REFRESH_S", 0.01)
    looked, refresh = threading.Semaphore(0), ws.Index.refresh

    def look(index: ws.Index, **options: Any) -> None:
        refresh(index, **options)
        looked.release()

    monkeypatch.setattr(ws.Index, "refresh", look)
    with ws.open(settled / "index") as index, closing(Library(index, Limits())) as library:
        index.search(vector=UNIT, where="start_s > 0")
        library.follow()
        (settled / "media" / "more.txt").write_text("more of the same")
        with ws.open(settled / "index") as other:
            other.add([settled / "media"])
            newest = other.version
        while library.index().version != newest:
            assert looked.acquire(timeout=60)
        monkeypatch.setattr(searcher, "PartitionSearch", None)  # nothing is left to load
        monkeypatch.setattr(snapshot, "SqlFilter", None)
        found = index.search(vector=UNIT, where="start_s IS NULL OR start_s >= 0", k=100)
        assert "more.txt" in {hit.path.name for hit in found}
