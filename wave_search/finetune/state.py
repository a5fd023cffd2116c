"""What a run keeps beside its checkpoint, so that it can be gone on with, and with nothing else by mistake."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from wave_search.errors import UsageError
from wave_search.finetune.loop import CHECKPOINT
from wave_search.finetune.rows import Pair, Place, Rejected

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from wave_search.finetune.settings import Settings

_FREE = ("directory", "checkpoint_every", "model")
"""Settings that may change between two starts of a run; of the model its content counts."""


class State:
    """Small files in the directory of a run.

    Args:
        directory: created if need be.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory

    def claim(self, settings: Settings, **identity: str | int) -> None:
        """Make sure that the directory is that of this run. To be called by one process, before the others read.

        What was kept before there was a checkpoint is forgotten: mistakes in settings or data can be mended.

        Args:
            settings: of the run.
            identity: what else must not change: digests of model and data, number of processes.

        Raises:
            UsageError: it holds a run with other settings, or a model that this run did not make.
        """
        mine = {name: value for name, value in asdict(settings).items() if name not in _FREE} | identity
        mine = json.loads(json.dumps(mine, default=str))
        if not (self._directory / CHECKPOINT).exists():
            if (self._directory.parent / "model").exists():
                raise UsageError(
                    f"{self._directory.parent} holds a model of another origin", "Choose another directory."
                )
            for name in ("checked.json", "before.json", "after.json"):
                (self._directory / name).unlink(missing_ok=True)
            self._write("run.json", mine)
            return
        theirs = self._read("run.json") or {}
        changed = [name for name in mine if theirs.get(name) != mine[name]]
        if changed:
            name = changed[0]
            raise UsageError(
                f"{self._directory.parent} holds a run with another {name}: {theirs.get(name)}, not {mine[name]}",
                "Set it back to go on with that run, or choose another directory for a new one.",
            )

    def rejected(self) -> list[Rejected] | None:
        """Rows whose media were found to be of no use; None if nobody has looked yet."""
        rows = self._read("checked.json")
        return None if rows is None else [_rejected(row) for row in rows["rejected"]]

    def keep_rejected(self, rows: Sequence[Rejected]) -> None:
        """Keep what was found."""
        named = [{"file": str(row.place.file), "line": row.place.line, "cause": row.cause} for row in rows]
        self._write("checked.json", {"rejected": named})

    def figures(self, name: str) -> dict[str, float] | None:
        """Figures that were kept under a name."""
        return self._read(f"{name}.json")

    def keep_figures(self, name: str, figures: dict[str, float]) -> None:
        """Keep figures under a name."""
        self._write(f"{name}.json", figures)

    def _read(self, name: str) -> dict[str, Any] | None:
        path = self._directory / name
        if not path.exists():
            return None
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UsageError(f"{path}: not readable ({error})", "Remove the directory, and begin again.") from error
        return content

    def _write(self, name: str, content: dict[str, Any]) -> None:
        """Whole or not at all."""
        temporary = self._directory / f"{name}.tmp"
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        temporary.replace(self._directory / name)


def _rejected(row: dict[str, Any]) -> Rejected:
    from pathlib import Path

    return Rejected(Place(Path(row["file"]), int(row["line"])), row["cause"])


def without(pairs: Sequence[Pair], rejected: Sequence[Rejected]) -> list[Pair]:
    """Those of the pairs whose rows were not rejected."""
    places = {row.place for row in rejected}
    return [pair for pair in pairs if pair.place not in places]
