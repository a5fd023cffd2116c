"""Shared by all tests."""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from typer.testing import CliRunner

import wave_search
from tests.fork_server import COMMAND, ForkServer, StandIns
from tests.forked_workers import STARTS_PROCESSES, STARTS_RUNS, forked_at
from wave_search.processes import start_python

# A busy machine is not a fault of what is tested.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")
# A shell that runs the tests in its background has Ctrl-C ignored, which would be inherited.
signal.signal(signal.SIGINT, signal.default_int_handler)

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.append(str(CHECKOUT))  # for the recipes, and behind the package that the tests see
PACKAGE_PARENT = Path(wave_search.__file__).resolve().parents[1]
"""Where a new process sees the package that the tests see, installed or not."""
DEMO_MEDIA = CHECKOUT / "demo" / "media"
UNWANTED = ("WAVE_SEARCH_INDEX", "WAVE_SEARCH_DEBUG", "NO_COLOR", "FORCE_COLOR", "COLUMNS")
"""Variables of the environment that change what the command does."""
ODD_NAMES = (b"latin-\xe9.flac", b"new\nline.flac", b"[red]\x1b[31mred.flac")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--installed", action="store_true", help="Fail unless the tests see the installed wheel, not the checkout."
    )


def pytest_configure(config: pytest.Config) -> None:
    package = Path(wave_search.__file__).resolve().parent
    if config.getoption("--installed") and package == CHECKOUT / "wave_search":
        raise pytest.UsageError(f"the tests would run on the sources in {package}, not on the installed package")


@dataclass(frozen=True)
class CommandLine:
    """Runs the command.

    Attributes:
        program: a stand-in that starts with all libraries imported.
        environment: of the command.
    """

    program: Path
    environment: dict[str, str]

    def __call__(self, *arguments: str | os.PathLike[str] | bytes, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run to the end; stdout and stderr are pipes, undecodable bytes are kept."""
        options = {"capture_output": True, "timeout": 300, "encoding": "utf-8", "errors": "surrogateescape", **options}
        return subprocess.run([self.program, *arguments], check=False, env=self.environment, **options)

    def having(self, **environment: str) -> CommandLine:
        """The same with other environment variables."""
        return replace(self, environment={**self.environment, **environment})

    def cold(self) -> CommandLine:
        """Return the command as users run it, in a fresh interpreter."""
        return replace(self, program=COMMAND)


SHARED_SERVER = pytest.StashKey[ForkServer]()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: list[Any]) -> None:
    """Fork the workers of pytest-xdist, too: on a clean clone each would compile all libraries, at the same time."""
    config.stash[SHARED_SERVER] = server = ForkServer(PACKAGE_PARENT)
    for spec in specs:
        spec.python = str(StandIns(server.folder).python)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Let the workers share a server."""
    node.workerinput["fork_server"] = str(node.config.stash[SHARED_SERVER].folder)


def pytest_unconfigure(config: pytest.Config) -> None:
    if SHARED_SERVER in config.stash:
        config.stash[SHARED_SERVER].close()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None]:
    """Look for no garbage in what is imported and collected: half a million objects, and 0.4 CPU seconds each time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish() -> Generator[None]:
    """Show where a process hangs after its last test, and end it; pytest limits the time of tests only."""
    faulthandler.dump_traceback_later(300, exit=True, file=sys.__stderr__)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.fixture(scope="session")
def stand_ins(request: pytest.FixtureRequest) -> Iterator[StandIns]:
    """Programs that start with all libraries imported."""
    if hasattr(request.config, "workerinput"):
        yield StandIns(Path(request.config.workerinput["fork_server"]))
        return
    with closing(ForkServer(PACKAGE_PARENT)) as server:
        yield StandIns(server.folder)


@pytest.fixture(scope="session", autouse=True)
def forked_workers(stand_ins: StandIns) -> Iterator[None]:
    """Fork decoders, and processes of SQL conditions."""
    with pytest.MonkeyPatch.context() as patch:
        for module in STARTS_PROCESSES:
            patch.setattr(f"{module}.start_python", forked_at(stand_ins.folder))
        run = forked_at(stand_ins.folder, "programs", str(stand_ins.python))
        patch.setattr(f"{STARTS_RUNS}.start_python", run)
        yield


@pytest.fixture(scope="session", autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the state of the user who runs the tests out of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture
def fresh_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start them as users do: as children of this process, in a fresh interpreter."""
    for module in STARTS_PROCESSES:
        monkeypatch.setattr(f"{module}.start_python", start_python)


@pytest.fixture(scope="session")
def cli(stand_ins: StandIns, own_state: None) -> CommandLine:
    if not COMMAND.exists():
        pytest.fail("the package is not installed here: run `make test`")
    environment = {name: value for name, value in os.environ.items() if name not in UNWANTED}
    return CommandLine(stand_ins.command, environment)


Called = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> Called:
    """Runs the command in this process, in a folder `cwd`: in a fifth of the time, for wrong use."""

    def run(*arguments: str | os.PathLike[str], cwd: Path = Path()) -> subprocess.CompletedProcess[str]:
        from wave_search.cli import application

        monkeypatch.chdir(cwd)
        result = CliRunner(env=dict.fromkeys(UNWANTED)).invoke(application(), list(map(os.fspath, arguments)))
        return subprocess.CompletedProcess(arguments, result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture(scope="session")
def small_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few real media, some with awkward names, and one file that is damaged."""
    folder = tmp_path_factory.mktemp("library")
    for name in ("sounds/dog-100032.flac", "sounds/frog.flac", "videos/sintel_snow.mp4", "images/moon.jpg"):
        shutil.copy(DEMO_MEDIA / name, folder)
    for name, source in zip(ODD_NAMES, ("owl_hoot", "pigeon", "zipper"), strict=True):
        shutil.copy(DEMO_MEDIA / "sounds" / f"{source}.flac", os.path.join(os.fsencode(folder), name))  # noqa: PTH118
    (folder / "notes.txt").write_text("The moon is full tonight.")
    video = (DEMO_MEDIA / "videos" / "bbb_apple.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(video[:400])
    (folder / "table.csv").write_text("not,media")
    return folder


@dataclass(frozen=True)
class Indexed:
    """A run of `wave-search index`."""

    path: Path
    run: subprocess.CompletedProcess[str]
    report: dict[str, Any]


@pytest.fixture(scope="session")
def indexed(cli: CommandLine, small_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Indexed:
    """How `small_library` was indexed."""
    folder = tmp_path_factory.mktemp("indexed")
    index, report = folder / "index", folder / "report.json"
    options = ["--index", index, "--model", "wave-tiny", "--workers", "1", "--report", report]
    run = cli("index", small_library, *options)
    assert report.exists(), run.stderr
    return Indexed(index, run, json.loads(report.read_text()))


@pytest.fixture(scope="session")
def small_index(indexed: Indexed) -> Path:
    """An index of `small_library`; not to be changed."""
    return indexed.path
