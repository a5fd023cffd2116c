"""Queries, ground truth and timing of `ann.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.ann_engines import BLOCK_ROWS
from benchmarks.ann_ours import TARGETS
from benchmarks.vectors import Library
from wave_search.ann import exact_search

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

K = 10
FILTER_SHARE = 0.01
KINDS = ("self", "cross")


@dataclass(frozen=True, slots=True)
class Data:
    """Items, queries and ground truth."""

    items: NDArray[np.float16]
    queries: dict[str, NDArray[np.float32]]
    truth: dict[str, NDArray[np.int64]]
    allowed_ids: NDArray[np.int64]
    allowed_truth: NDArray[np.int64]
    """For the queries of "cross"."""


def prepare(work: Path, count: int, dim: int, questions: int) -> Data:
    """Generate the items once into a file, and compute the ground truth block by block."""
    path = work / "items.npy"
    library = Library(dim)
    if not path.exists():
        work.mkdir(parents=True, exist_ok=True)
        items = np.lib.format.open_memmap(work / "items.part", "w+", np.float16, (count, dim))
        start = 0
        for block in library.items(count):
            items[start : start + len(block)] = block
            start += len(block)
        del items
        (work / "items.part").rename(path)
    mapped = np.load(path, mmap_mode="r").view(np.ndarray)
    queries = {kind: library.queries(kind, questions, count) for kind in KINDS}
    allowed_ids = np.flatnonzero(np.random.default_rng(1).random(count) < FILTER_SHARE)
    known = work / f"truth-{questions}.npz"
    if not known.exists():
        truth = {kind: _truth(mapped, rows, np.arange(count)) for kind, rows in queries.items()}
        np.savez(known, allowed=_truth(mapped[allowed_ids], queries["cross"], allowed_ids), **truth)
    truth = dict(np.load(known))
    return Data(mapped, queries, truth, allowed_ids, truth["allowed_ids"])


def _truth(items: NDArray[np.float16], rows: NDArray[np.float32], ids: NDArray[np.int64]) -> NDArray[np.int64]:
    scores = np.full((len(rows), K), -np.inf, np.float32)
    best = np.zeros((len(rows), K), np.int64)
    for start in range(0, len(items), BLOCK_ROWS):
        part = rows @ items[start : start + BLOCK_ROWS].astype(np.float32).T
        scores = np.concatenate([scores, part], axis=1)
        best = np.concatenate([best, np.broadcast_to(ids[start : start + part.shape[1]], part.shape)], axis=1)
        kept = np.argpartition(-scores, K - 1, axis=1)[:, :K]
        scores, best = np.take_along_axis(scores, kept, axis=1), np.take_along_axis(best, kept, axis=1)
    return best


def ask(
    search: Any,
    rows: NDArray[np.float32],
    truth: NDArray[np.int64],
    width: int,
    clock: Callable[[], float],
    *,
    allowed_ids: NDArray[np.int64] | None = None,
) -> dict[str, Any]:
    """Run queries one by one; return the recall and the seconds of each."""
    recalls, seconds = [], []
    for row, true in zip(rows, truth, strict=True):
        began = clock()
        found = search(row, K, width, allowed_ids)
        seconds.append(clock() - began)
        recalls.append(len(np.intersect1d(found, true)) / K)
    return {"recall": float(np.mean(recalls)), "seconds": seconds}


def settle(search: Any, engine: Any, data: Data, kind: str, clock: Callable[[], float]) -> dict[float, int]:
    """Return, for each target recall, the first of the ascending widths that reaches it."""
    few = slice(None, getattr(engine, "questions", None))
    found: dict[float, int] = {}
    for width in engine.widths:
        recall = ask(search, data.queries[kind][few], data.truth[kind][few], width, clock)["recall"]
        for target in TARGETS:
            if recall >= target:
                found.setdefault(target, width)
        if len(found) == len(TARGETS):
            break
    return found


def measure(
    opened: dict[str, tuple[Any, Any]], data: Data, rounds: int, clock: Callable[[], float]
) -> list[dict[str, Any]]:
    """Query all engines in turn, `rounds` times, at the settings that reach each target."""
    few = {name: slice(None, getattr(engine, "questions", None)) for name, (engine, _) in opened.items()}
    settled = {
        (name, kind): settle(search, engine, data, kind, clock)
        for name, (engine, search) in opened.items()
        for kind in KINDS
    }
    plan = {(*place, width) for place, widths in settled.items() for width in widths.values()}
    runs: dict[tuple[str, str, int], list[dict[str, Any]]] = {step: [] for step in sorted(plan)}
    for _ in range(rounds):
        for (name, kind, width), each in runs.items():
            part = few[name]
            each.append(ask(opened[name][1], data.queries[kind][part], data.truth[kind][part], width, clock))
    rows = []
    for (name, kind), widths in settled.items():
        for target, width in widths.items():
            each = runs[name, kind, width]
            seconds = np.array([run["seconds"] for run in each])
            row = {"engine": name, "queries": kind, "target": target, "width": width, "recall": each[0]["recall"]}
            row["p50_ms"] = float(np.median(seconds) * 1e3)
            row["p99_ms"] = float(np.median(np.quantile(seconds, 0.99, axis=1)) * 1e3)
            row["qps"] = float(1 / np.median(seconds.mean(axis=1)))
            rows.append(row)
    return rows


def filtered(opened: dict[str, tuple[Any, Any]], data: Data, clock: Callable[[], float]) -> list[dict[str, Any]]:
    """Measure with 1 % of the items allowed: each engine at its widest setting, and an exact scan of these."""
    rows = []
    part = slice(0, 100)
    searches = {name: (engine.widths[-1], search) for name, (engine, search) in opened.items()}
    searches["exact scan of what is allowed"] = (0, _scan(data))
    for name, (width, search) in searches.items():
        try:
            run = ask(
                search,
                data.queries["cross"][part],
                data.allowed_truth[part],
                width,
                clock,
                allowed_ids=data.allowed_ids,
            )
        except NotImplementedError:
            continue
        rows.append({"engine": name, "recall": run["recall"], "p50_ms": float(np.median(run["seconds"]) * 1e3)})
    return rows


def _scan(data: Data) -> Any:
    def search(query: Any, k: int, width: int, allowed_ids: Any) -> NDArray[np.int64]:
        return exact_search(data.items[allowed_ids], allowed_ids, query, k)[1]

    return search
