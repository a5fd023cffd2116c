"""Index folders as a stranger may send them, and everything that one does with an index."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import wave_search as ws
from tests.conftest import DEMO_MEDIA
from tests.hostile.damage import ANYWHERE
from tests.hostile.library import BLAME, EXPORTS, Judgement, cause_class
from tests.hostile.sandbox import Sandbox, Watch
from tests.hostile.texts import CELLS, CONDITIONS, NUMBERS, table
from tests.hostile_index import HOSTILE, LINKS
from wave_search.errors import WaveSearchError
from wave_search.render import export
from wave_search.store.manifest import signed

MEDIA = (
    *("sounds/dog-100032.flac", "sounds/frog.flac", "sounds/pigeon.flac", "sounds/zipper.flac"),
    *("images/moon.jpg", "texts/field-notes.md", "scenes/fire-going.mp4"),
)
MIN_SHARD_ROWS = 8
"""So that the small index has a shard."""
THESIS = "thesis.txt"
"""A file that somebody keeps in the folder of the index."""
ABSENT = (
    "lock",
    "cache.sqlite3-journal",
    "shards/image",
    "manifest/.000000000009.json.1.00000000.tmp",
    "lance/x.lance",
)
VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        -1,
        0,
        1 << 31,
        1 << 63,
        1 << 80,
        10**400,
        1e308,
        float("nan"),
        float("-inf"),
        "",
        "..",
        "/",
        "\0",
        "\ud800",
    ),
    *("../../../home/Videos", "x" * 100_000, [], {}, [[[[]]]], "999999999999", "9999999999999", "\x1b[2J", "=1+1"),
)


def make_base(folder: Path) -> Path:
    """A small library and its index, which has a shard, kept hits and embeddings of an instruction."""
    (folder / "media").mkdir(parents=True)
    for name in MEDIA:
        shutil.copy(DEMO_MEDIA / name, folder / "media")
    with ws.create(folder / "index", "wave-tiny", segment="1") as index:
        index.add([folder / "media"], min_shard_rows=MIN_SHARD_ROWS)
        index.search(text="rain", target="audio", instruction="What is heard?", rerank=3)
    (folder / "index" / THESIS).write_text("All that I know.\n")
    return folder / "index"


def parts(index: Path) -> list[str]:
    """The files and folders of an index, in the order of their names without what is random in these."""
    names = [str(path.relative_to(index)) for path in index.rglob("*") if path.name != THESIS]
    return sorted(names, key=lambda name: (re.sub(r"[0-9a-f-]{20,}", "", name), name))


def damage_index(index: Path, home: Path, chance: Random) -> str:
    """Change an index, and return what was done."""
    if chance.random() < 0.4:
        name = chance.choice(list(HOSTILE))
        (index / "cache.sqlite3").unlink()  # some make one of their own
        HOSTILE[name](index, home)
        return name
    damage = chance.choice((replaced, replaced, replaced, damaged_file, forged, forged, swapped, added))
    return f"{damage.__name__}: {damage(index, home, chance)}"


def replaced(index: Path, home: Path, chance: Random) -> str:
    """Something else in place of a file or folder."""
    name = chance.choice([*parts(index), *ABSENT])
    path = index / name
    kinds: dict[str, Callable[[], object]] = {
        "link to a folder": lambda: path.symlink_to(
            home / chance.choice(("", "Videos", "shards", "lance/files.lance"))
        ),
        "link to a file": lambda: path.symlink_to(
            home / chance.choice((".bashrc", "other.db", "letters.db", "000000000001.json"))
        ),
        "link to nothing": lambda: path.symlink_to(home / "new"),
        "link to itself": lambda: path.symlink_to(path.name),
        "link to the rest of it": lambda: path.symlink_to(index),
        "link to a device": lambda: path.symlink_to("/dev/zero"),
        "pipe": lambda: os.mkfifo(path),
        "socket": lambda: bind(path),
        "folder": lambda: (path / "inner").mkdir(parents=True),
        "empty file": path.touch,
        "large file": lambda: path.touch() or os.truncate(path, 1 << 40),
        "nothing": lambda: None,
    }
    kind = chance.choice(list(kinds))
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    kinds[kind]()
    return f"{name} by a {kind}"


def bind(path: Path) -> None:
    here = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as server:  # a short name, as names of sockets have to be
        server.bind(f"/proc/self/fd/{here}/s")
    os.close(here)
    (path.parent / "s").rename(path)


def damaged_file(index: Path, home: Path, chance: Random) -> str:
    path = index / chance.choice([name for name in parts(index) if (index / name).is_file()])
    content = bytearray(path.read_bytes())
    damage = chance.choice(ANYWHERE)
    if content:
        damage(content, chance)
        path.write_bytes(content)
    return f"{path.relative_to(index)}, {damage.__name__}"


def forged(index: Path, home: Path, chance: Random) -> str:
    """A value of a JSON file, with the right digest if it is the manifest."""
    path = index / chance.choice([name for name in parts(index) if name.endswith(".json")])
    if chance.random() < 0.6:
        path = max((index / "manifest").glob("*.json"))
    if chance.random() < 0.15:
        path.write_bytes(
            chance.choice(
                (b"[" * 200_000, b'{"a":' * 200_000, b'{"version": ' + b"9" * 5000 + b"}", b"\xff\xfe", b"null")
            )
        )
        return f"{path.relative_to(index)}, nested or no JSON"
    content = json.loads(path.read_bytes())
    if not isinstance(content, dict):
        return damaged_file(index, home, chance)
    content.pop("digest", None)
    where = forge(content, chance)
    path.write_bytes(signed(content) if path.parent.name == "manifest" else json.dumps(content).encode())
    return f"{path.relative_to(index)}, {where}"


def forge(content: dict[str, Any], chance: Random) -> str:
    """Replace, remove or add a value somewhere in JSON, and return where."""
    places: list[tuple[Any, Any, str]] = []

    def walk(value: Any, path: str) -> None:
        for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
            places.append((value, key, f"{path}.{key}"))
            if isinstance(inner, dict | list):
                walk(inner, f"{path}.{key}")

    walk(content, "")
    if not places:
        return "nothing"
    holder, key, where = chance.choice(places)
    what = chance.choice(("value", "value", "value", "gone", "doubled", "name"))
    if what == "gone":
        del holder[key]
    elif what == "doubled" and isinstance(holder, list):
        holder.insert(key, holder[key])
    elif what == "name" and isinstance(holder, dict):
        holder[chance.choice(("../../home/Videos", "", "/etc/passwd", "x" * 1000, "\0"))] = holder.pop(key)
    else:
        holder[key] = chance.choice((*VALUES, *CELLS, *NUMBERS))
    return f"{where} {what}"


def swapped(index: Path, home: Path, chance: Random) -> str:
    """Two files, each in place of the other, or one twice under names of versions that do not exist."""
    files = [name for name in parts(index) if (index / name).is_file()]
    first, second = chance.sample(files, 2)
    if chance.random() < 0.3:
        second = str(
            Path(first).with_name(
                chance.choice(("999999999999.json", "9999999999999.json", "000000000000.json", "-1.json", "1.json"))
            )
        )
        shutil.copy(index / first, index / second)
        return f"{first} as {second}"
    one, other = (index / first).read_bytes(), (index / second).read_bytes()
    (index / first).write_bytes(other)
    (index / second).write_bytes(one)
    return f"{first} and {second}"


def added(index: Path, home: Path, chance: Random) -> str:
    """Files and folders of somebody else, in the folders of the index."""
    folder = index / chance.choice([name for name in parts(index) if (index / name).is_dir()])
    kind = chance.choice(("files", "links", "deep", "many", "odd name"))
    if kind == "files":
        shutil.copytree(home, folder / "home", symlinks=True)
    elif kind == "links":
        (folder / ("video" if (folder / "audio").exists() else "audio")).symlink_to(home)
    elif kind == "deep":
        with suppress(OSError):
            for depth in range(1, 200):
                (folder / "/".join(["d" * 20] * depth)).mkdir()
    elif kind == "many":
        for number in range(2000):
            (folder / f"{number:012d}.json").touch()
    else:
        Path(os.fsdecode(os.path.join(os.fsencode(folder), b"\xff\n.json"))).touch()  # noqa: PTH118
    return f"{kind} in {folder.relative_to(index) if folder != index else '.'}"


class Uses:
    """What one does with an index; each use must end well or with an error that explains itself.

    Attributes:
        refused: causes for which uses were refused.
        violations: what else happened.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self.refused: list[str] = []
        self.violations: list[str] = []

    def use(self, name: str, work: Callable[[], Any]) -> Any:
        """Return what the work returns, None if it is refused."""
        self._watch.beat()
        try:
            return work()
        except WaveSearchError as error:
            self.refused.append(error.message)
            if BLAME.search(str(error)):
                self.violations.append(f"{name} blames itself: {error}"[:500])
        except OSError as error:
            self.refused.append(error.strerror or "")
            if error.filename is None:  # which the command line would report as its own fault
                self.violations.append(f"{name} raised {error!r}"[:500])
        except Exception as error:
            self.violations.append(f"{name} raised {type(error).__name__}: {str(error)[:300]}{origin(error)}")
        finally:
            self._watch.beat()
        return None

    @property
    def outcome(self) -> str:
        return cause_class(re.sub(r"\S*/\S*", "...", self.refused[0])) if self.refused else "used"


def origin(error: BaseException) -> str:
    """The lines of this package that an error came through, the last ones first."""
    places = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if "wave_search" in code.co_filename:
            places.append(f"{code.co_filename.rpartition('wave_search/')[2]}:{trace.tb_lineno}")
        trace = trace.tb_next
    return f" ({' < '.join(places[::-1][:4])})"


def use_index(index: Path, media: Path, watch: Watch, *, linked: bool) -> tuple[str, list[str]]:
    """Read, search, change and repair an index. Return the outcome and the violations."""
    uses = Uses(watch)
    problems = uses.use("verify", lambda: ws.verify(index))
    if linked and problems == () and not uses.refused:
        uses.violations.append("verify does not report a link")
    opened = uses.use("open", lambda: ws.open(index))
    if opened is not None:
        with opened:
            uses.use("info", opened.info)
            uses.use("files", lambda: list(opened.files("size_bytes >= 0", columns=["fps"])))
            hits = uses.use("search", lambda: opened.search(text="rain", k=100, columns=["fps"])) or []
            excerpts = [export.excerpt_of(hit) for hit in hits]
            for suffix in EXPORTS:
                write = export.format_of(Path(f"hits{suffix}")).write
                uses.use("export", lambda write=write: write(excerpts, "hits"))
            uses.use("where", lambda: opened.search(text="rain", where="duration_s > 1 AND path LIKE '%o%'"))
            uses.use("like", lambda: opened.search(like=hits[:1]) if hits else None)
            uses.use(
                "rerank", lambda: opened.search(text="rain", target="audio", instruction="What is heard?", rerank=3)
            )
            uses.use("duplicates", opened.duplicates)
            uses.use("tag", lambda: opened.tag(["rain", "a dog"]))
            uses.use("remove", lambda: opened.remove([media / "zipper.flac"]))
            uses.use("add", lambda: opened.add([media], min_shard_rows=MIN_SHARD_ROWS, progress=lambda _: watch.beat()))
            uses.use("optimize", lambda: opened.optimize(keep_versions_for_s=0, min_shard_rows=MIN_SHARD_ROWS))
    uses.use("verify", lambda: ws.verify(index))
    if not (index / THESIS).exists():
        uses.violations.append("a file that the index has not made was deleted")
    return uses.outcome, uses.violations


def try_index(sandbox: Sandbox, base: Path, number: int, chance: Random) -> tuple[Judgement, int]:
    """Make and use a hostile index. Return the judgement and the peak of memory."""
    folder = sandbox.fresh()
    index = folder / "index"
    shutil.copytree(base.parent, folder, dirs_exist_ok=True)
    what = damage_index(index, sandbox.home, chance)
    sandbox.accept_home()
    linked = " by a link" in what or (what in LINKS and "hard link" not in what)
    ending = sandbox.run(lambda watch: use_index(index, folder / "media", watch, linked=linked))
    return judgement(number, f"index, {what}", ending.result, ending.failure, ending.violations), ending.peak_bytes


def judgement(number: int, what: str, result: Any, failure: str, touched: tuple[str, ...]) -> Judgement:
    outcome, violations = result or ("ended early", [failure])
    return Judgement(number, what, outcome, (*violations, *touched))


def try_table(sandbox: Sandbox, base: Path, number: int, chance: Random) -> tuple[Judgement, int]:
    """Import a table, and filter by conditions of strangers."""
    folder = sandbox.fresh()
    shutil.copytree(base.parent, folder, dirs_exist_ok=True)
    index = folder / "index"
    suffix, content = table(chance, [str(path) for path in (folder / "media").iterdir()])
    (folder / f"table{suffix}").write_bytes(content)
    conditions = chance.sample(CONDITIONS, 2)

    def work(watch: Watch) -> tuple[str, list[str]]:
        uses = Uses(watch)
        with ws.open(index) as opened:
            report = uses.use("import", lambda: opened.import_metadata(folder / f"table{suffix}"))
            for column in report.columns if report else ():
                name = column.replace('"', '""')
                uses.use("where", lambda name=name: opened.search(text="rain", where=f'"{name}" IS NOT NULL'))
                uses.use("columns", lambda column=column: opened.search(text="rain", columns=[column]))
            for condition in conditions:
                uses.use(
                    f"where {condition[:50]}", lambda condition=condition: opened.search(text="rain", where=condition)
                )
            uses.use("metadata", opened.metadata)
            uses.use("verify", lambda: ws.verify(index))
        return uses.outcome, uses.violations

    ending = sandbox.run(work)
    return judgement(number, f"table{suffix}", ending.result, ending.failure, ending.violations), ending.peak_bytes
