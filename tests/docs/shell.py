"""A small shell: `wave-search` goes to the `cli` fixture, all other programs to sh. The documents need no more."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import soundfile

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = "wave-search"
BUILD = ["index", "demo/media"]
"""The command that builds the index of the examples. It is run once."""
IN_ORDER = ["--workers", "1"]
"""How `index` is run, so that segments mostly have the same ids each time: `z` depends on which of them are drawn by
id. Each decoder also takes 0.3 CPU seconds to start."""
SOUNDS = {"dog.wav": "sounds/dog-100032.flac", "rain.wav": "sounds/rain-73260.flac"}
COPIES = {"clip.mp4": "videos/bbb_meadow.mp4", "photo.jpg": "images/balloon.jpg"}
FOLDERS = {"Videos": "scenes", "Sounds": "sounds"}
"""What the examples find beside the demo media, and in the home directory."""
_TERMINAL = {"TTY_COMPATIBLE": "1", "TTY_INTERACTIVE": "0", "TERM": "dumb", "COLUMNS": "120", "LINES": "50"}
_PIPE = {"TTY_COMPATIBLE": "0"}
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)


@dataclass(frozen=True)
class Ran:
    """What a command wrote and returned."""

    stdout: str
    stderr: str
    code: int


@dataclass
class Shell:
    """A working directory, an environment, and the index that is found there at first."""

    cli: Any
    folder: Path
    media: Path
    """Copied to `demo/media`."""
    index: Path | None = None
    """A copy of the built index, to begin with."""
    built: Ran | None = None
    """How it was built."""
    environment: dict[str, str] = field(default_factory=dict)
    has_built: bool = False
    """Whether the page has built the index, in appearance: later it is updated in earnest."""

    def begin(self) -> None:
        """Restore what a page finds: the demo media, files under short names, and the built index if there is one."""
        self.environment = {"HOME": str(self.folder / "home")}
        if self.folder.exists():
            shutil.rmtree(self.folder)
        media = shutil.copytree(self.media, self.folder / "demo" / "media")
        for name, source in COPIES.items():
            shutil.copy(media / source, self.folder / name)
        for name, source in SOUNDS.items():
            samples, rate_hz = soundfile.read(media / source)
            soundfile.write(self.folder / name, samples, rate_hz)
        (self.folder / "home").mkdir()
        for name, source in FOLDERS.items():
            (self.folder / "home" / name).symlink_to(media / source)
        self.has_built = False
        self._restore_index()

    def _restore_index(self) -> None:
        if self.index is not None:
            shutil.rmtree(self.folder / ".wave-search", ignore_errors=True)
            shutil.copytree(self.index, self.folder / ".wave-search")

    def build(self) -> None:
        """Build the index that the folder has from now on."""
        self.begin()
        built = self.run(" ".join([PROGRAM, *BUILD]))
        assert built.code == 0, built.stderr[:1000]
        self.index = self.folder.with_name("index")
        shutil.copytree(self.folder / ".wave-search", self.index)
        self.built = built

    def run(self, command: str) -> Ran:
        """Run a pipeline. Its stderr is that of all its parts, its exit code that of the last."""
        exported = re.fullmatch(r"export (.+)", command)
        if exported:
            for word in self._words(exported[1]):
                name, _, value = word.partition("=")
                self.environment[name] = value
            return Ran("", "", 0)
        written, _, target = _cut(command, ">")
        if PROGRAM in written.rpartition(" | ")[2]:
            command = written
        else:
            target = ""  # sh writes the file
        parts = []
        while command:
            part, _, command = _cut(command, "|")
            parts.append(part)
        stdout, stderr, code = "", "", 0
        for place, part in enumerate(parts):
            ends_in_pipe = place < len(parts) - 1 or bool(target)
            ran = self._run_part(part, None if place == 0 else stdout, shown=not ends_in_pipe)
            stdout, stderr, code = ran.stdout, stderr + ran.stderr, ran.code
        if target:
            (self.folder / self._words(target)[0]).write_text(stdout, encoding="utf-8", errors="surrogateescape")
            stdout = ""
        return Ran(stdout, stderr, code)

    def _run_part(self, part: str, given: str | None, *, shown: bool) -> Ran:
        words, environment = part.split(), dict(self.environment)
        while words and (assigned := _ASSIGNMENT.fullmatch(words[0])):
            environment[assigned[1]] = assigned[2]
            part = part.split(maxsplit=1)[1]
            words = words[1:]
        if words[:1] != [PROGRAM]:
            ran = subprocess.run(
                ["sh", "-c", part],
                check=False,
                input=given,
                capture_output=True,
                encoding="utf-8",
                cwd=self.folder,
                env={**self.cli.environment, **environment, "PATH": f"{self.cli.program.parent}:{os.environ['PATH']}"},
            )
            return Ran(ran.stdout, ran.stderr, ran.returncode)
        arguments = self._words(part)[1:]
        if arguments == BUILD and self.built is not None and not self.has_built:
            self.has_built = True
            return self.built
        if arguments[:1] == BUILD[:1]:
            arguments += IN_ORDER
        program = self.cli.having(**environment, **(_TERMINAL if shown else _PIPE))
        options = {"input": given or ""} if given is not None else {"stdin": subprocess.DEVNULL}
        done = program(*arguments, cwd=self.folder, **options)
        return Ran(done.stdout, done.stderr, done.returncode)

    def _words(self, part: str) -> list[str]:
        """Let sh expand quotes, globs and variables."""
        script = f"""for word in {part.strip()}; do printf '%s\\0' "$word"; done"""
        done = subprocess.run(
            ["sh", "-c", script],
            check=True,
            capture_output=True,
            encoding="utf-8",
            cwd=self.folder,
            env={**self.cli.environment, **self.environment},
        )
        return done.stdout.split("\0")[:-1]


def _cut(command: str, separator: str) -> tuple[str, str, str]:
    """Split at the first separator that is a word of its own, outside of quotes."""
    quote = ""
    for place, char in enumerate(command):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif command[place : place + 3] == f" {separator} ":
            return command[:place], separator, command[place + 3 :]
    return command, "", ""
