"""Queries of the command line that a running server answers: the same bytes as without one."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import wave_search as ws
from tests.terminal import Session
from wave_search.cli import application
from wave_search.commands import socket_client
from wave_search.serve import local_pipe, local_socket
from wave_search.serve.lifetime import Lifetime
from wave_search.serve.local_pipe import PipeConnection
from wave_search.serve.local_server import LocalServer
from wave_search.serve.local_socket import SocketConnection
from wave_search.serve.options import ServeOptions
from wave_search.serve.server import _local_server

if TYPE_CHECKING:
    from tests.conftest import CommandLine
    from tests.fork_server import StandIns

_LINK = re.compile(r"\x1b\]8;id=\d+;")
"""The number of a link is random."""


@dataclass(frozen=True)
class Served:
    """A server of an index, and how its user runs commands."""

    index: Path
    cli: CommandLine
    process: subprocess.Popen[str]
    address: str

    @property
    def runtime(self) -> Path:
        return Path(self.cli.environment["XDG_RUNTIME_DIR"])


@contextmanager
def serving(cli: CommandLine, index: Path, *options: str, cwd: Path | None = None) -> Iterator[Served]:
    """Serve an index until it is stopped; a new user, whose folders are short enough for sockets."""
    folder = cli.environment.get("XDG_RUNTIME_DIR") or tempfile.mkdtemp(prefix="ws-")
    own = cli.having(XDG_RUNTIME_DIR=folder, XDG_CACHE_HOME=folder, XDG_STATE_HOME=folder)
    command = [cli.program, "serve", "--index", index, "--port", "0", *options]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=own.environment, cwd=cwd, **pipes) as process:
        assert process.stdout is not None
        try:
            yield Served(index, own, process, process.stdout.readline().strip())
        finally:
            process.terminate()
            process.communicate()
    if "XDG_RUNTIME_DIR" not in cli.environment:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def served(cli: CommandLine, small_index: Path) -> Iterator[Served]:
    with serving(cli, small_index) as server:
        yield server


Asked = Callable[..., tuple[int | None, bytes, bytes]]


@pytest.fixture
def asked(served: Served, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Asked:
    """Asks the server alone; the exit code is None if it does not answer."""
    for name in ("XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, served.cli.environment[name])

    def ask(*arguments: str | Path, cwd: Path = Path("/"), **environment: str) -> tuple[int | None, bytes, bytes]:
        monkeypatch.chdir(cwd)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        capfdbinary.readouterr()
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        code = socket_client.query([*map(str, arguments)])
        assert {number: signal.getsignal(number) for number in handlers} == handlers
        return code, *capfdbinary.readouterr()

    return ask


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Asked:
    """Runs the command as it does without a server, in this process."""

    def run(*arguments: str | Path, cwd: Path = Path("/")) -> tuple[int | None, bytes, bytes]:
        monkeypatch.chdir(cwd)
        capfdbinary.readouterr()
        with pytest.raises(SystemExit) as ended:
            application()([*map(str, arguments)], standalone_mode=False)
        assert isinstance(ended.value.code, int)
        return ended.value.code, *capfdbinary.readouterr()

    return run


@pytest.mark.parametrize(
    "arguments",
    [
        ["the", "moon"],
        ["--text", "owl", "--target", "audio", "--json"],
        ["--text", "owl", "--target", "audio", "--paths"],
        ["--text", "owl^0.5", "--not-text", "moon", "-k3", "--columns", "kind,size_bytes,peak_start_s,mtime"],
        ["frog.flac", "--json", "--segments"],
        ["--audio", "frog.flac@0.5-2^2", "--not-similar", "moon.jpg", "--json"],
        ["--similar", "./sintel_snow.mp4", "--per-file", "1", "--dedupe", "0.9"],
        ["--where", "kind = 'audio'", "--json", "--columns", "fps,audio_codec"],
        ["--where", "kind = 'audio'", "-k", "2"],
        ["--where", "kind = 'nothing'"],
        ["owl", "--where", "kind = 'nothing'"],
        ["owl", "--min-z", "99"],
        ["owl", "--where", "no_column = 1"],
        ["owl", "--target", "video", "--like", "99"],
        ["owl", "--json", "--paths"],
        ["--not-text", "owl"],
        ["--where", "1", "--rerank", "3"],
        ["owl", "--rerank", "3"],
        ["owl", "--instruction", "What is heard?", "--rerank", "4", "--target", "audio", "--json"],
        ["owl", "--export", "name.unknown"],
        [b"caf\xc3\xa9 \xff"],
    ],
)
def test_a_server_gives_the_same_answer(
    served: Served, asked: Asked, alone: Asked, small_library: Path, arguments: list[str | bytes]
) -> None:
    typed = ["query", *map(os.fsdecode, arguments), "--index", str(served.index)]
    assert asked(*typed, cwd=small_library) == alone(*typed, cwd=small_library)


@pytest.mark.parametrize(
    "arguments",
    [
        ["query", "--help"],
        ["query", "owl", "--device", "cpu"],
        ["query", "owl", "--dtype", "float32"],
        ["query", "owl", "--model", "wave-nano"],
        ["query", "owl", "--no-such-option"],
        ["query", "owl", "-k", "0"],
        ["query", "--text", "-"],
        ["query", "--text=-"],
        ["query", "--audio", "missing.flac"],
        ["query", "owl.flac", "--instruction", "What is heard?"],
        ["query", "--audio", "/dev/stdin"],
        ["query", "owl", "-k", "1000000"],
        ["--traceback", "query", "owl"],
        ["info"],
        ["query", "--text", "--index", "--index", "elsewhere"],
        [],
    ],
)
def test_what_it_cannot_do_alike_is_left_to_the_command(asked: Asked, served: Served, arguments: list[str]) -> None:
    assert asked(*arguments, WAVE_SEARCH_INDEX=str(served.index)) == (None, b"", b"")


def test_options_have_the_places_that_they_have_elsewhere(
    served: Served, asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = tmp_path / ".wave-search"
    link.symlink_to(served.index)
    code, output, errors = asked("-q", "search", "owl", "-k", "1", "--json", cwd=tmp_path)
    assert (code, errors) == (0, b"")
    assert json.loads(output)["rank"] == 1
    same = ["query", "owl", "-k", "1", "--json", "-q"]
    assert asked(*same, f"--index={link}", cwd=Path("/")) == (0, output, b"")
    assert asked(*same, WAVE_SEARCH_INDEX=str(served.index)) == (0, output, b"")
    assert asked(*same, "--model", "wave-tiny") == (0, output, b"")
    assert asked(*same, WAVE_SEARCH_DEBUG="1") == (None, b"", b"")


def test_hits_are_kept_exported_and_shown_as_a_table(
    served: Served, asked: Asked, alone: Asked, small_library: Path, tmp_path: Path
) -> None:
    query = ["query", "owl", "--target", "audio", "-k", "3", "--index", str(served.index)]
    code, output, _ = asked(*query, "--export", "found.csv", cwd=tmp_path)
    paths = [line.split(b"\t")[-1] for line in output.splitlines()]
    assert (code, (tmp_path / "found.csv").read_bytes().count(b"\r\n")) == (0, 4)
    _, first, _ = asked("query", "--like", "2", "--segments", "-k", "1", "--index", served.index)
    assert len(paths) == 3
    assert asked(*query)[1] == output
    like = ["query", "--like", "2", "--segments", "-k", "1", "--index", str(served.index)]
    assert alone(*like)[1] == first
    tables = []
    for cli in (served.cli, served.cli.having(XDG_RUNTIME_DIR="/nowhere")):
        with Session([cli.program, *query, "--columns", "kind"], cli.environment, cwd=str(small_library)) as session:
            tables.append(_LINK.sub("", session.read_to_end()))
            assert session.wait() == 0
    assert tables[0].rpartition("modality")[2] == tables[1].rpartition("modality")[2]


def test_another_version_another_user_and_another_view_are_not_answered(
    served: Served, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = ["query", "owl", "-k", "1", "-q", "--index", str(served.index)]
    assert asked(*query)[0] == 0
    for module, name, value in [
        (local_socket, "__version__", "0.0.1"),
        (local_socket, "is_same_user", lambda connection: False),
        (local_socket, "HAS_SOCKETS", False),
        (socket_client, "surroundings", lambda: ["mnt:[1]", 1, 2, None]),
    ]:
        with monkeypatch.context() as patch:
            patch.setattr(module, name, value)
            assert asked(*query)[0] is None, name


def test_the_folder_of_the_socket_is_private(served: Served, asked: Asked) -> None:
    folder = served.runtime / "wave-search"
    assert folder.stat().st_mode & 0o777 == 0o700
    query = ["query", "owl", "-k", "1", "-q", "--index", str(served.index)]
    folder.chmod(0o755)
    assert asked(*query)[0] is None, "somebody else may have put the socket there"
    folder.chmod(0o700)
    assert asked(*query)[0] == 0


def test_an_index_that_was_made_again_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The moon is full tonight.")
    with ws.create(tmp_path / "index", "wave-tiny") as first:
        first.add([tmp_path / "a.txt"])
        assert not first.refresh()
        shutil.rmtree(tmp_path / "index")
        (tmp_path / "a.txt").write_text("It rains.")
        with ws.create(tmp_path / "index", "wave-tiny") as second:
            second.add([tmp_path / "a.txt"])
            assert second.version == first.version
        assert first.refresh()
        assert [hit.text for hit in first.search(text="rain")] == ["It rains."]


def server_process(served: Served) -> int:
    """The process that has the socket; `served.process` only stands in for it."""
    connection = local_socket.connect(served.index)
    assert connection is not None
    with closing(connection):
        assert connection.process is not None
        return connection.process


def test_servers_come_and_go(served: Served, asked: Asked, cli: CommandLine, small_index: Path, tmp_path: Path) -> None:
    index = Path(shutil.copytree(small_index, tmp_path / "index"))
    query = ["query", "owl", "-k", "1", "-q", "--json", "--index", str(index)]
    assert asked(*query)[0] is None
    own = cli.having(**{name: served.cli.environment[name] for name in ("XDG_RUNTIME_DIR", "XDG_CACHE_HOME")})

    with serving(own, index) as first:
        found = asked(*query)
        assert found[0] == 0
        again = own("serve", "--index", index, "--port", "0", "--alone")
        assert (again.returncode, again.stdout) == (1, "")
        assert again.stderr.splitlines()[-1] == (
            f"error: {index} is already served at {first.address}. Use that server, or end it first: "
            f"`wave-search serve --stop --index {index}`"
        )
        with serving(own, index) as second:
            assert second.address not in ("", first.address)
            os.kill(server_process(first), signal.SIGKILL)
            first.process.communicate()
            assert asked(*query)[0] is None, "the socket is of a server that was killed"
    stopped = own("serve", "--index", index, "--stop")
    assert (stopped.returncode, stopped.stderr) == (
        1,
        f"error: no server of {index} runs. Name its index with --index DIR.\n",
    )

    with serving(own, index) as third:
        assert asked(*query) == found
        stopped = own("serve", "--index", index, "--stop")
        assert (stopped.returncode, stopped.stdout, stopped.stderr) == (0, "", "stopped\n")
        _, errors = third.process.communicate()
        assert (third.process.returncode, errors.splitlines()[-1]) == (0, "stopped")
    assert asked(*query)[0] is None
    assert asked("query", "owl", "-k", "1", "-q", "--index", served.index)[0] == 0, "others go on"

    with serving(own, index, "--idle-exit", "0.01") as fourth:
        _, errors = fourth.process.communicate()
        assert (fourth.process.returncode, errors.splitlines()[-1]) == (0, "stopped")


def test_a_server_in_the_background_ends_when_it_is_told(
    *,
    served: Served,
    asked: Asked,
    alone: Asked,
    stand_ins: StandIns,
    small_index: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    index, token = Path(shutil.copytree(small_index, tmp_path / "index")), "a-token-of-the-tests"
    monkeypatch.setattr("sys.executable", str(stand_ins.python))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    start = ["serve", "--background", "--port", "0", "--index"]
    code, output, errors = alone(*start, tmp_path / "missing")
    assert (code, output) == (1, b"")
    assert errors.decode().startswith(f"error: there is no index at {tmp_path / 'missing'}")
    assert alone(*start, index, "--host", "1.2.3.4", "--token", token)[:2] == (2, b"")

    monkeypatch.setenv("WAVE_SEARCH_TOKEN", token)
    code, output, errors = alone(*start, index)
    assert (code, errors) == (0, b"")
    address, _, shown = output.decode().strip().partition("?token=")
    assert shown == token
    query = ["query", "owl", "-k", "1", "-q", "--index", index]
    assert asked(*query)[0] == 0
    with ws.connect(output.decode().strip()) as remote:
        assert remote.path == index
    again = alone(*start, index)
    assert again[:2] == (1, b"")
    assert again[2].decode().startswith(f"error: {index} is already served at {address}. ")
    assert alone("serve", "--stop", "--index", index) == (0, b"", b"stopped\n")
    with pytest.raises(ws.WaveSearchError, match="does not answer"):
        ws.connect(output.decode().strip())
    assert asked(*query)[0] is None
    logs = [*(tmp_path / "wave-search").glob("serve-*.log")]
    assert [log.stat().st_mode & 0o777 for log in logs] == [0o600] * 2


def test_a_file_is_sent_to_a_real_server(served: Served, small_library: Path) -> None:
    with ws.connect(served.address) as remote:
        hits = remote.search(audio=small_library / "frog.flac", target="audio", k=1)
        assert [hit.path for hit in hits] == [small_library / "frog.flac"]
        assert [file.path for file in remote.files("kind = 'image'")] == [small_library / "moon.jpg"]


def test_a_folder_that_others_can_enter_is_not_used(
    small_index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    folder = local_socket.socket_path(small_index).parent
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    with pytest.raises(ws.WaveSearchError, match="others can enter"):
        local_socket.make_folder(folder)
    folder.chmod(0o700)
    local_socket.make_folder(folder)
    tmp_path.chmod(0o777)
    with pytest.raises(ws.WaveSearchError, match="or exchange it"):
        local_socket.make_folder(folder)
    folder.rmdir()
    (tmp_path / "other").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "other")
    tmp_path.chmod(0o700)
    with pytest.raises(ws.WaveSearchError, match="others can enter"):
        local_socket.make_folder(folder)


def test_what_is_no_request_gets_no_reply(served: Served, asked: Asked) -> None:
    for line in (b"\n", b"no json\n", b"[1]\n", b"{}\n", b'{"version": "0.1.0"}\n', b"without an end"):
        with closing(SocketConnection(local_socket.socket_path(served.index))) as connection:
            connection.socket.sendall(line)
            connection.socket.shutdown(socket.SHUT_WR)
            assert connection.socket.recv(100) == b"", line
    assert asked("query", "owl", "-k", "1", "-q", "--index", served.index)[0] == 0


def test_a_server_without_a_socket_is_one_for_browsers_only(
    small_index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(local_socket, "socket_path", lambda index: tmp_path / "file" / "wave-search" / "a.sock")
    warnings: list[str] = []
    place = small_index, lambda request, send: None, Lifetime(None)
    assert _local_server(*place, ServeOptions(), warnings.append) is None
    assert warnings[0].startswith(f"the command line cannot use this server: {tmp_path / 'file'}")
    with pytest.raises(ws.WaveSearchError, match="cannot be made"):
        _local_server(*place, ServeOptions(alone=True), warnings.append)


def test_an_idle_server_ends_although_somebody_looks_whether_it_is_there() -> None:
    lifetime, over = Lifetime(0.0), []

    async def app(*_: object) -> None:
        over.append(lifetime.is_over())

    for path in ("/api/library", "/api/health", "/metrics"):
        asyncio.run(lifetime.noted(app)({"type": "http", "path": path}, None, None))  # type: ignore[arg-type,func-returns-value]
    assert over == [False, True, True]


def test_without_unix_sockets_a_pipe_does_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(local_socket, "HAS_SOCKETS", False)
    monkeypatch.setattr(local_pipe, "FAMILY", "AF_UNIX")  # all but the family is as on Windows
    tmp_path.chmod(0o700)
    index, lifetime = tmp_path / "index", Lifetime(None)

    def answer(request: dict[str, Any], send: Callable[[dict[str, Any]], None]) -> None:
        for number in range(request["count"]):
            send({"number": number})

    assert local_socket.connect(index) is None
    assert not local_socket.stop(index)
    with closing(LocalServer(index, answer, lifetime)) as server:
        server.start("http://127.0.0.1:1/")
        path = local_socket.socket_path(index)
        about = path.read_text()
        assert local_socket.address(index) == "http://127.0.0.1:1/"
        with pytest.raises(local_socket.ServedAlreadyError, match="is already served at http"):
            LocalServer(index, answer, lifetime)
        connection = local_socket.connect(index)
        assert connection is not None
        with closing(connection):
            replies = local_socket.replies(connection, {"count": 3})
            assert connection.wait(30)
            assert [reply["number"] for reply in replies] == [0, 1, 2]
        with closing(PipeConnection(path)) as unanswered:
            unanswered.send({"count": 1, "version": "0.0.1"})
            assert [*unanswered.received()] == []
        for other in (about.replace('"key": "', '"key": "00'), "[]", "{", '{"name": "/nowhere", "key": "00"}'):
            path.write_text(other)
            assert local_socket.connect(index) is None, other
        path.write_text(about)
        monkeypatch.setattr(local_socket, "_STOPS_S", 0.01)
        with pytest.raises(ws.WaveSearchError, match="End its process"):
            local_socket.stop(index)  # nothing ends the process of the tests
        assert lifetime.is_over()
    assert local_socket.connect(index) is None
    assert not path.exists()
