"""Runs of `index` that the server starts: followed, paused, cancelled, and what may be indexed."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from starlette.testclient import TestClient

import wave_search as ws
from tests.libraries import PACKAGE_PARENT
from tests.media_factory import write_sound
from tests.serving import listening, served
from wave_search import processes
from wave_search.serve import job_process, job_routes, jobs
from wave_search.store import Writer

UNUSABLE = b"\0\0\0\x18ftypmp42" + b"\1" * 50
ENDLESS_BYTES = 1 << 40


@pytest.fixture
def media(tmp_path: Path) -> Path:
    """A note, and a film that is damaged."""
    folder = tmp_path / "media"
    folder.mkdir()
    (folder / "note.txt").write_text("the moon rises over the hills")
    (folder / "broken.mp4").write_bytes(UNUSABLE)
    return folder


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty index; to be copied."""
    folder = tmp_path_factory.mktemp("empty") / "index"
    ws.create(folder, "wave-tiny").close()
    return folder


@pytest.fixture
def index(empty: Path, tmp_path: Path) -> Path:
    """An empty index."""
    return Path(shutil.copytree(empty, tmp_path / "index"))


@pytest.fixture
def client(index: Path, tmp_path: Path) -> Iterator[TestClient]:
    with served(index, tmp_path / "cache") as it:
        yield it


def add_endless(media: Path) -> None:
    """Add a sound that takes hours to read, of which nothing lies on the disk."""
    write_sound(media / "zz.wav", 1)
    os.truncate(media / "zz.wav", ENDLESS_BYTES)


def start(client: httpx.Client, *paths: Path, **options: Any) -> str:
    """Start a run, and return the address of its job."""
    response = client.post("/api/index/jobs", json={"paths": [str(path) for path in paths] or None, **options})
    assert response.status_code == 202, response.text
    return f"/api/index/jobs/{response.json()['id']}"


@dataclass(frozen=True)
class Event:
    number: int
    kind: str
    data: dict[str, Any]


def events(lines: Iterator[str]) -> Iterator[Event | str]:
    """The events of a stream; a comment is its text."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line.startswith(":"):
            yield line
        elif line:
            fields[name] = value
        elif fields:
            yield Event(int(fields["id"]), fields["event"], json.loads(fields["data"]))
            fields = {}


def followed(client: httpx.Client, job: str, after: int = 0) -> list[Event]:
    """All events of a run, to its end."""
    response = client.get(f"{job}/events", headers={"Last-Event-ID": str(after)})
    assert response.headers["content-type"].startswith("text/event-stream")
    return [event for event in events(iter(response.text.split("\n"))) if isinstance(event, Event)]


def test_a_run_is_followed_to_its_end_and_found_by_searches(client: TestClient, media: Path) -> None:
    before = client.get("/api/health").json()["index_version"]
    job = start(client, media)
    seen = followed(client, job)
    assert {event.kind for event in seen} == {"job", "progress", "skipped"}
    assert [event.number for event in seen] == sorted({event.number for event in seen})
    (skipped,) = (event.data for event in seen if event.kind == "skipped")
    assert skipped["path"] == str(media / "broken.mp4")
    assert skipped["cause"]
    assert skipped["remedy"]
    progress = [event.data for event in seen if event.kind == "progress"][-1]
    assert (progress["stage"], progress["files_total"], progress["files_done"]) == ("done", 2, 2)
    last = seen[-1]
    assert (last.kind, last.data["state"], last.data["skipped"]) == ("job", "done", 1)
    assert last.data["paths"] == [str(media)]
    assert last.data["began"] <= last.data["ended"]
    report = last.data["report"]
    assert (report["indexed"], report["skipped"], report["segments"]) == (1, 1, {"text": 1})
    assert client.get(job).json() == last.data
    assert client.get("/api/index/jobs").json() == {"jobs": [last.data]}

    assert client.get("/api/health").json()["index_version"] > before
    found = client.post("/api/search", json={"terms": [{"text": "the moon"}]}).json()["hits"]
    assert [hit["name"] for hit in found] == ["note.txt"]
    assert client.get("/api/index").json()["folders"] == [
        {"path": str(media), "files": 1, "skipped": 1, "exclude": [], "max_duration_s": None}
    ]
    (group,) = client.get("/api/index/skipped").json()["groups"]
    assert group == {**{name: skipped[name] for name in ("cause", "remedy")}, "count": 1, "files": [skipped]}

    # Who comes back gets what was missed and still holds; who has missed nothing is told not to ask again.
    (number,) = (event.number for event in seen if event.kind == "skipped")
    assert followed(client, job, after=number - 1) == [
        *(event for event in seen if event.number == number),
        *([event for event in seen if event.kind == "progress"][-1], last),
    ]
    assert [event.kind for event in followed(client, job, after=number)] == ["progress", "job"]
    assert client.get(f"{job}/events", headers={"Last-Event-ID": str(last.number)}).status_code == 204


def test_all_folders_of_the_index_are_indexed_again(client: TestClient, media: Path) -> None:
    assert client.post("/api/index/jobs", json={}).json()["error"]["message"] == "the index has no folders yet"
    followed(client, start(client, media))
    again = followed(client, start(client))[-1].data
    assert (again["report"]["indexed"], again["report"]["unchanged"], again["skipped"]) == (0, 1, 0)
    assert again["report"]["skipped"] == 1  # of the earlier run
    (media / "tmp.txt").write_text("not to be found")
    last = followed(client, start(client, retry=True, exclude=["tmp.*"]))[-1].data
    assert (last["report"]["indexed"], last["report"]["unchanged"], last["skipped"]) == (0, 1, 1)
    last = followed(client, start(client))[-1].data
    assert (last["exclude"], last["report"]["indexed"]) == (None, 0), "they are remembered"
    assert [job["id"] for job in client.get("/api/index/jobs").json()["jobs"]][::2] == [last["id"], again["id"]]


def test_a_failure_is_reported_with_its_remedy(client: TestClient, index: Path, media: Path) -> None:
    with Writer(index):
        job = followed(client, start(client, media))[-1].data
    assert job["state"] == "failed"
    assert job["error"]["message"].startswith(f"{index} is being written by ")
    assert job["error"]["remedy"] == "Wait for it to finish, or stop it."
    missing = followed(client, start(client, media / "missing"))[-1].data
    assert missing["error"]["message"] == f"{media / 'missing'}: No such file or directory"
    assert missing["report"] is None


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ids of the processes of runs that were started."""
    started: list[int] = []
    real = job_process.start

    def start_and_list(run: job_process.IndexRun) -> Any:
        process, connection = real(run)
        started.append(process.pid)
        return process, connection

    monkeypatch.setattr(job_process, "start", start_and_list)
    return started


def is_stopped(process_id: int) -> bool:
    return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def wait_until_stopped(process_id: int) -> None:
    """A signal takes effect when the process gets its next turn."""
    while not is_stopped(process_id):
        os.sched_yield()


def until(stream: Iterator[Event | str], wanted: Callable[[dict[str, Any]], bool], kind: str = "job") -> dict[str, Any]:
    """The data of the first event of a kind that is wanted."""
    return next(
        event.data for event in stream if isinstance(event, Event) and event.kind == kind and wanted(event.data)
    )


def test_a_run_is_paused_resumed_and_cancelled_and_what_is_complete_stays(
    index: Path, media: Path, tmp_path: Path, runs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    add_endless(media)
    monkeypatch.setattr(jobs, "MAX_LISTENERS", 1)
    monkeypatch.setattr(job_routes, "HEARTBEAT_S", 0.05)
    with listening(index, tmp_path / "cache") as (client, _):
        job = start(client, media)
        busy = client.post("/api/index/jobs", json={"paths": [str(media)]})
        assert busy.status_code == 409
        assert busy.json()["error"]["message"] == "the index is being updated already"
        with client.stream("GET", f"{job}/events") as response:
            stream = events(response.iter_lines())
            until(stream, lambda progress: progress["files_done"] == 2, "progress")
            assert client.get(f"{job}/events").status_code == 429
            assert client.post(f"{job}/pause").json()["state"] == "paused"
            wait_until_stopped(runs[0])
            until(stream, lambda job: job["state"] == "paused")
            assert ": ping" in stream
            elapsed_s = client.get(job).json()["progress"]["elapsed_s"]
            assert client.post(f"{job}/pause").json()["progress"]["elapsed_s"] == elapsed_s
            assert client.post(f"{job}/resume").json()["state"] == "running"
            assert not is_stopped(runs[0])
            client.post(f"{job}/pause")
            assert client.post(f"{job}/cancel").json()["state"] == "cancelling"
            ended = until(stream, lambda job: job["ended"] is not None)
            assert list(stream) == []
        assert ended["state"] == "cancelled"
        assert (ended["report"]["indexed"], ended["error"]) == (1, None)
        for change in ("pause", "resume", "cancel"):
            refused = client.post(f"{job}/{change}")
            assert (refused.status_code, refused.json()["error"]["remedy"]) == (409, "Start another one.")
        (media / "zz.wav").unlink()
        report = followed(client, start(client, media))[-1].data["report"]
    assert (report["indexed"], report["unchanged"]) == (0, 1)


def test_the_end_of_the_server_cancels_the_run(index: Path, media: Path, tmp_path: Path, runs: list[int]) -> None:
    add_endless(media)
    with listening(index, tmp_path / "cache") as (client, service):
        job = start(client, media)
        with client.stream("GET", f"{job}/events") as response:
            until(events(response.iter_lines()), lambda progress: progress["files_done"] == 2, "progress")
        client.post(f"{job}/pause")
    (it,) = service.jobs.all()
    it.wait(600)  # the server does not wait so long
    assert it.answer().state == "cancelled"
    assert not Path(f"/proc/{runs[0]}").exists()
    with ws.open(index) as opened:
        assert [file.path.name for file in opened.files() if file.status == "indexed"] == ["note.txt"]


def test_a_run_ends_with_a_server_that_was_killed(index: Path, media: Path) -> None:
    add_endless(media)
    process, connection = job_process.start(job_process.IndexRun(index, (media,)))
    while json.loads(connection.recv_bytes()).get("files_done") != 2:
        pass
    connection.close()
    assert process.wait() == 0
    with ws.open(index) as opened:
        assert [file.path.name for file in opened.files() if file.status == "indexed"] == ["note.txt"]


KILLED = """
import os, pickle, signal, sys
from wave_search import processes

class Ready:
    def __reduce__(self):
        return os.write, (int(process.args[4]), b"\\0\\0\\0\\1!")  # a message to this process

process, connection = processes.start_python(*processes.main_of("wave_search.serve.job_process"))
connection.send_bytes(pickle.dumps(Ready()))
connection.recv_bytes()
processes.pause(process.pid)
print(process.pid, flush=True)
sys.stdin.readline()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_paused_run_does_not_outlive_a_server_that_was_killed() -> None:
    arguments = [sys.executable, "-P", "-c", KILLED]
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE_PARENT)}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(arguments, env=environment, **pipes) as server:
        assert server.stdout is not None
        process = os.pidfd_open(int(server.stdout.readline()))
        server.communicate("\n")
    try:
        assert server.returncode == -signal.SIGKILL
        assert select.select([process], [], [], 60)[0]
    finally:
        os.close(process)


def test_a_run_that_is_killed_has_failed(client: TestClient, media: Path, runs: list[int]) -> None:
    add_endless(media)
    job = start(client, media)
    os.kill(runs[0], signal.SIGKILL)
    failed = followed(client, job)[-1].data
    assert failed["state"] == "failed"
    assert failed["error"]["message"] == "the process of the run has ended unexpectedly (signal 9)"


def test_pausing_stops_whatever_a_process_has_started() -> None:
    script = "sleep 1000 & setsid sleep 1000 & echo $! $(jobs -p); wait"
    with subprocess.Popen(["bash", "-c", script], stdout=subprocess.PIPE, text=True) as shell:
        assert shell.stdout is not None
        everything = {shell.pid, *map(int, shell.stdout.readline().split())}
        processes.pause(shell.pid)
        for one in everything:
            wait_until_stopped(one)
        processes.resume(shell.pid)
        stopped = [is_stopped(one) for one in everything]
        for one in everything:
            os.kill(one, signal.SIGKILL)
    assert stopped == [False] * 3


def test_which_folders_may_be_indexed(index: Path, media: Path, tmp_path: Path) -> None:
    (tmp_path / "allowed" / "below").mkdir(parents=True)
    (tmp_path / "allowed" / "link").symlink_to(media)
    (tmp_path / "allowed" / "below" / "note.txt").write_text("here")
    allowed = tmp_path / "allowed"
    with served(index, tmp_path / "cache", allow_index=(allowed,)) as client:
        assert client.get("/api/index").json()["allowed"] == [str(allowed)]
        for path in (media, allowed / "link", allowed / ".." / "media", tmp_path, "/", f"{allowed}2"):
            response = client.post("/api/index/jobs", json={"paths": [str(path)]})
            assert (response.status_code, path) == (403, path)
            assert "--allow-index" in response.json()["error"]["remedy"]
        for path in ("allowed", "", "../allowed", f"{allowed}/\0", "~nobody-of-this-name/x"):
            response = client.post("/api/index/jobs", json={"paths": [path]})
            assert (response.status_code, path) == (400, path)
        assert client.get("/api/index/jobs").json() == {"jobs": []}
        assert followed(client, start(client, allowed / "below"))[-1].data["state"] == "done"
    # What is in the index may be indexed again by everyone who may use the server.
    with served(index, tmp_path / "cache", token="t" * 16, names=("search.example.org",)) as client:
        client.headers["Authorization"] = f"Bearer {'t' * 16}"
        assert client.get("/api/index").json()["allowed"] == []
        assert client.post("/api/index/jobs", json={"paths": [str(media)]}).status_code == 403
        assert followed(client, start(client, allowed / "below"))[-1].data["report"]["unchanged"] == 1


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}],
)
def test_a_page_of_another_site_starts_nothing(client: TestClient, media: Path, headers: dict[str, str]) -> None:
    body = json.dumps({"paths": [str(media)]})
    for kind in ("application/json", "text/plain"):
        refused = client.post("/api/index/jobs", content=body, headers={**headers, "Content-Type": kind})
        assert refused.status_code == 403
    assert client.get("/api/index/jobs").json() == {"jobs": []}


def test_what_is_not_a_request_is_refused(client: TestClient) -> None:
    for body in ({"path": "/"}, {"paths": []}, {"paths": "/"}, {"paths": ["/"], "max_duration_s": -1}):
        assert client.post("/api/index/jobs", json=body).status_code == 422
    assert client.get("/api/index/jobs/0").status_code == 404
    assert client.get("/api/index/jobs/0/events").status_code == 404
    assert client.post("/api/index/jobs/0/cancel").status_code == 404
