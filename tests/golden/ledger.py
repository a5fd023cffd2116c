"""The comparisons of a run and their results."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

# First match wins. Tolerances are absolute.
_STAGES = [
    (r"frame_idx|.*_shape|.*grid_thw|.*feature_mask_sum|.*raw_wav.*|audio_each_num|audio_feature_lens", "sizes", 0.0),
    (r".*second_per_grid", "sizes", 0.0),
    (r"in_.*(ids|attention_mask)|avpos_.*ids|.*layout|.*_in_.*(ids|attention_mask)", "tokens", 0.0),
    (r"llm\d+_(position_ids|attention_mask)|avpos_.*", "positions", 0.0),
    (r".*pixel_values.*|vid_.*", "pixels", 2e-6),
    (r"in_mel_.*", "log-mel", 1e-5),
    (r"beats_fbank_norm_.*", "fbank", 5e-5),
    (r"visual_out_.*", "vision", 5e-5),
    (r"audio_tower_out", "audio", 5e-5),
    (r"beats_.*", "beats", 5e-5),
    (r"llm\d+_inputs_embeds.*", "inputs", 5e-5),
    (r"llm\d+_(last_token_by_layer|final_hidden.*)", "hidden", 5e-5),
    (r"mllm_embeds|text_embeds", "embedding", 1e-4),
    (r".*_sims|argmax", "sims", 1e-5),
]
STAGES = list(dict.fromkeys(stage for _, stage, _ in _STAGES))


@dataclass(frozen=True, slots=True)
class Outcome:
    """One comparison."""

    case: str
    name: str
    stage: str
    difference: float
    """Largest absolute difference; infinite if shapes differ or a number is not finite."""
    tolerance: float

    @property
    def ok(self) -> bool:
        return self.difference <= self.tolerance


@dataclass
class Ledger:
    """All comparisons of a run, and the arrays that were not compared."""

    outcomes: list[Outcome] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    faults: list[tuple[str, str]] = field(default_factory=list)
    """Cases that could not be compared, with the reason."""

    @property
    def ok(self) -> bool:
        complete = bool(self.outcomes) and not self.unchecked and not self.faults
        return complete and all(outcome.ok for outcome in self.outcomes)

    @contextmanager
    def guarded(self, case: str) -> Iterator[None]:
        """Record an exception as a fault of the case, so that the others still run."""
        try:
            yield
        except Exception as error:  # a damaged folder fails in numpy, torch, json and zipfile alike
            message = str(error).strip().split("\n", 1)[0]
            self.faults.append((case, message if type(error) is ValueError else f"{type(error).__name__}: {message}"))

    def failures(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if not outcome.ok]

    def worst(self, stage: str, case: str | None = None) -> float | None:
        found = [row.difference for row in self.outcomes if row.stage == stage and case in (None, row.case)]
        return max(found, default=None)

    def record(self, case: str, name: str, got: object, expected: object) -> None:
        stage, tolerance = _stage(name)
        self.outcomes.append(Outcome(case, name, stage, difference(got, expected), tolerance))

    def record_relative(self, case: str, name: str, got: float, expected: float, tolerance: float) -> None:
        self.outcomes.append(Outcome(case, name, "losses", abs(got / expected - 1), tolerance))


class Arrays:
    """The golden arrays of one case, and which of them were compared."""

    def __init__(self, case: str, arrays: dict[str, np.ndarray], ledger: Ledger) -> None:
        self._case, self._arrays, self._ledger = case, arrays, ledger
        self._left = set(arrays)
        self._missing: list[str] = []

    def __contains__(self, name: str) -> bool:
        return name in self._arrays or f"{name}__rows" in self._arrays

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._arrays:
            raise ValueError(f"the folder lacks the array {name}")
        return self._arrays[name]

    def names(self, pattern: str) -> list[str]:
        return sorted({name.split("__")[0] for name in self._arrays if re.fullmatch(pattern, name.split("__")[0])})

    def check_if_recorded(self, name: str, got: object) -> None:
        """Like `check`, for an array that is optional in the folder."""
        if name in self:
            self.check(name, got)

    def check(self, name: str, got: object, unit: float = 1.0) -> None:
        """Compare with an array, whole or as rows and moments. It fails if the folder has no such array.

        `unit` scales the recorded numbers: logits are cosines in units of the temperature.
        """
        if name in self._arrays:
            self._left.discard(name)
            self.record(name, got, self._arrays[name] * unit if unit != 1 else self._arrays[name])
            return
        if name not in self:
            self._missing.append(name)
            return
        values = as_array(got)
        if f"{name}__shape" in self._arrays:
            self._compare(f"{name}__shape", values.shape, f"{name}__shape")
        self._left.discard(f"{name}__row_idx")
        index = self._arrays[f"{name}__row_idx"]
        if len(values) <= index.max():
            values = np.full((index.max() + 1, *values.shape[1:]), np.nan)
        self._compare(f"{name}__rows", values[index], name)
        mean, std = values.mean(0, dtype=np.float64), values.std(0, dtype=np.float64)
        for moment, value in (("mean", mean), ("std", std), ("colmean", mean)):
            if f"{name}__{moment}" in self._arrays:
                self._compare(f"{name}__{moment}", value, name)

    def record(self, name: str, got: object, expected: object) -> None:
        """Compare with a value that is not among the arrays."""
        self._ledger.record(self._case, name, got, expected)

    def close(self) -> None:
        """Report the arrays that nothing was compared with, and the comparisons that had no array."""
        if self._missing:
            self._ledger.faults.append((self._case, f"the folder lacks the arrays {', '.join(self._missing)}"))
        self._ledger.unchecked += [f"{self._case}: {name}" for name in sorted(self._left)]

    def _compare(self, array: str, got: object, name: str) -> None:
        self._left.discard(array)
        self._ledger.record(self._case, name, got, self._arrays[array])


def as_array(value: object) -> np.ndarray:
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


def difference(got: object, expected: object) -> float:
    """Largest absolute difference; values that are NaN on both sides are equal."""
    left, right = as_array(got), as_array(expected)
    if left.dtype.kind in "US" or right.dtype.kind in "US":
        return 0.0 if left.tolist() == right.tolist() else np.inf
    if left.shape != right.shape:
        return np.inf
    if right.dtype == np.float32:
        left = left.astype(np.float32)
    gap = np.atleast_1d(np.abs(left.astype(np.float64) - right.astype(np.float64)))
    gap[np.atleast_1d(np.isnan(left) & np.isnan(right))] = 0
    largest = float(gap.max(initial=0.0))
    return largest if np.isfinite(largest) else np.inf


def _stage(name: str) -> tuple[str, float]:
    for pattern, stage, tolerance in _STAGES:
        if re.fullmatch(pattern, name.removesuffix("__shape")):
            return (stage, tolerance) if not name.endswith("__shape") else ("sizes", 0.0)
    raise ValueError(f"no tolerance is known for {name}")
