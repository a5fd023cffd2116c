"""The result of many inputs: counted, printed, and published in RESULTS.md."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.results import Table, machine
from benchmarks.results import publish as publish_section
from tests.crash.library import plan
from tests.crash.rounds import Rounds
from tests.hostile.library import Judgement

SECTION = "Hostile inputs (`make torture`)"
KILLS_SECTION = "Kills of writers (`python -m tests.hostile --inputs 0`)"
"""Of a run without inputs, which leaves the other section as it is."""
DONE = ("indexed", "indexed in part", "left out", "used")
"""Outcomes that are no refusal."""


@dataclass
class Tally:
    """What became of all inputs so far."""

    seed: int
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By family and outcome."""
    violations: list[Judgement] = field(default_factory=list)
    peaks: dict[str, int] = field(default_factory=dict)
    """Peak of memory in bytes, by family."""
    longest_wait_s: float = 0.0
    elapsed_s: float = 0.0
    killed: int = 0

    def add(self, judgement: Judgement) -> None:
        family = judgement.what.partition(":")[0]
        self.outcomes[family, judgement.outcome] += 1
        if judgement.violations:
            self.violations.append(judgement)

    def add_peak(self, family: str, peak_bytes: int) -> None:
        self.peaks[family] = max(self.peaks.get(family, 0), peak_bytes)

    @property
    def peak_bytes(self) -> int:
        return max(self.peaks.values(), default=0)

    @property
    def tried(self) -> int:
        return self.outcomes.total()

    @property
    def refused(self) -> int:
        return sum(count for (_, outcome), count in self.outcomes.items() if outcome not in DONE)

    def line(self, elapsed_s: float) -> str:
        return (
            f"{self.tried} tried, {self.refused} refused, {len(self.violations)} violations, "
            f"peak {self.peak_bytes >> 20} MiB, longest wait {self.longest_wait_s:.1f} s, {elapsed_s:.0f} s"
        )


def kill_writers(seed: int, kills: int) -> tuple[int, list[Judgement]]:
    """Kill writers at random moments. Return how many were killed, and what was not whole afterwards.

    Writers that have ended before their moment do not count.
    """
    memory = Path("/dev/shm")  # noqa: S108 - bringing data to a real disk would take nearly all of the time
    workplace = Path(tempfile.mkdtemp(prefix="crash-", dir=memory if memory.is_dir() else None))
    chance, crash, violations = random.Random(seed), Rounds(workplace), []
    if kills:
        crash.count_moments(plan(seed))
    number = 0
    while crash.killed + len(violations) < kills:
        number += 1
        try:
            crash.at_random(plan(seed + number), chance)
        except AssertionError as error:
            violations.append(Judgement(number, "kill", "lost", (str(error),)))
    shutil.rmtree(workplace)
    return crash.killed, violations


def summary(tally: Tally) -> str:
    lines = [f"{count:6} {family}: {outcome}" for (family, outcome), count in tally.outcomes.most_common()]
    lines += [
        f"violation: seed {tally.seed}, input {judgement.number} ({judgement.what}): {judgement.violations[0]}"
        for judgement in tally.violations
    ]
    return "\n".join([*lines, tally.line(tally.elapsed_s)])


def publish(path: Path, tally: Tally) -> None:
    """Replace the section of a results file."""
    families = dict.fromkeys(family for family, _ in tally.outcomes)
    by_family = Table(
        "By family",
        ("family", "tried", "used or indexed", "in part", "left out", "refused with a cause", "violations", "peak MiB"),
        [row_of(tally, family) for family in families],
    )
    refused = Counter({key: count for key, count in tally.outcomes.items() if key[1] not in DONE})
    causes = Table(
        "Refused, by cause",
        ("family", "cause", "inputs"),
        [(family, cause.replace("|", "/"), str(count)) for (family, cause), count in refused.most_common(60)],
    )
    said = [violation for judgement in tally.violations for violation in judgement.violations]
    about = {
        **machine(threads=2, clock="wall"),
        "seed": str(tally.seed),
        "tried": f"{tally.tried} inputs in {tally.elapsed_s / 60:.0f} min, and {tally.killed} kills of writers",
        "crashes of a run": str(sum("the run ended with" in text for text in said)),
        "hangs over a minute": str(sum("no sign of life" in text for text in said)),
        "files outside of the index touched": str(sum("outside of the index" in text for text in said)),
        "servers called": str(sum("called a server" in text for text in said)),
        "all violations": f"{len(said)}, of which {sum(j.what == 'kill' for j in tally.violations)} after kills",
        "longest wait for a file": f"{tally.longest_wait_s:.1f} s",
        "peak memory": f"{tally.peak_bytes / 2**20:.0f} MiB, of a run and its decoders together",
    }
    if tally.tried:
        publish_section(path, SECTION, about, [by_family, causes])
    else:
        kept = ("date", "cpu", "gpu", "versions", "seed")
        about = {name: about[name] for name in kept if name in about}
        about |= {
            "tried": f"{tally.killed} kills in {tally.elapsed_s / 60:.0f} min",
            "indexes that were not whole, or lacked what was committed": str(len(said)),
        }
        publish_section(path, KILLS_SECTION, about, [])


def row_of(tally: Tally, family: str) -> tuple[str, ...]:
    counts = Counter({outcome: count for (name, outcome), count in tally.outcomes.items() if name == family})
    refused = sum(count for outcome, count in counts.items() if outcome not in DONE)
    wrong = sum(judgement.what.startswith(f"{family}:") for judgement in tally.violations)
    done = counts["indexed"] + counts["used"]
    peak_mib = tally.peaks[family] >> 20
    in_part, left_out = counts["indexed in part"], counts["left out"]
    return (family, *map(str, (counts.total(), done, in_part, left_out, refused, wrong, peak_mib)))
