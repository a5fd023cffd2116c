"""Embedding: WAVE's published script compared with wave-search, on the same random weights.

    python benchmarks/embed.py [--threads 2] [--clock cpu] [--rounds 5] [--out FOLDER]

Speed is measured in one process, both in turn, and reported as the median of the rounds. Memory is the growth of the
peak resident set over that of the loaded and warmed-up model, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from benchmarks.model_fixture import GEOMETRIES, clips, embedder_of
from benchmarks.published import embed_one
from benchmarks.results import Table, machine, publish
from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from wave_search.models.wave.embedder import WaveEmbedder
    from wave_search.types import Clip

    Clock = Callable[[], float]

AUDIO, VIDEO, AV = Modality.AUDIO, Modality.VIDEO, Modality.AV
SETS = {"audio": (AUDIO,), "silent video": (VIDEO,), "audio-visual": (AV,), "mixed": (AUDIO, VIDEO, AV)}
CLIPS = {"tiny": 4, "seven-b/14": 2}
OPEN = """Open, because no GPU was at hand: clips/s, media-seconds per second, MFU, peak memory and stages of the true
7B geometry on a GPU."""
INSTRUCTIONS = [None, "What animal is heard?", "Is there music?", "Where was it filmed?"]
_INDENT = 2


def published(embedder: WaveEmbedder, media: list[Clip], modalities: tuple[Modality, ...]) -> NDArray[np.float32]:
    """(clips, modalities, dim)."""
    return np.stack([[embed_one(embedder, clip, modality) for modality in modalities] for clip in media])


def ours(embedder: WaveEmbedder, media: list[Clip], modalities: tuple[Modality, ...]) -> NDArray[np.float32]:
    """(clips, modalities, dim)."""
    return np.stack([[made[modality] for modality in modalities] for made in embedder.embed(media, modalities)])


CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
WAYS = {"published": published, "ours": ours}


def compare(geometry: str, rounds: int, clock: Clock) -> list[dict[str, object]]:
    """Time both implementations on each set."""
    embedder, media = embedder_of(geometry), clips(CLIPS[geometry])
    rows: list[dict[str, object]] = []
    for name, modalities in SETS.items():
        vectors = {way: run(embedder, media[:1], modalities) for way, run in WAYS.items()}
        times: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(rounds):
            for way, run in WAYS.items():
                started = clock()
                vectors[way] = run(embedder, media, modalities)
                times[way].append(clock() - started)
        memory = {way: peak_growth(geometry, way, name) for way in WAYS}
        speed = {way: len(media) / median(times[way]) for way in WAYS}
        rows.append(
            {
                "geometry": geometry,
                "set": name,
                "published_clips_per_s": speed["published"],
                "ours_clips_per_s": speed["ours"],
                "speed_ratio": speed["ours"] / speed["published"],
                "published_bytes": memory["published"],
                "ours_bytes": memory["ours"],
                "memory_ratio": memory["ours"] / memory["published"],
                "largest_difference": float(np.abs(vectors["ours"] - vectors["published"]).max()),
            }
        )
    return rows


def peak_growth(geometry: str, way: str, name: str) -> int:
    """Return the growth in bytes of the peak resident set when embedding a set in a process with the model loaded."""
    command = [sys.executable, __file__, "--peak-of", geometry, way, name, "--threads", str(torch.get_num_threads())]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def measure_peak(geometry: str, way: str, name: str) -> int:
    """See `peak_growth`; in the process that is measured."""
    embedder, media = embedder_of(geometry), clips(CLIPS[geometry])
    # Warm up with short clips: loads code and weights, but not the memory that the sets need.
    for run in WAYS.values():
        run(embedder, clips(1, duration_s=1.0, height=56, width=56), SETS[name])
    before = _status_bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets the peak
    WAYS[way](embedder, media, SETS[name])
    return _status_bytes("VmHWM") - before


def _status_bytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(field))


def prefix_sharing(geometry: str, rounds: int, clock: Clock) -> list[dict[str, object]]:
    """Time several instructions over one clip against one."""
    embedder, media = embedder_of(geometry), clips(2)
    rows: list[dict[str, object]] = []
    for name, modalities in SETS.items():
        times = {
            count: _times(partial(embedder.embed_each, media, INSTRUCTIONS[:count], modalities), rounds, clock)
            for count in (1, len(INSTRUCTIONS))
        }
        cost = median(times[len(INSTRUCTIONS)]) / median(times[1])
        each = (cost - 1) / (len(INSTRUCTIONS) - 1)
        rows.append(
            {"geometry": geometry, "set": name, "instructions": len(INSTRUCTIONS), "cost": cost, "each_further": each}
        )
    return rows


def _times(run: Callable[[], object], rounds: int, clock: Clock) -> list[float]:
    run()
    times = []
    for _ in range(rounds):
        started = clock()
        run()
        times.append(clock() - started)
    return times


def stages(geometry: str, clock: Clock) -> list[dict[str, object]]:
    """Return the seconds of each stage of one clip without overlap."""
    from benchmarks.stages import split

    return [{"geometry": geometry, **row} for row in split(embedder_of(geometry), clips(1)[0], clock)]


def main() -> None:
    """Measure, print tables, write RESULTS.md and a JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: on a machine that others use, too")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--geometry", choices=GEOMETRIES, action="append")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--peak-of", nargs=3, metavar=("GEOMETRY", "WAY", "SET"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    clock = CLOCKS[arguments.clock]
    if arguments.peak_of:
        print(measure_peak(*arguments.peak_of))
        return
    chosen = arguments.geometry or list(GEOMETRIES)
    found = {
        "machine": machine(arguments.threads, arguments.clock),
        "compare": [row for geometry in chosen for row in compare(geometry, arguments.rounds, clock)],
        "prefix": [row for geometry in chosen for row in prefix_sharing(geometry, arguments.rounds, clock)],
        "stages": [row for geometry in chosen for row in stages(geometry, clock)],
    }
    (arguments.out / "embed.json").write_text(json.dumps(found, indent=_INDENT) + "\n", encoding="utf-8")
    publish(arguments.out / "RESULTS.md", "Embedding", found["machine"], tables(found), OPEN)


def tables(found: dict[str, list[dict[str, object]]]) -> list[Table]:
    """Return the tables of results."""
    mib = 1 << 20
    return [
        Table(
            "Published way against ours (clips of 10 s; the last column is the largest difference of an embedding)",
            (
                "geometry",
                "set",
                "published clips/s",
                "ours clips/s",
                "ratio",
                "published MiB",
                "ours MiB",
                "ratio",
                "difference",
            ),
            [
                (
                    row["geometry"],
                    row["set"],
                    f"{row['published_clips_per_s']:.2f}",
                    f"{row['ours_clips_per_s']:.2f}",
                    f"{row['speed_ratio']:.2f}",
                    f"{row['published_bytes'] / mib:.0f}",
                    f"{row['ours_bytes'] / mib:.0f}",
                    f"{row['memory_ratio']:.2f}",
                    f"{row['largest_difference']:.1e}",
                )
                for row in found["compare"]
            ],
        ),
        Table(
            "Several instructions over one clip (cost of all, in units of one; and of each further one)",
            ("geometry", "set", "instructions", "cost", "each further"),
            [
                (
                    row["geometry"],
                    row["set"],
                    str(row["instructions"]),
                    f"{row['cost']:.2f}",
                    f"{row['each_further']:.3f}",
                )
                for row in found["prefix"]
            ],
        ),
        Table(
            "Stages of one mixed clip, one after the other",
            ("geometry", "stage", "seconds", "share"),
            [
                (row["geometry"], row["stage"], f"{row['seconds']:.3f}", f"{row['share']:.0%}")
                for row in found["stages"]
            ],
        ),
    ]


if __name__ == "__main__":
    main()
