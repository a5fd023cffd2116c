"""The whole pipeline on real files with wave-nano: time by stage, overlap, and a run without changes.

    python benchmarks/indexing.py [--parts stages,unchanged] [--media FOLDER] [--rounds 3] [--unchanged 100000]
                                  [--out FOLDER]

"stages": each is run alone on the same files, then all of them together as `wave-search index` does: one decoder
process and one thread of the model, so that two cores can overlap them. Overlap is the total time divided by that of
the slowest stage: 1 is perfect; the value is meaningless on a busy machine. "unchanged" generates a library of small
texts, few of them different, indexes it once, and indexes it again unchanged.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

import wave_search as ws
from benchmarks.peak import peak_bytes
from benchmarks.results import Table, machine, publish
from wave_search import store
from wave_search.batches import BATCH_CLIPS
from wave_search.files import as_path
from wave_search.indexer import scan
from wave_search.media import DecoderPool, Segmentation, looks_like_media
from wave_search.models import LoadOptions, load
from wave_search.store import ContentRow, FileRow, NewSegment, Settings, Writer
from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wave_search.models import Embedder
    from wave_search.types import Clip

MEDIA = Path(__file__).resolve().parents[1] / "demo" / "media"
SEGMENT = "5"
DIFFERENT_TEXTS = 1_000


class Clock:
    """Seconds by name, over rounds: wall-clock time, and CPU time of this process."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.cpu_s: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def timing(self, name: str) -> Iterator[None]:
        """Time the body of the context."""
        started_s, cpu_s = time.perf_counter(), time.process_time()
        yield
        self.seconds[name].append(time.perf_counter() - started_s)
        self.cpu_s[name].append(time.process_time() - cpu_s)


def stages(media: Path, embedder: Embedder, clock: Clock) -> tuple[int, float]:
    """Run every stage alone, and then the whole. Returns the number of clips and the seconds of audio and video."""
    with TemporaryDirectory() as folder:
        place = Path(folder)
        with clock.timing("scan"):
            areas = scan.resolve([media], place)
            found = scan.scan(areas, [area.path for area in areas], place, ())
        paths = [path for path in map(as_path, found.files) if looks_like_media(path)]
        with clock.timing("decode"):
            clips, media_s = decode(paths, embedder)
        with clock.timing("embed"):
            vectors = embed(embedder, clips)
        with clock.timing("write"):
            write(place / "written", embedder, vectors)
        index = ws.create(place / "index", embedder.spec.name, segment=SEGMENT, workers=1)
        with index:
            # Loading the model is not part of the pipeline; a search loads it for both.
            index._engine.model()
            with clock.timing("all together"):
                index.add([media])
    return len(clips), media_s


def decode(paths: list[Path], embedder: Embedder) -> tuple[list[Clip], float]:
    """Read all files in one decoder process."""
    clips, media_s = [], 0.0
    with DecoderPool(1, embedder.spec.sampling) as decoders:
        for path in paths:
            try:
                info = decoders.identify(path)
                for segment in decoders.segments(path, info, Segmentation.parse(SEGMENT), embedder.spec.modalities):
                    clips.append(segment.clip)
                    media_s += segment.media_s
            except ws.WaveSearchError:
                continue
    return clips, media_s


def embed(embedder: Embedder, clips: list[Clip]) -> list[NewSegment]:
    """Embed all clips in batches as the indexer does."""
    segments = []
    for at in range(0, len(clips), BATCH_CLIPS):
        for vectors in embedder.embed(clips[at : at + BATCH_CLIPS]):
            segments += [NewSegment(modality, None, None, None, vector) for modality, vector in vectors.items()]
    return segments


def write(place: Path, embedder: Embedder, segments: list[NewSegment]) -> None:
    """Store all vectors, a file for each, in one commit."""
    store.create(place, embedder.spec, Settings(SEGMENT, tuple(Modality)))
    with Writer(place) as writer:
        for number, segment in enumerate(segments):
            content_id = writer.put_content(ContentRow(f"{number:032x}", "audio", "wav"), [segment])
            writer.put_file(FileRow(f"/{number}".encode(), b"/", 1, 1, 0, content_id))
        writer.commit()


def unchanged(count: int, rounds: int, clock: Clock) -> None:
    """Index a library twice, and then once per round; the later runs have nothing to do."""
    with TemporaryDirectory() as folder:
        library = Path(folder) / "library"
        for number in range(count):
            sub = library / f"{number // 1000:03d}"
            sub.mkdir(parents=True, exist_ok=True)
            (sub / f"{number % 1000:03d}.txt").write_text(f"note {number % DIFFERENT_TEXTS}")
        with ws.create(Path(folder) / "index", "wave-nano", workers=2) as index, clock.timing("first run"):
            index.add([library])
        for _ in range(rounds):
            with ws.open(Path(folder) / "index") as index, clock.timing("nothing to do"):
                report = index.add([library])
            if report.unchanged != count:
                raise RuntimeError(f"{report.unchanged} files are unchanged, not {count}")


def measure_stages(options: argparse.Namespace) -> dict[str, Any]:
    """Time each stage and the whole, and publish it."""
    embedder = load("wave-nano", LoadOptions(device="cpu"))
    embed(embedder, decode(sorted(options.media.rglob("*.flac"))[:4], embedder)[0])  # the first batch warms up
    clock = Clock()
    for _ in range(options.rounds):
        clips, media_s = stages(options.media, embedder, clock)
    seconds = {name: median(times) for name, times in clock.seconds.items()}
    alone = {name: seconds[name] for name in ("scan", "decode", "embed", "write")}
    overlap = seconds["all together"] / max(alone.values())
    rows = [(name, f"{value:.2f}", f"{value / max(alone.values()):.2f}") for name, value in alone.items()]
    rows.append(("all together", f"{seconds['all together']:.2f}", f"{overlap:.2f}"))
    about = {
        **machine(1, "wall"),
        "library": f"{clips} segments, {media_s:.0f} s of audio and video",
        "peak memory": f"{peak_bytes() / 1e6:.0f} MB",
    }
    title = "One decoder process, one thread of the model"
    publish(options.out / "RESULTS.md", "Indexing", about, [Table(title, ("stage", "seconds", "of the slowest"), rows)])
    return {"about": about, "seconds": clock.seconds, "overlap": overlap}


def measure_unchanged(options: argparse.Namespace) -> dict[str, Any]:
    """Time runs that have nothing to do, and publish it."""
    clock = Clock()
    unchanged(options.unchanged, options.rounds, clock)
    rows = [
        (name, f"{median(clock.seconds[name]):.2f}", f"{median(clock.cpu_s[name]):.2f}")
        for name in ("first run", "nothing to do")
    ]
    about = machine(1, "wall")
    title = f"{options.unchanged:,} files, {DIFFERENT_TEXTS:,} of them different"
    table = Table(title, ("run", "seconds", "CPU seconds of the main process"), rows)
    publish(options.out / "RESULTS.md", "Indexing what is unchanged", about, [table])
    return {"about": about, "seconds": clock.seconds, "cpu_s": clock.cpu_s}


PARTS = {"stages": measure_stages, "unchanged": measure_unchanged}


def main() -> None:
    """Measure, print tables, write RESULTS.md and a JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--media", type=Path, default=MEDIA)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--unchanged", type=int, default=100_000)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    torch.set_num_threads(1)
    path = options.out / "indexing.json"
    record = json.loads(path.read_text()) if path.exists() else {}
    for name in options.parts.split(","):
        record[name] = PARTS[name](options)
        path.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
