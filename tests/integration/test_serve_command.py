"""The command `serve`, with its real server."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import CommandLine


def got(address: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(address, data, headers)) as response:  # noqa: S310
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_address_and_serves_until_it_is_interrupted(
    cli: CommandLine, small_index: Path, tmp_path: Path, ending: signal.Signals
) -> None:
    command = [cli.program, "serve", "--index", small_index, "--port", "0", "--token", "auto"]
    environment = {**cli.environment, "XDG_CACHE_HOME": str(tmp_path)}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, **pipes) as server:
        assert server.stdout is not None
        address, _, token = server.stdout.readline().rstrip("\n").partition("?token=")
        assert address.startswith("http://127.0.0.1:")
        bearer = {"Authorization": f"Bearer {token}"}
        assert got(f"{address}api/health")[0] == 401
        assert got(f"{address}api/health", **bearer)[1]["model_loaded"] is True
        status, found = got(f"{address}api/search", {"terms": [{"text": "the moon"}], "limit": 2}, **bearer)
        assert (status, len(found["hits"])) == (200, 2)
        port = address.rsplit(":", 1)[1].rstrip("/")
        second = cli("serve", "--index", small_index, "--port", port)
        assert second.returncode == 2
        assert second.stderr.splitlines()[-1] == (
            f"error: port {port} of 127.0.0.1 cannot be used (Address already in use). Another program uses it: choose "
            "another one with --port, or --port 0 for any free one."
        )
        server.send_signal(ending)
        output, errors = server.communicate(timeout=60)
    assert (server.returncode, output, errors.splitlines()[-1]) == (0, "", "stopped")
    assert (tmp_path / "wave-search" / "previews").is_dir()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--host", "0.0.0.0"], "a server on 0.0.0.0 can be reached from other machines, and needs a token"),  # noqa: S104
        (["--token", "short"], "a token has at least 16 letters, digits, - and _"),
        (["--host", "no.such.host.invalid", "--token", "auto"], "no.such.host.invalid is not an address"),
        (["--index", "missing"], "there is no index at "),
    ],
)
def test_options_that_cannot_be_are_errors(
    cli: CommandLine, small_index: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    run = cli("serve", "--index", small_index, *options, cwd=tmp_path)
    assert run.returncode in (1, 2)
    assert run.stderr.splitlines()[-1].startswith(f"error: {message}")
