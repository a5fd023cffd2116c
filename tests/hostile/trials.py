"""Inputs by number: what each is, how they are tried together, and which of several is the culprit."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random

from tests.hostile.entries import Entry, Place, put
from tests.hostile.indexes import make_base, try_index, try_table
from tests.hostile.library import Judgement, LibraryRun, run_library
from tests.hostile.models import try_model
from tests.hostile.originals import Originals
from tests.hostile.report import Tally
from tests.hostile.sandbox import Ending, Sandbox
from tests.hostile.server import try_requests
from tests.hostile.surroundings import try_surroundings

BLOCK = 100
"""Inputs that are tried together: files in one library, the others one after another."""
WEIGHTS = {"media": 78, "files": 9, "surroundings": 1, "index": 6, "model": 3, "table": 1, "server": 2}
"""The families of inputs, and how frequent each is."""
LARGEST_KEPT_BYTES = 16 << 20


class Trials:
    """Tries inputs.

    Args:
        root: an empty folder to work in.
        kept: the folder for inputs with violations.
        seed: of all inputs.
        patience_s: how long an input may take.
        families: the only ones to try; empty for all.
    """

    def __init__(self, root: Path, kept: Path, seed: int, patience_s: float, families: frozenset[str]) -> None:
        self._sandbox = Sandbox(root, patience_s)
        (root / "originals").mkdir()
        self._originals = Originals.in_folder(root / "originals")
        self._base = root / "base" / "index"
        self._kept = kept
        self._seed = seed
        self._families = families

    def family(self, number: int) -> str:
        return Random(f"{self._seed} {number} family").choices(list(WEIGHTS), list(WEIGHTS.values()))[0]

    def block(self, numbers: Sequence[int], tally: Tally) -> Iterator[Judgement]:
        """Try some inputs, and yield what became of each."""
        wanted = {number: self.family(number) for number in numbers}
        if self._families:
            wanted = {number: family for number, family in wanted.items() if family in self._families}
        files = [number for number, family in wanted.items() if family in ("media", "files")]
        judgements = list(self._library(files, tally)) if files else []
        for number, family in wanted.items():
            if number not in files:
                judgement, peak_bytes = self._alone(number, family)
                tally.add_peak(family, peak_bytes)
                judgements.append(judgement)
                if judgement.violations:
                    self._keep(judgement, self._sandbox.work)
        for judgement in judgements:
            yield replace(judgement, what=f"{wanted[judgement.number]}: {judgement.what}")

    def _chance(self, number: int) -> Random:
        return Random(f"{self._seed} {number}")

    def _alone(self, number: int, family: str) -> tuple[Judgement, int]:
        chance = self._chance(number)
        if family == "surroundings":
            return try_surroundings(self._sandbox, number, chance)
        if family == "model":
            return try_model(self._sandbox, number, chance)
        if not self._base.exists():
            made = self._sandbox.run(lambda watch: make_base(self._base.parent))
            assert not made.failure, made.failure
        tries = {"index": try_index, "table": try_table, "server": try_requests}
        return tries[family](self._sandbox, self._base, number, chance)

    def _library(self, numbers: Sequence[int], tally: Tally) -> Iterator[Judgement]:
        """Index files together; if the run as a whole fails, halve them until the culprit is alone."""
        entries, ending = self._indexed(numbers)
        self._add_peak(numbers, ending.peak_bytes, tally)
        tally.longest_wait_s = max(tally.longest_wait_s, ending.longest_wait_s)
        run: LibraryRun | None = ending.result
        trouble = [*ending.violations, *([ending.failure] if run is None else run.violations)]
        if trouble and len(numbers) > 1:
            half = len(numbers) // 2
            found = [*self._library(numbers[:half], tally), *self._library(numbers[half:], tally)]
            if not any(judgement.violations for judgement in found):
                found[0] = replace(found[0], violations=(f"with {len(numbers)} inputs: {trouble[0]}",))
            yield from found
            return
        if run is None:
            (number,) = numbers
            judgements: Sequence[Judgement] = [Judgement(number, entries[number].what, "ended early")]
        else:
            self._add_peak(numbers, run.peak_bytes, tally)
            judgements = run.judgements
        for judgement in judgements:
            whole = replace(judgement, violations=(*judgement.violations, *trouble))
            if whole.violations:
                self._keep(whole, self._sandbox.work / "library" / str(whole.number))
            yield whole

    def _indexed(self, numbers: Sequence[int]) -> tuple[dict[int, Entry], Ending]:
        library = self._sandbox.fresh() / "library"
        library.mkdir()
        entries = {}
        for number in numbers:
            chance = self._chance(number)
            place = Place(library / str(number), chance, self._originals, self._sandbox.home, self._sandbox.url)
            entries[number] = put(place, self.family(number))
        chance = Random(f"{self._seed} {numbers[0]} search")
        work = self._sandbox.work
        return entries, self._sandbox.run(lambda watch: run_library(work, entries, watch, chance), as_owner=True)

    def _add_peak(self, numbers: Sequence[int], peak_bytes: int, tally: Tally) -> None:
        for family in {self.family(number) for number in numbers}:
            tally.add_peak(family, peak_bytes)

    def _keep(self, judgement: Judgement, folder: Path) -> None:
        """Keep an input for whoever looks for the fault."""
        place = self._kept / f"{self._seed}-{judgement.number}"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        command = f"python -m tests.hostile --seed {self._seed} --first {judgement.number} --inputs 1"
        text = "\n\n".join([judgement.what, command, *judgement.violations])
        (place / "violation.txt").write_text(f"{text}\n", errors="surrogateescape")
        if folder.exists():
            with suppress(OSError), tarfile.open(place / "input.tar", "w") as archive:
                archive.add(folder, arcname=folder.name, filter=kept_member)


def kept_member(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return member if member.size <= LARGEST_KEPT_BYTES else None
