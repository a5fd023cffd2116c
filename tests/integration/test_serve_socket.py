"""Queries of the command line that a running server answers: the same bytes as without one."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.terminal import Session
from wave_search.cli import app
from wave_search.commands import socket_client
from wave_search.serve import local_socket

if TYPE_CHECKING:
    from tests.conftest import CommandLine

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
    for name in ("XDG_RUNTIME_DIR", "XDG_CACHE_HOME"):
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
            app([*map(str, arguments)], standalone_mode=False)
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
        (local_socket, "AVAILABLE", False),
        (socket_client, "view_of_files", lambda: ["mnt:[1]", 1, 2]),
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
