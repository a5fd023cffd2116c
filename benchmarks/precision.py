"""Options that trade precision or start-up time for memory or speed, against float32 on the same random weights.

    python benchmarks/precision.py [--threads 2] [--clock cpu] [--rounds 5] [--out FOLDER]

Options whose package is not installed are left out.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from benchmarks.model_fixture import clips, embedder_of
from benchmarks.results import Table, machine, publish
from wave_search.errors import UsageError
from wave_search.models import LoadOptions, load
from wave_search.models.sources import TINY_DIRECTORY
from wave_search.models.wave.checkpoint import save_wave
from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Callable

OPTIONS: dict[str, dict[str, Any]] = {
    "float32": {},
    "bfloat16": {"dtype": "bfloat16"},
    "8bit (bitsandbytes)": {"quantization": "8bit"},
    "4bit (bitsandbytes, NF4)": {"quantization": "4bit"},
    "int8 (torchao)": {"quantization": "int8"},
    "fp8 (torchao, e4m3)": {"quantization": "fp8"},
}
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
MEDIA = (Modality.AUDIO, Modality.VIDEO, Modality.AV)
CLIPS = 3


def main() -> None:
    """Measure, print a table, write RESULTS.md and a JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: on a machine that others use, too")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--geometry", default="seven-b/14")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with TemporaryDirectory() as folder:
        save_wave(embedder_of(arguments.geometry).wave, Path(folder))
        shutil.copy(TINY_DIRECTORY / "tokenizer.json", folder)
        rows = measure(folder, arguments.rounds, CLOCKS[arguments.clock])
    about = machine(arguments.threads, arguments.clock)
    (arguments.out / "precision.json").write_text(json.dumps({"machine": about, "rows": rows}, indent=2) + "\n")
    table = Table(
        f"Options, geometry {arguments.geometry}: mixed clips/s, and cosine to float32 of {CLIPS * len(MEDIA)} vectors",
        ("option", "clips/s", "decoder MiB", "lowest cosine", "mean cosine"),
        [
            (
                row["option"],
                f"{row['clips_per_s']:.2f}",
                f"{row['decoder_bytes'] / (1 << 20):.1f}",
                f"{row['lowest_cosine']:.6f}",
                f"{row['mean_cosine']:.6f}",
            )
            for row in rows
        ],
    )
    publish(arguments.out / "RESULTS.md", "Precision", about, [table])


def measure(folder: str, rounds: int, clock: Callable[[], float]) -> list[dict[str, Any]]:
    """Return one row for each available option."""
    media = clips(CLIPS)
    reference = None
    rows: list[dict[str, Any]] = []
    for option, settings in OPTIONS.items():
        try:
            embedder = load(folder, LoadOptions(device="cpu", **settings))
        except UsageError as error:
            print(f"left out: {option}: {error}", file=sys.stderr)
            continue
        times = []
        for _ in range(rounds + 1):
            started = clock()
            results = embedder.embed(media, MEDIA)
            times.append(clock() - started)
        vectors = np.stack([made[modality] for made in results for modality in MEDIA])
        reference = vectors if reference is None else reference
        cosines = (vectors * reference).sum(axis=1)
        rows.append(
            {
                "option": option,
                "clips_per_s": CLIPS / median(times[1:]),
                "decoder_bytes": _bytes(embedder.wave.model.layers),
                "lowest_cosine": float(cosines.min()),
                "mean_cosine": float(cosines.mean()),
            }
        )
    return rows


def _bytes(part: torch.nn.Module) -> int:
    """Of the weights as they are stored, also inside torchao's wrappers."""
    total = 0
    for weight in part.parameters():
        names = getattr(weight, "tensor_data_names", None) or []
        inner = [getattr(weight, name) for name in names] or [weight]
        total += sum(tensor.numel() * tensor.element_size() for tensor in inner)
    return total


if __name__ == "__main__":
    main()
