"""The map of the library through the API: points, groups, conditions, and searches in a part of it."""

from __future__ import annotations

import shutil
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import wave_search as ws
from tests.libraries import WORDS
from tests.serving import served
from wave_search.errors import UsageError
from wave_search.serve import library as serve_library
from wave_search.serve import maps as serve_maps
from wave_search.serve.map_groups import folder_names, group_points

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from starlette.testclient import TestClient

    from tests.libraries import CountingEmbedder
    from tests.media_decoding import KeptDecoders


@pytest.fixture(autouse=True)
def no_umap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The map is that of the components, whatever is installed; and a request waits until it is ready."""
    monkeypatch.setattr(serve_maps, "preferred_method", lambda: "pca")
    monkeypatch.setattr(serve_maps, "_PATIENCE_S", 60.0)


@pytest.fixture
def site(settled: Path, counted: CountingEmbedder, tmp_path: Path) -> Iterator[TestClient]:
    with served(settled / "index", tmp_path / "cache") as client:
        yield client


def get(client: TestClient, path: str, **parameters: Any) -> dict[str, Any]:
    response = client.get(f"/api/map{path}", params=parameters)
    assert response.status_code == 200, response.text
    return dict(response.json())


def points(client: TestClient, **parameters: Any) -> tuple[NDArray[np.int64], NDArray[np.float64], list[int]]:
    body = client.get("/api/map/points", params=parameters).content
    count, rest = divmod(len(body), 13)
    assert rest == 0
    ids = np.frombuffer(body, "<i8", count)
    places = np.frombuffer(body, "<u2", 2 * count, 8 * count).reshape(count, 2) / 65_535
    return ids, places, list(body[12 * count :])


def test_the_map_of_the_most_segments_has_a_point_for_each(site: TestClient, settled: Path) -> None:
    state = get(site, "")
    assert state["state"] == "ready"
    assert (state["modality"], state["points"], state["method"], state["progress"]) == ("audio", 7, "pca", 1.0)
    assert state["modalities"] == {"audio": 7, "video": 4, "image": 3, "text": 2, "av": 2}
    ids, places, kinds = points(site)
    with ws.open(settled / "index") as index:
        held = index.segment_set("audio")
        vectors = np.concatenate(list(held.vectors())).astype(np.float32)
    assert ids.tolist() == held.ids.tolist()
    assert (places >= 0).all()
    assert (places <= 1).all()
    assert sorted(kinds) == [2] * 5 + [3] * 2
    centred = vectors - vectors.mean(0)
    component = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
    order = np.argsort(component).tolist()
    assert np.argsort(places[:, 0]).tolist() in (order, order[::-1])


@pytest.mark.parametrize(("modality", "count", "kind"), [("text", 2, 0), ("image", 3, 1), ("av", 2, 3)])
def test_each_modality_has_a_map(site: TestClient, modality: str, count: int, kind: int) -> None:
    assert get(site, "", modality=modality)["points"] == count
    ids, _, kinds = points(site, modality=modality)
    assert (len(ids), set(kinds)) == (count, {kind})


def test_points_are_sent_compressed_and_once(site: TestClient) -> None:
    first = site.get("/api/map/points")
    assert first.headers["content-encoding"] == "gzip"
    plain = site.get("/api/map/points", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content == first.content
    tag = first.headers["etag"]
    assert tag == f'"{get(site, "")["tag"]}"'
    again = site.get("/api/map/points", headers={"if-none-match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert site.get("/api/map/points", params={"modality": "video"}, headers={"if-none-match": tag}).status_code == 200


def test_points_are_grouped_by_folder_and_by_kind(site: TestClient) -> None:
    folders = get(site, "/groups")
    assert [(group["name"], group["count"], group["role"]) for group in folders["groups"]] == [
        ("sounds", 5, "value"),
        ("videos", 2, "value"),
    ]
    assert folders["tag"] == get(site, "")["tag"]
    _, _, kinds = points(site)
    by_kind = get(site, "/groups", by="kind")
    names = [by_kind["groups"][code]["name"] for code in by_kind["codes"]]
    assert names == [serve_maps.KINDS[kind] for kind in kinds]


def test_a_column_that_does_not_exist_is_an_error(site: TestClient) -> None:
    response = site.get("/api/map/groups", params={"by": "colour"})
    assert (response.status_code, response.json()["error"]["message"]) == (400, 'there is no column "colour"')


def test_points_that_satisfy_a_condition(site: TestClient) -> None:
    ids, _, kinds = points(site)
    found = get(site, "/matches", where="kind = 'video' OR name = '300.flac'")
    assert found["count"] == 3
    assert [match or kind == 2 for match, kind in zip(found["matches"], kinds, strict=True)] == [True] * len(ids)
    assert site.get("/api/map/matches", params={"where": "nonsense ="}).status_code == 400


def test_segments_are_described_in_their_order(site: TestClient) -> None:
    ids, _, _ = points(site)
    asked = [int(ids[3]), 10**12, int(ids[0])]
    found = site.post("/api/segments", json={"segments": asked}).json()["hits"]
    assert found[1] is None
    assert [found[0], found[2]] == [site.get(f"/api/segments/{one}").json()["hit"] for one in (asked[0], asked[2])]


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("?modality=smell", 422, "query.modality: Input should be"),
        ("/matches", 422, "query.where: Field required"),
    ],
)
def test_a_request_that_is_not_valid_is_an_error(site: TestClient, path: str, status: int, message: str) -> None:
    response = site.get(f"/api/map{path}")
    assert response.status_code == status
    assert response.json()["error"]["message"].startswith(message)


def test_a_search_is_restricted_to_a_part_of_the_map(site: TestClient, settled: Path) -> None:
    ids = points(site)[0].tolist()
    some = [ids[1], ids[4]]

    def search(**fields: Any) -> list[dict[str, Any]]:
        response = site.post("/api/search", json={"limit": 50, "moments": False, **fields})
        assert response.status_code == 200, response.text
        return list(response.json()["hits"])

    words = [{"text": WORDS[0]}]
    everything = search(terms=words, target="audio")
    within = search(terms=words, segments=some)
    assert [(hit["segment"], hit["z"]) for hit in within] == [
        (hit["segment"], hit["z"]) for hit in everything if hit["segment"] in some
    ]
    assert search(terms=words, segments=[]) == []
    kind = next(hit["kind"] for hit in within if hit["segment"] == some[0])
    both = search(terms=words, segments=some, where=f"segment_id = {some[0]} AND kind = '{kind}'")
    assert [hit["segment"] for hit in both] == some[:1]
    listed = search(segments=some)
    assert {hit["segment"] for hit in listed} <= set(some)
    assert {hit["name"] for hit in listed} == {hit["name"] for hit in within}
    assert search(segments=[10**9]) == []
    with ws.open(settled / "index") as index:
        hits = index.search(text=WORDS[0], among=some, moments=False)
        assert [hit.segment_id for hit in index.search(text=WORDS[0], among=hits[:1])] == [hits[0].segment_id]
        with pytest.raises(UsageError, match="among must be hits"):
            index.search(text=WORDS[0], among=["a"])
    assert [hit.segment_id for hit in hits] == [hit["segment"] for hit in within]


def test_the_map_is_kept_on_disk_and_made_anew_only_for_other_segments(
    library: Path, kept_decoders: KeptDecoders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def counted_project(batches: Any, count: int, *rest: Any) -> Any:
        made.append(count)
        return project(batches, count, *rest)

    project = serve_maps.project
    monkeypatch.setattr(serve_maps, "project", counted_project)
    monkeypatch.setattr(serve_library, "REFRESH_S", 0.0)
    with served(library / "index", tmp_path / "cache") as client:
        before, tag = points(client), get(client, "")["tag"]
        (library / "more.csv").write_text("path,mood\n300.flac,calm\n")
        with ws.open(library / "index") as index:
            file = next(iter(index.files("name = '300.flac'")))
            (library / "more.csv").write_text(f"path,mood\n{file.path},calm\n")
            index.import_metadata(library / "more.csv")
        after = get(client, "")
        assert (after["tag"], made) == (tag, [7])
        moods = get(client, "/groups", by="mood")["groups"]
        assert [(mood["name"], mood["role"], mood["count"]) for mood in moods] == [
            ("calm", "value", 1),
            ("", "none", 6),
        ]
    with served(library / "index", tmp_path / "cache") as client:
        again = points(client)
        assert [part.tolist() for part in again[:2]] == [part.tolist() for part in before[:2]]
        assert made == [7]
        with ws.open(library / "index") as index:
            index.remove([file.path])
        assert get(client, "")["points"] == 6
        assert made == [7, 6]
    shutil.rmtree(tmp_path / "cache")


def test_a_map_that_takes_longer_reports_its_progress_and_ends_with_the_server(
    settled: Path, counted: CountingEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended = threading.Event(), threading.Event()

    def slow(batches: Any, count: int, method: str, progress: Any) -> Any:
        progress(0.25)
        begun.set()
        try:
            while True:
                progress(0.5)
                ended.wait(0.01)
        finally:
            ended.set()

    monkeypatch.setattr(serve_maps, "_PATIENCE_S", 0.0)
    monkeypatch.setattr(serve_maps, "project", slow)
    with served(settled / "index", tmp_path / "cache") as client:
        assert get(client, "")["state"] == "computing"
        assert begun.wait(60)
        state = get(client, "")
        assert (state["state"], state["tag"], state["method"], state["points"]) == ("computing", None, None, 7)
        assert state["progress"] in (0.25, 0.5)
        response = client.get("/api/map/points")
        assert (response.status_code, response.json()["error"]["message"]) == (400, "the map is being computed")
        assert client.post("/api/search", json={"terms": [{"text": "a"}]}).status_code == 200
    assert ended.wait(60)


def test_the_previous_map_is_shown_while_the_next_one_is_computed(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = threading.Event()

    def slow(*arguments: Any) -> Any:
        assert finish.wait(60)
        return project(*arguments)

    project = serve_maps.project
    monkeypatch.setattr(serve_library, "REFRESH_S", 0.0)
    with served(library / "index", tmp_path / "cache") as client:
        before = get(client, "")
        monkeypatch.setattr(serve_maps, "project", slow)
        monkeypatch.setattr(serve_maps, "_PATIENCE_S", 0.0)
        with ws.open(library / "index") as index:
            index.remove([next(iter(index.files("kind = 'audio'"))).path])
        assert get(client, "") == {**before, "modalities": {**before["modalities"], "audio": 6}}
        assert len(points(client)[0]) == 7
        finish.set()
        monkeypatch.setattr(serve_maps, "_PATIENCE_S", 60.0)
        assert len(points(client)[0]) == 6


def test_groups_are_few_and_in_a_useful_order() -> None:
    grouped = group_points([*"aab", None, *(f"name {number}" for number in range(20))])
    assert len(grouped.groups) == 13
    assert [(group.name, group.count) for group in grouped.groups[:2]] == [("a", 2), ("b", 1)]
    assert [(group.role, group.count) for group in grouped.groups[-2:]] == [("rest", 11), ("none", 1)]
    assert grouped.codes[:4].tolist() == [0, 0, 1, 12]
    counts = np.bincount(grouped.codes).tolist()
    assert counts == [group.count for group in grouped.groups]


@pytest.mark.parametrize(
    ("values", "times", "names"),
    [
        ([3, 1, 2, 2], False, ["1", "2", "3"]),
        ([True, False, None], False, ["no", "yes", ""]),
        ([["rain", "dog"], ["dog"], []], False, ["dog", "rain", ""]),
        (["2024-03-01T10:00:00", "2023-01-01T00:00:00"], True, ["2023", "2024"]),
        (["2024-03-01T10:00:00", "2024-01-01T00:00:00"], True, ["2024-01", "2024-03"]),
        (list(range(60)), False, ["0 to 10", "10 to 20", "20 to 30", "30 to 39", "39 to 49", "49 to 59"]),
        ([0.5] * 50 + list(range(12)), False, ["0 to 0.5", "0.5 to 1", "1 to 11"]),
        ([], False, []),
    ],
)
def test_values_of_each_type_are_grouped(values: list[Any], times: bool, names: list[str]) -> None:
    grouped = group_points(values, times=times)
    assert [group.name for group in grouped.groups] == names
    assert sum(group.count for group in grouped.groups) == len(values)


def test_folders_are_named_by_where_they_differ() -> None:
    assert folder_names(["/m/a/x", "/m/b", "/m/a/y", "/m"]) == ["a", "b", "a", "m"]
    assert folder_names(["/m/a", "/m/a"]) == ["a", "a"]
    assert folder_names(["/x/a", "/y"]) == ["x", "y"]
    assert folder_names(["/"]) == ["/"]
    assert folder_names([]) == []
