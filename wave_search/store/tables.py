"""The Lance tables: everything that knows lancedb.

Lance writes a new version of a table with each append or delete, and keeps the old ones readable. Old versions are not
cleaned up here: readers may be on them.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from wave_search.errors import IndexCorruptError
from wave_search.store.lance_errors import read_errors, write_errors

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

FOLDER = "lance"
FILES, CONTENTS, SEGMENTS, METADATA = "files", "contents", "segments", "metadata"
_NAMES = (FILES, CONTENTS, SEGMENTS, METADATA)
_VALUES_PER_DELETE = 10_000
_NEVER = timedelta(days=36_500)
"""Lance removes versions that are a week old unless told otherwise, and the manifest may name such a one."""
_LAST_NAME = 2**64 - 1
"""Lance names a version by its distance from this, so that the latest comes first."""
HINT = "latest_version_hint.json"
"""The only file of Lance that changes. It is written carelessly, and not believed."""
_NOW = timedelta(milliseconds=1)
_MARGIN = timedelta(hours=2)


def schemas(dim: int) -> dict[str, Any]:
    """Arrow schema of each table, for vectors of `dim`."""
    import pyarrow as pa

    return {
        FILES: pa.schema(
            [
                ("path", pa.string()),  # readable, for filters; a name that is not UTF-8 is approximate here
                ("path_bytes", pa.binary()),
                ("root", pa.binary()),
                ("size_bytes", pa.int64()),
                ("mtime_ns", pa.int64()),
                ("device", pa.uint64()),
                ("content_id", pa.int64()),
                ("status", pa.string()),
                ("cause", pa.string()),
                ("remedy", pa.string()),
            ]
        ),
        CONTENTS: pa.schema(
            [
                ("content_id", pa.int64()),
                ("digest", pa.string()),
                ("kind", pa.string()),
                ("container", pa.string()),
                ("duration_s", pa.float64()),
                ("width", pa.int32()),
                ("height", pa.int32()),
                ("fps", pa.float64()),
                ("video_codec", pa.string()),
                ("audio_codec", pa.string()),
                ("sample_rate_hz", pa.int32()),
                ("channels", pa.int32()),
            ]
        ),
        SEGMENTS: pa.schema(
            [
                ("segment_id", pa.int64()),
                ("content_id", pa.int64()),
                ("modality", pa.string()),
                ("start_s", pa.float64()),
                ("stop_s", pa.float64()),
                ("text", pa.string()),
                ("instruction", pa.string()),
                ("vector", pa.list_(pa.float16(), dim)),
            ]
        ),
        METADATA: pa.schema(
            [
                ("path_bytes", pa.binary()),
                ("digest", pa.string()),
                ("values", pa.string()),  # JSON
            ]
        ),
    }


class Tables:
    """The tables, each at one version."""

    def __init__(self, directory: Path, tables: Mapping[str, Any], pin: Path) -> None:
        self.place = directory / FOLDER
        self._directory = directory
        self._tables = tables
        self._pin = pin

    @classmethod
    def create(cls, directory: Path, dim: int) -> Tables:
        """Make empty tables, over whatever an unfinished creation left.

        Raises:
            IndexStateError: the disk cannot be written.
        """
        with write_errors(directory / FOLDER):
            database = _connect(directory)
            tables = {}
            for name, schema in schemas(dim).items():
                # Lance prints a warning if there is nothing to overwrite.
                mode = "overwrite" if (directory / FOLDER / f"{name}.lance").exists() else "create"
                tables[name] = database.create_table(name, schema=schema, mode=mode)
        return cls(directory, tables, directory)

    @classmethod
    def open(cls, directory: Path, versions: Mapping[str, int], pin: Path) -> Tables:
        """Open for reading.

        Args:
            directory: the index.
            versions: of each table.
            pin: as long as this file is there, nobody removes these versions.

        Raises:
            IndexStateError: the versions were removed.
            IndexCorruptError: a table or its version is missing or damaged.
        """
        with read_errors(directory / FOLDER, pin):
            # lancedb would make the folder.
            if not (directory / FOLDER).is_dir():
                raise FileNotFoundError("there is no such folder")
            database = _connect(directory)
            tables = {name: database.open_table(name) for name in _NAMES}
            for name, table in tables.items():
                table.checkout(versions[name])
        return cls(directory, tables, pin)

    @classmethod
    def open_for_writing(cls, directory: Path, versions: Mapping[str, int], pin: Path) -> Tables:
        """Open, each table put back to its version: later ones were left by a writer that did not commit.

        Raises:
            IndexCorruptError: see `open`.
            IndexStateError: the disk cannot be written.
        """
        try:
            pinned = cls.open(directory, versions, pin)
        except IndexCorruptError:
            # Lance opens the latest version first. After a power failure it may be an empty file.
            if not _drop_later_versions(directory, versions):
                raise
            pinned = cls.open(directory, versions, pin)
        with write_errors(directory / FOLDER):
            for name, table in pinned._tables.items():
                table.checkout_latest()
                if table.version != versions[name]:
                    table.checkout(versions[name])
                    table.restore()
        return pinned

    def versions(self) -> dict[str, int]:
        """The version that each table is at."""
        return {name: table.version for name, table in self._tables.items()}

    def read(self, name: str, columns: Sequence[str], where: str | None = None) -> Any:
        """Read an Arrow table, rows in the order in which they were added unless `where` names them one by one."""
        with read_errors(self.place, self._pin):
            return self._query(name, columns, where).to_arrow()

    def batches(self, name: str, columns: Sequence[str], where: str | None, rows: int) -> Iterator[Any]:
        """Stream Arrow record batches of at most `rows`, in the order in which they were added."""
        with read_errors(self.place, self._pin):
            yield from self._query(name, columns, where).to_batches(rows)

    def take(self, name: str, columns: Sequence[str], places: Sequence[int]) -> Any:
        """Read the rows at ascending, distinct positions as an Arrow table, in their order."""
        with read_errors(self.place, self._pin):
            return self._tables[name].take_offsets(list(places)).select(list(columns)).to_arrow()

    def count(self, name: str, where: str | None = None) -> int:
        """Count rows."""
        with read_errors(self.place, self._pin):
            return int(self._tables[name].count_rows(where))

    def pieces(self) -> int:
        """Of how many pieces the table with most of them consists: each append makes one, until `compact`."""
        with read_errors(self.place, self._pin):
            stats = [table.stats()["fragment_stats"] for table in self._tables.values()]
        return max(int(one["num_small_fragments"]) for one in stats)

    def append(self, name: str, rows: Any) -> None:
        """Add an Arrow table.

        Raises:
            IndexStateError: the disk cannot be written.
        """
        with write_errors(self.place):
            self._tables[name].add(rows)

    def delete(self, name: str, column: str, values: Sequence[int] | Sequence[bytes]) -> None:
        """Delete the rows that have one of `values`.

        Raises:
            IndexStateError: the disk cannot be written.
        """
        with write_errors(self.place):
            for start in range(0, len(values), _VALUES_PER_DELETE):
                self._tables[name].delete(one_of(column, values[start : start + _VALUES_PER_DELETE]))

    def clear(self, name: str) -> None:
        """Delete all rows.

        Raises:
            IndexStateError: the disk cannot be written.
        """
        with write_errors(self.place):
            self._tables[name].delete("true")

    def compact(self) -> bool:
        """Join small pieces of each table, and rewrite what is thinned out by deletions. Rows keep their order.

        Returns:
            Whether there was anything to do.

        Raises:
            IndexStateError: the disk cannot be written.
        """
        versions = self.versions()
        with write_errors(self.place):
            for table in self._tables.values():
                before = 0
                # One pass may leave pieces that the next one joins. When it has nothing to do, it makes no version.
                while table.version != before:
                    before = table.version
                    table.optimize(cleanup_older_than=_NEVER)
        return self.versions() != versions

    def drop_versions(self, kept: Mapping[str, Collection[int]]) -> None:
        """Remove old versions of each table, but for those in `kept`, to which the one that it is at must belong.

        To be called after `compact`, with nothing uncommitted: the newest version is the only one that is sure to stay.

        Raises:
            IndexStateError: the disk cannot be written.
        """
        with write_errors(self.place):
            for name, table in self._tables.items():
                if {*kept[name]} == {table.version}:
                    age = _NOW
                else:
                    # Lance goes by dates, in local time, which may be off by an hour when clocks are put back.
                    made = min(one["timestamp"] for one in table.list_versions() if one["version"] in kept[name])
                    age = max(datetime.now() - made, timedelta(0)) + _MARGIN
                table.optimize(cleanup_older_than=age)

    def _query(self, name: str, columns: Sequence[str], where: str | None) -> Any:
        query = self._tables[name].search().select(list(columns))
        return query.where(where) if where else query


def _drop_later_versions(directory: Path, versions: Mapping[str, int]) -> bool:
    """Remove what was written after the given versions, and tell whether there was anything."""
    later = [
        path
        for name, version in versions.items()
        for path in (directory / FOLDER / f"{name}.lance" / "_versions").glob("[0-9]*.manifest")
        if _LAST_NAME - int(path.stem) > version
    ]
    with write_errors(directory / FOLDER):
        for path in later:
            path.unlink()
    return bool(later)


def one_of(column: str, values: Sequence[int] | Sequence[bytes]) -> str:
    """A filter for the rows whose `column` is one of `values`."""
    literals = (f"X'{value.hex()}'" if isinstance(value, bytes) else str(int(value)) for value in values)
    return f"{column} IN ({', '.join(literals)})"


def _connect(directory: Path) -> Any:
    import lancedb

    return lancedb.connect(str(directory / FOLDER))
