"""Builds the model of a folder through the public loading path and runs everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from tests.golden.cases import run_case
from tests.golden.folder import Folder, checksum
from tests.golden.ledger import STAGES, Ledger
from tests.golden.tables import run_tables
from wave_search.models.wave.checkpoint import load_wave

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wave_search.models.wave.network import Wave

_NAME_WIDTH = 28


def load(folder: Folder, directory: Path, ledger: Ledger) -> Wave:
    """Write the folder's checkpoint into `directory`, load it, and compare every weight with the manifest."""
    wrong = folder.write_checkpoint(directory)
    ledger.record("weights", "generated layout", wrong, [])
    wave = load_wave(directory, device="cpu", dtype=torch.float32)
    state = wave.state_dict()
    arrived = {key: checksum(value.numpy()) for key, value in state.items()}
    expected = {key: entry["crc32"] for key, entry in folder.manifest.items() if key != "lm_head.weight"}
    differing = sorted(key for key in arrived.keys() | expected.keys() if arrived.get(key) != expected.get(key))
    ledger.record("weights", "loaded layout", differing, [])
    return wave


def run(folder: Folder, wave: Wave, ledger: Ledger, report: Callable[[str], None]) -> None:
    """Run all cases and all tables."""
    report(_line("case", STAGES))
    for name in folder.cases:
        run_case(folder, wave, name, ledger)
        report(_line(name, [_cell(ledger.worst(stage, name)) for stage in STAGES]))
    for file in folder.unnamed():
        ledger.faults.append((f"cases/{file}", "cases.json does not name it"))
    tables = run_tables(folder, wave, ledger)
    if not folder.cases and not tables:
        ledger.faults.append((str(folder.path), "names no case and no table"))
    if not tables:
        report("no tables in this folder (tables.json)")
    report(_line("tables", [_cell(ledger.worst(stage, "tables")) for stage in STAGES]))
    report(_line("worst", [_cell(ledger.worst(stage)) for stage in STAGES]))
    report(f"losses: largest relative difference {ledger.worst('losses') or 0:.1e}")
    for outcome in ledger.failures():
        report(f"FAILED {outcome.case}: {outcome.name} differs by {outcome.difference:.2e} > {outcome.tolerance:.0e}")
    for case, reason in ledger.faults:
        report(f"FAILED {case}: {reason}")
    for name in ledger.unchecked:
        report(f"FAILED {name} was not compared with anything")
    worst = ledger.worst("embedding")
    verdict = "ok" if ledger.ok else "FAILED"
    failed, unchecked, faults = len(ledger.failures()), len(ledger.unchecked), len(ledger.faults)
    report(
        f"{len(ledger.outcomes)} comparisons, {failed} outside their tolerance, {unchecked} arrays not compared, "
        f"{faults} faults"
    )
    report(f"{len(folder.cases)} cases, {tables} tables, worst embedding difference {worst or 0:.1e}: {verdict}")


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    return "=" if value == 0 else f"{value:.0e}"


def _line(name: str, cells: list[str]) -> str:
    return f"{name:{_NAME_WIDTH}}" + "".join(f"{cell:>10}" for cell in cells)
