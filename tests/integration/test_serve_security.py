"""Who may ask the server what: other sites, other machines, other files than those of the index."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import wave_search as ws
from tests.media_factory import write_sound
from tests.serving import ADDRESS, find, served
from wave_search.errors import UsageError
from wave_search.media import DecoderPool
from wave_search.serve.options import Limits, ServeOptions
from wave_search.serve.schemas import SearchQuery, Term

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from starlette.testclient import TestClient

    from tests.libraries import CountingEmbedder

TOKEN = "correct-horse-battery-staple"  # noqa: S105
SEARCH = {"terms": [{"text": "a"}]}


@pytest.fixture
def site(settled: Path, counted: CountingEmbedder, tmp_path: Path) -> Iterator[TestClient]:
    with served(settled / "index", tmp_path / "cache") as client:
        yield client


@pytest.fixture
def remote(settled: Path, counted: CountingEmbedder, tmp_path: Path) -> Iterator[TestClient]:
    """A server that other machines reach, behind the name of a proxy."""
    with served(settled / "index", tmp_path / "cache", host="0.0.0.0", token=TOKEN, names=("wave.example",)) as it:  # noqa: S104
        yield it


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765", "LOCALHOST", "[::1]:8765", "localhost."])
def test_the_server_is_known_by_the_names_of_this_machine(site: TestClient, host: str) -> None:
    assert site.get("/api/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8765",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "192.168.1.2:8765",
        "",
        "[::1",
        "localhost:x",
        "a b",
    ],
)
def test_another_name_that_leads_here_is_refused(site: TestClient, host: str) -> None:
    for path in ("/api/health", "/", "/api/segments/1/media"):
        response = site.get(path, headers={"host": host})
        assert response.status_code == 403, path
        assert "--allow-host" in response.json()["error"]["remedy"]


def test_browsers_keep_the_page_but_no_answer(remote: TestClient) -> None:
    signed_in = remote.get("/", params={"token": TOKEN}, headers={"host": "wave.example"})
    remote.cookies.clear()
    own = {"host": "wave.example", "authorization": f"Bearer {TOKEN}"}
    page = remote.get("/", headers=own)
    again = remote.get("/", headers={**own, "if-none-match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    refused, answer = remote.get("/", headers={"host": "wave.example"}), remote.get("/api/health", headers=own)
    kept = [response.headers["cache-control"] for response in (page, again, signed_in, refused, answer)]
    assert kept == ["no-cache", "no-cache", "no-store", "no-store", "no-store"]
    assert (signed_in.status_code, refused.status_code, answer.status_code) == (200, 401, 200)


def test_a_page_of_another_site_cannot_search(site: TestClient) -> None:
    for origin in ("http://evil.example", "null", "", "http://[", "http://127.0.0.1:9999", "http://localhost:8765"):
        assert site.post("/api/search", json=SEARCH, headers={"origin": origin}).status_code == 403, origin
        assert site.get("/api/library", headers={"origin": origin}).status_code == 403, origin
    assert site.post("/api/search", json=SEARCH, headers={"origin": ADDRESS}).status_code == 200
    for fetched_by in ("cross-site", "same-site", "nonsense"):
        headers = {"sec-fetch-site": fetched_by}
        assert site.post("/api/search", json=SEARCH, headers=headers).status_code == 403
        assert site.get("/api/segments/1/media", headers=headers).status_code == 403
    for fetched_by in ("same-origin", "none"):
        assert site.post("/api/search", json=SEARCH, headers={"sec-fetch-site": fetched_by}).status_code == 200


def test_a_link_of_another_site_opens_the_page_and_nothing_else(site: TestClient) -> None:
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert site.get("/", headers=link).status_code == 200
    assert site.get("/api/library", headers=link).status_code == 403
    assert site.get("/", headers={**link, "sec-fetch-dest": "iframe"}).status_code == 403


def test_no_other_site_is_allowed_to_read(site: TestClient) -> None:
    response = site.options(
        "/api/search", headers={"origin": "http://evil.example", "access-control-request-method": "POST"}
    )
    assert response.status_code == 403
    for origin in ("http://evil.example", ADDRESS):
        answer = site.get("/api/health", headers={"origin": origin})
        assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_what_is_sent_cannot_be_taken_for_a_script(site: TestClient) -> None:
    page, media = site.get("/"), site.get(f"/api/segments/{find(site, '300.flac')['segment']}/media")
    assert (page.status_code, media.status_code) == (200, 200), media.text
    for response in (page, media, site.get("/api/health"), site.get("/missing"), site.get("/", headers={"host": "x"})):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cross-origin-resource-policy"] == "same-origin"
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert "unsafe" not in response.headers["content-security-policy"]
        assert response.headers["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert media.headers["content-security-policy"] == "default-src 'none'; sandbox"


def test_from_other_machines_a_token_is_needed(remote: TestClient) -> None:
    for path in (
        "/api/health",
        "/",
        "/api/segments/1/media",
        "/api/openapi.json",
        "/?token=",
        "/api/health?token=" + TOKEN,
    ):
        refused = remote.get(path)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer"), path
    for wrong in ("Bearer ", "Bearer x", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer \xff"):
        assert remote.get("/api/health", headers={"authorization": wrong.encode("latin-1")}).status_code == 401, wrong
    assert remote.get("/api/health", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert remote.get(f"/?token={TOKEN[:-1]}").status_code == 401


def test_the_token_becomes_a_cookie_of_the_browser(remote: TestClient) -> None:
    response = remote.get(f"/?token={TOKEN}")
    assert response.status_code == 200
    assert "url=/" in response.text
    assert TOKEN not in response.text
    cookie = response.headers["set-cookie"].casefold()
    assert all(part in cookie for part in ("httponly", "samesite=strict", "path=/"))
    assert remote.get("/api/health").status_code == 200  # the client keeps cookies, as a browser does
    assert remote.post("/api/search", json=SEARCH, headers={"origin": "http://evil.example"}).status_code == 403


def test_with_a_token_the_names_are_checked_too(remote: TestClient) -> None:
    bearer = {"authorization": f"Bearer {TOKEN}"}
    for host in ("wave.example", "192.168.1.2:8765", "[fe80::1]:8765", "localhost"):
        assert remote.get("/api/health", headers={**bearer, "host": host}).status_code == 200, host
    assert remote.get("/api/health", headers={**bearer, "host": "evil.example"}).status_code == 403
    proxied = {**bearer, "host": "wave.example", "origin": "https://wave.example"}
    assert remote.post("/api/search", json=SEARCH, headers=proxied).status_code == 200


def test_a_server_for_other_machines_has_a_token() -> None:
    for host in ("0.0.0.0", "192.168.1.2", "::", "wave.example"):  # noqa: S104
        with pytest.raises(UsageError, match="needs a token"):
            ServeOptions(host=host)
    with pytest.raises(UsageError, match="under the name"):
        ServeOptions(names=("wave.example",))
    for token in ("short", "spaces are not allowed here", "x" * 201, "semi;colon-semi;colon"):
        with pytest.raises(UsageError, match="a token has at least 16"):
            ServeOptions(token=token)
    for host in ("127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"):
        assert ServeOptions(host=host).is_local


def test_a_request_that_is_too_large_is_refused(settled: Path, counted: CountingEmbedder, tmp_path: Path) -> None:
    limits = Limits(upload_bytes=20_000, json_bytes=2_000)
    with served(settled / "index", tmp_path / "cache", limits=limits) as client:
        big = json.dumps({"terms": [{"text": "a" * 3_000}]}).encode()
        declared = client.post("/api/search", content=big)
        streamed = client.post("/api/search", content=iter([big[:1_500], big[1_500:]]))
        form = client.post(
            "/api/search", data={"request": json.dumps(SEARCH)}, files={"f": ("f.wav", bytes(30_000), "audio/wav")}
        )
        assert [response.status_code for response in (declared, streamed, form)] == [413, 413, 413]
        assert form.json()["error"]["message"]
        parts = {f"f{number}": (f"{number}.wav", b"x") for number in range(40)}
        many = client.post("/api/search", data={"request": json.dumps(SEARCH)}, files=parts)
        assert many.status_code == 400
        assert client.post("/api/search", json=SEARCH).status_code == 200


@pytest.mark.parametrize(
    "number",
    ["../../etc/passwd", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "-1", "1e3", "9" * 40, "0x1", "%00", "1%2fmedia", "\uff11"],
)
def test_only_numbers_of_segments_lead_to_media(site: TestClient, number: str) -> None:
    for what in ("media", "thumb", "clip", "peaks", "subtitles.vtt"):
        assert site.get(f"/api/segments/{number}/{what}").status_code in (404, 422)


@pytest.mark.parametrize(
    "path", ["/../app.py", "/%2e%2e/app.py", "/..%2fapp.py", "//etc/passwd", "/static/../../app.py"]
)
def test_no_file_outside_of_the_page_is_sent(site: TestClient, path: str) -> None:
    response = site.get(path)
    assert response.status_code == 404
    assert "create_app" not in response.text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*Term.model_fields]), inner),
    max_leaves=6,
)
TERMS = st.lists(
    st.fixed_dictionaries(
        {}, optional={"segment": st.integers(0, 30), "weight": st.floats(0, 9), "avoid": st.booleans()}
    )
    | JSON,
    max_size=3,
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    fields=st.dictionaries(st.sampled_from([*SearchQuery.model_fields]), JSON, max_size=2),
    terms=TERMS,
    path=st.sampled_from(["/api/search", "/api/segments/1/scores"]),
)
def test_any_request_is_answered(site: TestClient, fields: dict[str, object], terms: list[object], path: str) -> None:
    response = site.post(path, json={"terms": terms, **fields})
    assert response.status_code in (200, 400, 404, 422), response.text
    if response.status_code != 200:
        error = response.json()["error"]
        assert error["message"]
        assert error["remedy"]


def test_an_error_shows_nothing_of_the_inside(site: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("wave_search.serve.library.Library.describe", fail)
    response = site.get("/api/library")
    assert response.headers["x-content-type-options"] == "nosniff"
    assert (response.status_code, "secret detail" in response.text, "Traceback" in response.text) == (500, False, False)
    assert response.json()["error"]["message"] == "unexpected RuntimeError"


def write_secret(path: Path, like: os.stat_result) -> Path:
    """Write what must not be sent, with the size and time of an indexed file."""
    path.write_bytes(b"s" * like.st_size)
    os.utime(path, ns=(like.st_atime_ns, like.st_mtime_ns))
    return path


REPLACEMENTS: dict[str, Callable[[Path, Path], object]] = {
    "nothing": lambda file, secret: None,
    "another file": lambda file, secret: write_sound(file, 1.0, 600.0),
    "a link": lambda file, secret: file.symlink_to(secret),
    "a pipe": lambda file, secret: os.mkfifo(file),
    "a folder": lambda file, secret: file.mkdir(),
}


def test_only_the_file_that_was_indexed_is_sent(settled: Path, tmp_path: Path) -> None:
    file, kept = (settled / "media" / "sounds" / "500.flac").resolve(), tmp_path / "kept.flac"
    shutil.copy2(file, kept)
    secret = write_secret(tmp_path / "secret", file.stat())
    with served(settled / "index", tmp_path / "cache") as client:
        segment = find(client, "500.flac")["segment"]

        def answers(number: int) -> list[int]:
            parts = ("media", f"clip?start=0.{number}&stop=1", "thumb")  # a clip that was made before is kept
            return [client.get(f"/api/segments/{segment}/{part}").status_code for part in parts]

        assert answers(1) == [200, 200, 404]
        for number, (name, replace) in enumerate(REPLACEMENTS.items(), start=2):
            file.unlink()
            replace(file, secret)
            assert answers(number) == [409, 409, 404], name
            assert client.get(f"/api/segments/{segment}").json()["file"]["playable"] == "none", name
            if name == "a folder":
                file.rmdir()
            file.unlink(missing_ok=True)
            shutil.copy2(kept, file)
            assert answers(number) == [200, 200, 404], name


def test_a_folder_that_has_become_a_link_is_not_followed(settled: Path, tmp_path: Path) -> None:
    sounds = (settled / "media" / "sounds").resolve()
    sounds.rename(tmp_path / "moved")
    sounds.symlink_to(tmp_path / "moved")
    with served(settled / "index", tmp_path / "cache") as client:
        response = client.get(f"/api/segments/{find(client, '500.flac')['segment']}/media")
    assert (response.status_code, "a symbolic link leads there" in response.text) == (409, True)


def test_another_content_of_the_same_size_and_time_is_never_sent_as_a_page(settled: Path, tmp_path: Path) -> None:
    file = (settled / "media" / "sounds" / "500.flac").resolve()
    write_secret(file, file.stat())
    with served(settled / "index", tmp_path / "cache") as client:
        response = client.get(f"/api/segments/{find(client, '500.flac')['segment']}/media")
        assert response.status_code == 400
        assert "not in any known media format" in response.json()["error"]["message"]


def test_a_playlist_in_place_of_a_film_is_not_followed(
    settled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[object] = []
    preview = DecoderPool.preview
    monkeypatch.setattr(DecoderPool, "preview", lambda pool, task: tried.append(task) or preview(pool, task))
    file = (settled / "media" / "videos" / "silent.mp4").resolve()
    status = file.stat()
    start = f"ffconcat version 1.0\nfile '{file.with_name('talking.mp4')}'\n".encode()
    file.write_bytes(start.ljust(status.st_size, b"#"))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    with served(settled / "index", tmp_path / "cache") as client:
        segment = find(client, "silent.mp4")["segment"]
        for what in ("media", "thumb", "clip"):
            assert client.get(f"/api/segments/{segment}/{what}").status_code == 400
        before = len(tried)
        assert client.get(f"/api/segments/{segment}/thumb").status_code == 400
        assert len(tried) == before  # what would fail again is not tried again


def test_a_removed_file_has_no_media_any_more(
    settled: Path, counted: CountingEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wave_search.serve.library.REFRESH_S", 0.0)
    with served(settled / "index", tmp_path / "cache") as client:
        segment = find(client, "500.flac")["segment"]
        assert client.get(f"/api/segments/{segment}/media").status_code == 200
        with ws.open(settled / "index") as index:
            index.remove([settled / "media" / "sounds"])
        assert client.get(f"/api/segments/{segment}/media").status_code == 404
        assert client.get(f"/api/segments/{segment}/thumb").status_code == 404
