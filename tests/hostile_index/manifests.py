"""Manifests, lists of checksums and small files with a number, a name or a structure that cannot be meant."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

from tests.hostile_index.edits import DEEP, FAR, content, edit_manifest, newest_manifest, with_entries
from wave_search.files import digest
from wave_search.models.wave.clips import SAMPLING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.hostile_index.edits import Builder


def _checksums(**files: str) -> Builder:
    """Add names to the newest list of checksums, and sign the manifest again."""

    def build(index: Path, _home: Path) -> None:
        path = max((index / "checksums").glob("*.json"))
        content = json.loads(path.read_bytes())
        content["files"].update({name.replace("__", "/"): value for name, value in files.items()})
        path.write_text(json.dumps(content))
        signature = digest(path.read_bytes())
        edit_manifest(index, lambda state: state["table_checksums"].update(digest=signature))

    return build


def _model(**entries: Any) -> Builder:
    return lambda index, _home: edit_manifest(index, lambda state: state["model"].update(entries))


def _renumbered(index: Path, version: int) -> None:
    edit_manifest(index, lambda state: state.update(version=version))
    newest_manifest(index).rename(index / "manifest" / f"{version:012d}.json")


MANIFESTS: dict[str, Builder] = {
    "a deeply nested manifest": content("manifest/*.json", DEEP),
    "a manifest that is deep further down": content("manifest/*.json", b'{"format_version": ' + DEEP + b"}"),
    "a number of 5,000 digits": content("manifest/*.json", b'{"format_version": ' + b"9" * 5000 + b"}"),
    "a sparse manifest of a terabyte": lambda index, _home: os.truncate(newest_manifest(index), 1 << 40),
    "a version of 13 digits": lambda index, _home: (
        shutil.copy(newest_manifest(index), index / "manifest" / "1000000000000.json") and None
    ),
    "the last possible version": lambda index, _home: _renumbered(index, 999_999_999_999),
    "no table versions": with_entries(table_versions={}),
    "a table version that is too large": with_entries(
        table_versions=dict.fromkeys(("files", "contents", "segments", "metadata"), 2**80)
    ),
    "a negative table version": with_entries(
        table_versions=dict.fromkeys(("files", "contents", "segments", "metadata"), -1)
    ),
    "ids that are too large": with_entries(next_segment_id=2**80),
    "a time that is none": with_entries(created="yesterday"),
    "a time in the year 1": with_entries(created="0001-01-01T00:00:00+14:00"),
    "a root with a null character": with_entries(roots=["/media\0"]),
    "a segmentation that is none": lambda index, _home: edit_manifest(
        index, lambda state: state["settings"].update(segmentation="1e-300")
    ),
    "statistics that are not finite": with_entries(
        score_stats=[{"key": {"modality": "audio", "instruction": ""}, "query": "audio", "mean": 1e308, "std": 1e-308}]
    ),
    "statistics that are NaN": lambda index, home: edit_manifest(
        index,
        lambda state: state.update(
            score_stats=[
                {
                    "key": {"modality": "audio", "instruction": ""},
                    "query": "audio",
                    "mean": float("nan"),
                    "std": float("inf"),
                }
            ]
        ),
    ),
    "search parameters that are too large": lambda index, _home: edit_manifest(
        index, lambda state: [one.update(nprobe=2**70, refine_k=2**70) for one in state["tunings"]]
    ),
    "vectors of a billion dimensions": _model(dim=1_000_000_000),
    "vectors of no dimensions": _model(dim=0),
    "sampling of no interval": _model(
        sampling={"policy": "uniform", "numbers": {**SAMPLING.numbers, "frame_interval_s": 0}, "sample_rate_hz": 16000}
    ),
    "sampling of 10^12 frames": _model(
        sampling={"policy": "uniform", "numbers": {**SAMPLING.numbers, "max_frames": 10**12}, "sample_rate_hz": 16000}
    ),
    "sampling at 1e308": _model(
        sampling={
            "policy": "uniform",
            "numbers": {**SAMPLING.numbers, "max_pixels": 1e308, "min_pixels": 1e308},
            "sample_rate_hz": 2**62,
        }
    ),
    "a notice that moves the cursor": _model(notice="\x1b[2J\x1b]0;owned\x07 hello"),
    "checksums of files elsewhere": _checksums(**{f"{FAR}notes.txt": "0" * 32}),
    "checksums of an absolute name": _checksums(**{"/etc/passwd": "0" * 32}),
    "checksums that are nested deeply": content("checksums/*.json", DEEP),
    "a lock of absurd content": content("lock", DEEP),
}
