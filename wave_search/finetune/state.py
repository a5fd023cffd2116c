"""The state files of a run beside its checkpoint, so that it is resumed only with the same settings and data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from wave_search.errors import UsageError
from wave_search.evaluation.datasets.rows import BadRow, Place
from wave_search.files import write_atomic
from wave_search.finetune.loop import CHECKPOINT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wave_search.finetune.data import Pair
    from wave_search.finetune.settings import Settings

_FREE = ("directory", "checkpoint_every", "model")
"""Settings that may change between two starts of a run. The content of the model must not change."""


class State:
    """The state files in the directory of a run.

    Args:
        directory: created if it does not exist.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory

    def claim(self, settings: Settings, **identity: str | int) -> None:
        """Check that the directory belongs to this run. Called by one process before the others read.

        Files from before the first checkpoint are removed, so that settings and data can be corrected until then.

        Args:
            settings: of the run.
            identity: other values that must not change: digests of model and data, number of processes.

        Raises:
            UsageError: the directory contains a run with other settings, or a model of another run.
        """
        given = msgspec.json.decode(msgspec.json.encode(settings, enc_hook=str)) | identity
        mine = {name: value for name, value in given.items() if name not in _FREE}
        if not (self._directory / CHECKPOINT).exists():
            if (self._directory.parent / "model").exists():
                raise UsageError(
                    f"{self._directory.parent} contains a model of another run", "Choose another directory."
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
                f"{self._directory.parent} contains a run with another {name}: {theirs.get(name)}, not {mine[name]}",
                "Restore the value to resume that run, or choose another directory for a new one.",
            )

    def rejected(self) -> list[BadRow] | None:
        """Return the rows whose media cannot be used; None if the media have not been checked."""
        rows = self._read("checked.json")
        return None if rows is None else [_bad_row(row) for row in rows["rejected"]]

    def keep_rejected(self, rows: Sequence[BadRow]) -> None:
        """Write the rows whose media cannot be used."""
        named = [
            {"file": str(row.place.path), "line": row.place.line, "entry": row.place.entry, "cause": row.cause}
            for row in rows
        ]
        self._write("checked.json", {"rejected": named})

    def figures(self, name: str) -> dict[str, float] | None:
        """Read metrics by name; None if there are none."""
        return self._read(f"{name}.json")

    def keep_figures(self, name: str, figures: dict[str, float]) -> None:
        """Write metrics under a name."""
        self._write(f"{name}.json", figures)

    def _read(self, name: str) -> dict[str, Any] | None:
        path = self._directory / name
        if not path.exists():
            return None
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UsageError(f"{path}: not readable ({error})", "Remove the directory, and start again.") from error
        return content

    def _write(self, name: str, content: dict[str, Any]) -> None:
        write_atomic(self._directory / name, (json.dumps(content, indent=1) + "\n").encode())


def _bad_row(row: dict[str, Any]) -> BadRow:
    return BadRow(Place(Path(row["file"]), row["line"], row["entry"]), row["cause"])


def without(pairs: Sequence[Pair], rejected: Sequence[BadRow]) -> list[Pair]:
    """Return the pairs whose rows are not rejected."""
    places = {row.place for row in rejected}
    return [pair for pair in pairs if pair.place not in places]
