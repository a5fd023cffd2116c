"""The API of the server: searches, lists, details of segments, and errors."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

import wave_search as ws
from tests.libraries import LIBRARY_FILES, WORDS
from tests.media_factory import write_sound
from tests.serving import find, served
from wave_search.serve import library as serve_library
from wave_search.serve.options import Limits
from wave_search.serve.schemas import Model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.testclient import TestClient

    from tests.libraries import CountingEmbedder
    from tests.media_decoding import KeptDecoders


@pytest.fixture
def site(settled: Path, counted: CountingEmbedder, tmp_path: Path) -> Iterator[TestClient]:
    """A client of the library, which is not to be changed."""
    with served(settled / "index", tmp_path / "cache") as client:
        yield client


def search(client: TestClient, *terms: dict[str, Any], **fields: Any) -> dict[str, Any]:
    response = client.post("/api/search", json={"terms": terms, **fields})
    assert response.status_code == 200, response.text
    return dict(response.json())


def test_a_search_finds_what_the_index_finds(site: TestClient, settled: Path) -> None:
    found = search(site, {"text": WORDS[0]}, {"text": WORDS[1], "weight": 0.5}, target="audio", limit=3)
    with ws.open(settled / "index") as index:
        hits = index.search(text=[WORDS[0], ws.Weighted(WORDS[1], 0.5)], target="audio", k=3)
    assert [hit["segment"] for hit in found["hits"]] == [hit.segment_id for hit in hits]
    assert [hit["z"] for hit in found["hits"]] == [round(hit.z, 4) for hit in hits]
    first, expected = found["hits"][0], hits[0]
    assert (first["path"], first["name"], first["folder"]) == (
        str(expected.path),
        expected.path.name,
        str(expected.path.parent),
    )
    assert (first["start_s"], first["stop_s"], first["duration_s"]) == (
        expected.start_s,
        expected.stop_s,
        expected.duration_s,
    )
    assert (first["rank"], first["modality"], first["gone"]) == (1, "audio", False)
    assert found["more"] is True


def test_a_term_to_avoid_weighs_as_it_does_in_the_library(site: TestClient, settled: Path) -> None:
    found = search(site, {"text": WORDS[0]}, {"text": WORDS[1], "avoid": True}, limit=4)
    with ws.open(settled / "index") as index:
        hits = index.search(text=[WORDS[0], ws.Not(WORDS[1])], k=4)
    assert [hit["segment"] for hit in found["hits"]] == [hit.segment_id for hit in hits]


def test_pages_are_parts_of_one_list(site: TestClient) -> None:
    whole = search(site, {"text": WORDS[0]}, limit=6)["hits"]
    pages = [search(site, {"text": WORDS[0]}, limit=2, offset=offset)["hits"] for offset in (0, 2, 4)]
    assert [hit for page in pages for hit in page] == whole
    last = search(site, {"text": WORDS[0]}, limit=200, moments=False)
    assert last["more"] is False


def test_a_segment_is_a_query_by_itself_and_by_its_sound(site: TestClient) -> None:
    talking = find(site, "talking.mp4")
    assert talking["modality"] == "av"
    found = search(site, {"segment": talking["segment"]}, limit=50)["hits"]
    assert talking["segment"] not in [hit["segment"] for hit in found]
    details = site.get(f"/api/segments/{talking['segment']}").json()
    sound = next(one for one in details["moments"] if one["modality"] == "audio")
    by_sound = search(site, {"segment": talking["segment"], "modality": "audio"}, target="audio", limit=5)
    assert by_sound["hits"] == search(site, {"segment": sound["segment"]}, target="audio", limit=5)["hits"]
    silent = find(site, "silent.mp4")["segment"]
    response = site.post("/api/search", json={"terms": [{"segment": silent, "modality": "audio"}]})
    assert (response.status_code, response.json()["error"]["message"]) == (
        400,
        f"the file of segment {silent} has no audio in the index",
    )


def test_an_uploaded_file_is_searched_for_and_deleted(
    site: TestClient, settled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    sound = (settled / "media" / "sounds" / "500.flac").read_bytes()
    request = {"terms": [{"upload": "file0", "modality": "audio"}], "target": "audio", "limit": 1}
    response = site.post("/api/search", data={"request": json.dumps(request)}, files={"file0": ("x.flac", sound)})
    assert [hit["name"] for hit in response.json()["hits"]] == ["500.flac"]
    ranged = {"terms": [{"upload": "file0", "start_s": 2.5, "stop_s": 3}]}
    response = site.post("/api/search", data={"request": json.dumps(ranged)}, files={"file0": ("x.flac", sound)})
    cause = "x.flac: the range begins after the end of the file, 2.00 s"
    assert (response.status_code, response.json()["error"]["message"]) == (400, cause)
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_an_error_about_an_upload_names_it_as_the_user_does(site: TestClient, tmp_path: Path) -> None:
    request = json.dumps({"terms": [{"upload": "f", "modality": "audio"}]})
    response = site.post("/api/search", data={"request": request}, files={"f": ("../my cat.mp4", b"not a video")})
    error = response.json()["error"]
    assert response.status_code == 400
    assert error["message"].startswith("my cat.mp4: ")
    assert str(tmp_path.parent) not in response.text


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"terms": [{"text": "a"}], "limt": 3}, 422, "limt: Extra inputs are not permitted"),
        ({"terms": [{"text": "a"}], "limit": 201}, 422, "limit: Input should be less than or equal to 200"),
        ({"terms": [{"text": "a"}] * 17}, 422, "terms: List should have at most 16 items"),
        ({"terms": [{"text": "a", "segment": 1}]}, 400, "a term needs exactly one of text, segment, vector and upload"),
        ({"terms": [{"upload": "file0"}]}, 400, "no part of the request is named 'file0'"),
        ({"terms": [{"text": "a", "avoid": True}]}, 400, "the query has only terms to avoid"),
        ({"terms": [{"segment": 10**9}]}, 400, "segment 1000000000 is no longer in the index"),
        ({"terms": [], "where": "nonsense ="}, 400, "the condition 'nonsense =' cannot be used"),
        ({"terms": [{"text": "a"}], "columns": ["nonsense"]}, 400, 'there is no column "nonsense"'),
        ({"terms": [{"text": "a", "weight": float("nan")}]}, 422, "terms.0.weight: Input should be a finite number"),
    ],
)
def test_a_search_that_is_not_valid_is_an_error(
    site: TestClient, body: dict[str, Any], status: int, message: str
) -> None:
    response = site.post("/api/search", content=json.dumps(body))
    assert response.status_code == status
    assert response.json()["error"]["message"].startswith(message)
    assert response.json()["error"]["remedy"]


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"\xff\xfe", b'{"terms": "a"}', b"[" * 100_000])
def test_what_is_no_search_is_an_error(site: TestClient, body: bytes) -> None:
    assert site.post("/api/search", content=body).status_code == 422


def test_without_terms_files_are_listed_by_path(site: TestClient, settled: Path) -> None:
    listed = search(site, limit=100, columns=["container"])
    paths = sorted(str(path) for path in (settled / "media").rglob("*") if path.is_file())
    assert [hit["path"] for hit in listed["hits"]] == paths
    assert len(paths) == LIBRARY_FILES
    silent = next(hit for hit in listed["hits"] if hit["name"] == "silent.mp4")
    assert (silent["score"], silent["start_s"], silent["modality"]) == (None, None, "video")
    assert (silent["peak_start_s"], silent["peak_stop_s"], silent["columns"]) == (0.0, 10.0, {"container": "mov"})
    sounds = site.get("/api/files", params={"where": "kind = 'audio'", "limit": 2, "offset": 1}).json()
    assert [file["name"] for file in sounds["files"]] == ["500.flac", "700.flac"]
    assert sounds["more"] is False


def test_the_details_of_a_segment_describe_its_file(site: TestClient) -> None:
    details = site.get(f"/api/segments/{find(site, 'talking.mp4')['segment']}").json()
    file = details["file"]
    assert (file["playable"], file["has_audio"], file["has_video"]) == ("direct", True, True)
    assert (file["width"], file["height"], file["columns"]["video_codec"]) == (64, 48, "h264")
    assert [one["start_s"] for one in details["moments"]] == [0.0, 0.0, 0.0, 10.0, 10.0, 10.0]
    assert {one["modality"] for one in details["moments"][:3]} == {"av", "audio", "video"}
    picture = site.get(f"/api/segments/{find(site, '1.png')['segment']}").json()
    assert (picture["file"]["width"], picture["file"]["playable"], picture["file"]["duration_s"]) == (
        64,
        "direct",
        None,
    )
    text = site.get(f"/api/segments/{find(site, 'note0.txt')['segment']}").json()
    assert (text["hit"]["text"], text["file"]["playable"]) == (WORDS[0], "none")


def test_scores_along_a_file_are_those_of_a_search(site: TestClient) -> None:
    talking = find(site, "talking.mp4")["segment"]
    answer = site.post(f"/api/segments/{talking}/scores", json={"terms": [{"text": WORDS[0]}]}).json()
    along = {point["segment"]: point["z"] for band in answer["bands"] for point in band["points"]}
    where = "name = 'talking.mp4'"
    hits = search(site, {"text": WORDS[0]}, where=where, moments=False, limit=50)["hits"]
    assert along == {hit["segment"]: hit["z"] for hit in hits}
    starts_s = {band["modality"]: [point["start_s"] for point in band["points"]] for band in answer["bands"]}
    assert starts_s == {"audio": [0.0, 10.0], "video": [0.0, 10.0], "av": [0.0, 10.0]}
    own = site.post(f"/api/segments/{talking}/scores", json={"terms": [{"segment": talking}]}).json()
    scores = {point["segment"]: point["score"] for band in own["bands"] for point in band["points"]}
    assert scores[talking] == pytest.approx(1.0, abs=1e-3)
    assert site.post(f"/api/segments/{talking}/scores", json={"terms": []}).status_code == 400
    assert site.post("/api/segments/999999/scores", json={"terms": [{"text": "a"}]}).status_code == 404


def test_the_library_is_described(site: TestClient, settled: Path) -> None:
    described = site.get("/api/library").json()
    assert described["files"] == {"text": 2, "image": 3, "audio": 3, "video": 2}
    assert described["segments"]["audio"] == 7
    assert described["model"] == {"name": "wave-tiny"}
    folders = {folder["name"]: folder for folder in described["folders"]}
    sounds = folders[str(settled / "media" / "sounds")]
    assert (sounds["files"], folders[str(settled / "media")]["files"]) == (3, LIBRARY_FILES)
    assert len(search(site, where=sounds["where"])["hits"]) == 3


def test_a_new_version_is_followed(
    settled: Path, kept_decoders: KeptDecoders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve_library, "REFRESH_S", 0.0)
    with served(settled / "index", tmp_path / "cache") as client:
        before = client.get("/api/health").json()
        frog = find(client, "300.flac")["segment"]
        write_sound(settled / "media" / "sounds" / "new.flac", 1.5, 800)
        (settled / "media" / "sounds" / "300.flac").unlink()
        with ws.open(settled / "index") as index:
            index.add([settled / "media"])
        after = client.get("/api/health").json()
        assert after["index_version"] > before["index_version"]
        assert find(client, "new.flac")["duration_s"] == 1.5
        assert client.get(f"/api/segments/{frog}").status_code == 404
        assert client.get("/api/library").json()["files"]["audio"] == 3


def test_too_many_searches_at_once_are_refused(settled: Path, counted: CountingEmbedder, tmp_path: Path) -> None:
    begun, finish = threading.Event(), threading.Event()

    def wait(clips: object) -> None:
        begun.set()
        assert finish.wait(60)

    with served(settled / "index", tmp_path / "cache", limits=Limits(searches=1, waiting=0)) as client:
        counted.before = wait
        answers: list[int] = []
        body = {"terms": [{"text": "slow"}]}
        thread = threading.Thread(target=lambda: answers.append(client.post("/api/search", json=body).status_code))
        thread.start()
        assert begun.wait(60)
        refused = client.post("/api/search", json=body)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert client.get("/api/health").status_code == 200
        finish.set()
        thread.join()
        assert answers == [200]
        assert client.post("/api/search", json=body).status_code == 200


def test_a_search_that_takes_too_long_is_given_up(settled: Path, counted: CountingEmbedder, tmp_path: Path) -> None:
    finish = threading.Event()
    counted.before = lambda clips: finish.wait(60) and None
    with served(settled / "index", tmp_path / "cache", limits=Limits(query_s=0.05)) as client:
        response = client.post("/api/search", json={"terms": [{"text": "slow"}]})
        assert (response.status_code, response.json()["error"]["message"]) == (
            504,
            "the search takes longer than 0.05 s",
        )
        finish.set()


def test_the_api_is_described_with_examples(site: TestClient) -> None:
    described = site.get("/api/openapi.json").json()
    paths = set(described["paths"])
    assert {"/api/search", "/api/segments/{segment_id}/thumb", "/api/library", "/api/health"} <= paths
    query = described["components"]["schemas"]["SearchQuery"]
    for example in query["examples"]:
        if not any("upload" in term for term in example["terms"]):
            limited = {**example, "where": None, "terms": [t for t in example["terms"] if "segment" not in t]}
            assert site.post("/api/search", json=limited).status_code == 200
    taken = {model.__name__: model for model in Model.__subclasses__()}
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            body = operation.get("requestBody", {"content": {}})["content"].get("application/json")
            if body is not None:
                name = body["schema"]["$ref"].rpartition("/")[2]
                examples = described["components"]["schemas"][name].get("examples")
                assert examples, (method, path)
                assert all(taken[name].model_validate(example) for example in examples)
    text = json.dumps(described)
    names = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert names <= set(described["components"]["schemas"])
