"""Alerts: what saved searches find among new segments, delivered to a web server and to programs."""

from __future__ import annotations

import json
import os
import stat
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import wave_search as ws
from tests.media_factory import write_sound
from tests.serving import served
from wave_search import alerts
from wave_search.alerts import AlertBook, deliver, parse_command, parse_webhook, run_alerts, set_alert
from wave_search.alerts import run as alerts_run
from wave_search.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Called
    from tests.libraries import CountingEmbedder


class Receiver:
    """A web server that keeps what it gets, and answers with a status."""

    def __init__(self) -> None:
        self.status, self.location = 204, ""
        self.messages: list[dict[str, Any]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                assert self.headers["content-type"] == "application/json"
                if receiver.status < 300:
                    receiver.messages.append(json.loads(body))
                if receiver.status:
                    self.send_response(receiver.status)
                    if receiver.location:
                        self.send_header("location", receiver.location)
                    self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        self.url = f"{self.address}/hook?secret=1"

    @contextmanager
    def running(self) -> Iterator[Receiver]:
        thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self.server.shutdown()
            self.server.server_close()
            thread.join()

    def matches(self) -> list[dict[str, Any]]:
        return [match for message in self.messages for match in message["matches"]]

    def names(self) -> list[str]:
        return [Path(match["path"]).name for match in self.matches()]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver().running() as running:
        yield running


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "wave-search" / "alerts"


@pytest.fixture
def opened(settled: Path) -> Iterator[ws.Index]:
    """An index with a search that matches every sound."""
    with ws.open(settled / "index") as index:
        request = ws.SearchRequest.build(text="a dog", target="audio", min_z=-1000, moments=False, where="kind='audio'")
        index.save_search("dogs", request)
        yield index


def add_sound(index: ws.Index, name: str, hz: int = 1000, seconds: float = 1) -> None:
    media = index.path.parent / "media"
    write_sound(media / name, seconds, hz)
    index.add([media])


def test_new_matches_are_delivered_once(opened: ws.Index, receiver: Receiver, state: Path) -> None:
    set_alert(opened, "DOGS", parse_webhook(receiver.url))
    assert run_alerts(opened) == ()  # what there was is not new
    add_sound(opened, "new.flac", seconds=12)
    (report,) = run_alerts(opened)
    assert (report.search, report.target, report.found, report.delivered, report.waiting, report.failure) == (
        "dogs", receiver.address, 2, 2, 0, None,
    )  # fmt: skip
    (message,) = receiver.messages
    assert (message["search"], message["index"]) == ("dogs", str(opened.path))
    match = message["matches"][0]
    assert list(match) == ["id", "path", "modality", "start_s", "stop_s", "z", "score", "segment", "text"]
    assert (match["path"], match["modality"]) == (str(opened.path.parent / "media" / "new.flac"), "audio")
    assert sorted((one["start_s"], one["stop_s"]) for one in message["matches"]) == [(0, 10), (10, 12)]
    assert run_alerts(opened) == ()
    assert not (opened.path / "alerts").exists()
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


def test_a_file_that_is_moved_copied_or_indexed_again_is_not_new(opened: ws.Index, receiver: Receiver) -> None:
    set_alert(opened, "dogs", parse_webhook(receiver.url))
    add_sound(opened, "new.flac")
    run_alerts(opened)
    media = opened.path.parent / "media"
    (media / "copy.flac").write_bytes((media / "new.flac").read_bytes())
    (media / "new.flac").rename(media / "moved.flac")
    opened.add([media])
    assert run_alerts(opened) == ()
    opened.remove([media])
    (media / "copy.flac").unlink()
    first_id = opened.next_segment_id
    opened.add([media])
    assert opened.next_segment_id > first_id
    run_alerts(opened)  # what was there before the alert is new to it now
    assert receiver.names().count("moved.flac") == 0
    assert receiver.names().count("new.flac") == 1


def test_what_a_failed_delivery_has_found_waits_for_the_next_run(opened: ws.Index, receiver: Receiver) -> None:
    set_alert(opened, "dogs", parse_webhook(receiver.url))
    receiver.status = 500
    add_sound(opened, "one.flac")
    (report,) = run_alerts(opened)
    assert (report.found, report.delivered, report.waiting) == (1, 0, 1)
    assert str(report) == (
        f'alert "dogs": 1 new match, 1 to be delivered by the next run; {receiver.address}: it answered with status 500'
    )
    (opened.path.parent / "media" / "one.flac").unlink()  # it was found nevertheless
    add_sound(opened, "two.flac", 1100)
    receiver.status = 200
    (report,) = run_alerts(opened)
    assert (report.found, report.delivered, report.waiting, report.failure) == (1, 2, 0, None)
    assert receiver.names() == ["one.flac", "two.flac"]


def test_a_run_that_is_killed_loses_nothing(
    opened: ws.Index, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_alert(opened, "dogs", parse_webhook(receiver.url))
    monkeypatch.setattr(alerts_run, "_BATCH", 1)
    add_sound(opened, "new.flac", seconds=25)
    real, done = alerts_run.deliver, []

    def killed_after_the_second(target: Any, message: bytes) -> str | None:
        failure = real(target, message)
        done.append(failure)
        if len(done) == 2:
            raise KeyboardInterrupt
        return failure

    monkeypatch.setattr(alerts_run, "deliver", killed_after_the_second)
    with pytest.raises(KeyboardInterrupt):
        run_alerts(opened)
    (report,) = run_alerts(opened)
    assert (report.found, report.delivered) == (0, 2)
    ids = [match["id"] for match in receiver.matches()]
    assert len(ids) == 4
    assert ids[1] == ids[2]  # delivered, but not remembered: again, with the same id
    assert len(set(ids)) == 3


def test_an_index_that_is_made_anew_counts_again(opened: ws.Index, receiver: Receiver) -> None:
    set_alert(opened, "dogs", parse_webhook(receiver.url))
    add_sound(opened, "one.flac")
    run_alerts(opened)
    opened.path.rename(opened.path.with_name("old"))
    with ws.create(opened.path, "wave-tiny") as anew:
        anew.add([opened.path.parent / "media" / "one.flac"])
        anew.save_search("dogs", ws.SearchRequest.build(text="a dog", target="audio", min_z=-1000))
        assert run_alerts(anew) == ()
        add_sound(anew, "two.flac", 1100)
        run_alerts(anew)
    assert receiver.names().count("one.flac") == 1
    assert receiver.names().count("two.flac") == 1


def test_a_redirect_is_not_followed(opened: ws.Index, receiver: Receiver, tmp_path: Path) -> None:
    set_alert(opened, "dogs", parse_webhook(receiver.url))
    add_sound(opened, "new.flac")
    for status, location in ((302, (tmp_path / "x").as_uri()), (307, f"{receiver.address}/other")):
        receiver.status, receiver.location = status, location
        (report,) = run_alerts(opened)
        assert report.failure == (
            f"{receiver.address}: it redirects ({status}), which is not followed; set the address to which it leads"
        )
    assert (report.waiting, receiver.messages) == (1, [])


def test_an_address_that_does_not_answer_is_given_up(
    opened: ws.Index, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver, "WEBHOOK_S", 0.05)
    set_alert(opened, "dogs", parse_webhook(receiver.url))
    add_sound(opened, "new.flac")
    hold = threading.Event()
    monkeypatch.setattr(deliver, "_answer", lambda *_: hold.wait())
    (report,) = run_alerts(opened)
    hold.set()
    assert report.failure == f"{receiver.address}: no answer within 0.05 s"
    monkeypatch.undo()
    receiver.status = 0
    assert (
        deliver.deliver(parse_webhook(receiver.url), b"{}")
        == "it does not answer as a web server does (RemoteDisconnected)"
    )
    assert "it cannot be reached" in str(deliver.deliver(parse_webhook("http://127.0.0.1:1/"), b"{}"))


def test_a_program_gets_the_matches_without_a_shell(opened: ws.Index, tmp_path: Path) -> None:
    out = tmp_path / "got it; $(touch x).json"
    copy = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text(sys.stdin.read())"
    set_alert(opened, "dogs", parse_command([sys.executable, "-c", copy, str(out)]))
    add_sound(opened, "new.flac")
    (report,) = run_alerts(opened)
    assert (report.target, report.delivered, report.failure) == (sys.executable, 1, None)
    assert [Path(match["path"]).name for match in json.loads(out.read_text())["matches"]] == ["new.flac"]
    assert not (Path.cwd() / "x").exists()


@pytest.mark.parametrize(
    ("program", "failure"),
    [
        ("echo 'no \x1b[31m luck' >&2; exit 3", "it ended with code 3: no [31m luck"),
        ("exec cat > /dev/full", "it ended with code 1: cat: write error: No space left on device"),
        ("sleep 1000 & wait", "it takes longer than 0.5 s, and was stopped"),
        ("exec <&-; exit 0", None),  # reads nothing
    ],
)
def test_how_a_program_may_end(program: str, failure: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver, "COMMAND_S", 0.5 if "sleep" in program else 60)
    target = parse_command(["sh", "-c", program])
    assert deliver.deliver(target, b"x" * 200_000) == failure


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://host/", "http:///x", "host/x", "http://u:p@host/", "http://h:99999/", "http://h/\n", "http://[::1"],
)  # fmt: skip
def test_matches_are_posted_to_web_addresses_only(url: str) -> None:
    with pytest.raises(UsageError, match="is not an address that matches can be posted to"):
        parse_webhook(url)


def test_an_alert_needs_a_search_with_a_least_z(opened: ws.Index, receiver: Receiver) -> None:
    target = parse_webhook(receiver.url)
    opened.save_search("any", ws.SearchRequest.build(text="a dog"))
    opened.save_search("list", where="true")
    for name, message in (("any", "has no minimum z"), ("list", "lists files"), ("none", "there is no search")):
        with pytest.raises(UsageError, match=message):
            set_alert(opened, name, target)
    with pytest.raises(UsageError, match="there is no program 'no-such-program'"):
        parse_command(["no-such-program", "x"])
    set_alert(opened, "dogs", target)
    opened.remove_search("dogs")
    add_sound(opened, "new.flac")
    assert [report.failure for report in run_alerts(opened)] == [
        'there is no search "dogs". List those that there are: `wave-search searches list`.'
    ]


def test_more_matches_than_are_kept_are_reported(
    opened: ws.Index, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts_run, "MAX_MATCHES", 2)
    set_alert(opened, "dogs", parse_webhook(receiver.url))
    add_sound(opened, "new.flac", seconds=25)
    (report,) = run_alerts(opened)
    assert (report.found, report.delivered) == (2, 2)
    assert "more than the 2 matches" in (report.failure or "")


def test_alerts_that_cannot_be_read_are_an_error_with_a_remedy(
    opened: ws.Index, receiver: Receiver, state: Path
) -> None:
    set_alert(opened, "dogs", parse_webhook(receiver.url))
    (file,) = state.glob("*.json")
    file.write_text(file.read_text().replace('"webhook":"http', '"webhook":["http'))
    (report,) = run_alerts(opened)
    assert "cannot be read" in str(report)
    assert "Delete the file, and set the alerts again" in str(report)


def test_the_command_line_sets_an_alert_that_index_delivers(
    opened: ws.Index, receiver: Receiver, called: Called
) -> None:
    index = ["--index", str(opened.path)]
    assert called("searches", "alert", "dogs", *index).returncode == 2
    done = called("searches", "alert", "dogs", "--webhook", receiver.url, *index)
    assert (done.returncode, "secret" in done.stderr) == (0, False)
    assert called("searches", "list", *index).stdout.splitlines()[0].split("\t")[-1] == receiver.address
    write_sound(opened.path.parent / "media" / "new.flac", 1, 1000)
    run = called("index", opened.path.parent / "media", "--json", *index)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["alerts"] == [
        {"search": "dogs", "target": receiver.address, "found": 1, "delivered": 1, "waiting": 0, "failure": None}
    ]
    assert f'alert "dogs": 1 new match, 1 delivered to {receiver.address}' in run.stderr
    assert receiver.names() == ["new.flac"]
    assert called("searches", "rename", "dogs", "barks", *index).returncode == 0
    receiver.status = 503
    write_sound(opened.path.parent / "media" / "other.flac", 1, 1200)
    run = called("index", opened.path.parent / "media", *index)
    assert (run.returncode, "503" in run.stderr) == (0, True)
    assert called("searches", "alert", "barks", "--off", *index).returncode == 0
    assert called("searches", "alert", "barks", "--off", *index).returncode == 2
    assert called("searches", "alert", "barks", *index, "--", "cat", "--flag").returncode == 0
    (alert,) = AlertBook(opened.path).alerts()
    assert (Path(alert.target.command[0]).name, alert.target.command[1:]) == ("cat", ("--flag",))  # type: ignore[index]
    assert called("searches", "remove", "barks", *index).returncode == 0
    assert AlertBook(opened.path).alerts() == ()


def test_the_page_sets_a_webhook_from_this_machine_only(
    opened: ws.Index, receiver: Receiver, tmp_path: Path, counted: CountingEmbedder
) -> None:
    with served(opened.path, tmp_path / "cache") as client:
        answer = client.put("/api/alerts/dogs", json={"webhook": receiver.url}).json()
        assert ([one["alert"] for one in answer["searches"]], answer["alerts_allowed"]) == ([receiver.address], True)
        assert client.put("/api/alerts/dogs", json={"webhook": "file:///x"}).status_code == 400
        assert client.put("/api/alerts/cats", json={"webhook": receiver.url}).status_code == 404
        assert client.put("/api/alerts/dogs", json={"command": ["sh"]}).status_code == 422
        proxied = client.put("/api/alerts/dogs", json={"webhook": "http://x/"}, headers={"x-forwarded-for": "1.2.3.4"})
        assert proxied.status_code == 403
        assert "wave-search searches alert" in proxied.json()["error"]["remedy"]
        assert client.delete("/api/alerts/dogs", headers={"x-real-ip": "1.2.3.4"}).status_code == 403
        assert client.delete("/api/alerts/dogs").json()["searches"][0]["alert"] is None
        assert client.delete("/api/alerts/dogs").status_code == 404
    token = "a-token-that-is-long"  # noqa: S105
    with served(opened.path, tmp_path / "cache", host="0.0.0.0", token=token) as client:  # noqa: S104
        headers = {"authorization": f"Bearer {token}"}
        assert client.get("/api/searches", headers=headers).json()["alerts_allowed"] is False
        assert client.put("/api/alerts/dogs", json={"webhook": "http://x/"}, headers=headers).status_code == 403
    assert AlertBook(opened.path).alerts() == ()


def test_an_index_from_someone_else_brings_no_alerts(opened: ws.Index, receiver: Receiver, tmp_path: Path) -> None:
    set_alert(opened, "dogs", parse_webhook(receiver.url))
    (opened.path / "alerts").mkdir()
    (file,) = (tmp_path / "state" / "wave-search" / "alerts").glob("*.json")
    (opened.path / "alerts" / file.name).write_bytes(file.read_bytes())
    os.rename(opened.path, tmp_path / "received")  # noqa: PTH104
    with ws.open(tmp_path / "received") as received:
        add_sound_to = received.path.parent / "more"
        add_sound_to.mkdir()
        write_sound(add_sound_to / "new.flac", 1, 1000)
        received.add([add_sound_to])
        assert alerts.run_alerts(received) == ()
    assert receiver.messages == []
