"""The Lance tables. The only module that uses lance, the library that LanceDB is built on.

Lance writes a new version of a table with each append or delete, and keeps the old ones readable. Old versions are
removed only on request, because readers may have opened them.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from wave_search.errors import IndexCorruptError, IndexStateError
from wave_search.store import tiers
from wave_search.store.files import DISTRUST, write_error
from wave_search.store.lance_data import MAX_ROWS
from wave_search.store.lance_manifest import ForeignFieldError, check_manifest
from wave_search.store.schema import NAMES, OPTIONAL, schemas
from wave_search.store.table_checks import (
    FOLDER,
    check_plain,
    check_versions,
    has_versions,
    later_versions,
    version_names,
)
from wave_search.store.table_errors import read_errors, write_errors

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from wave_search.store.files import FileStore

_VALUES_PER_DELETE = 10_000
_FULL_ROWS = 1 << 20
"""A fragment of so many rows is compacted only for its deleted rows."""
_SMALL_ROWS = 100_000
"""Number of rows below which a fragment is small."""
_NOW = timedelta(milliseconds=1)
MARGIN_S = 7200.0
"""Seconds for which the files of a version stay longer than its manifest."""


class Suffix(NamedTuple):
    """The last fragments of a table, which are to be merged."""

    start: int
    """The position of the first."""
    rows: int
    """With deleted ones."""
    files: tuple[str, ...]
    """The names of their files."""


class Tables:
    """The tables, each at one version.

    Attributes:
        place: their location, for messages.
        names: the names of all files when they were opened.
    """

    def __init__(
        self, store: FileStore, tables: Mapping[str, Any], pin: str | None, names: frozenset[str] = frozenset()
    ) -> None:
        self.place = store.url(FOLDER)
        self.names = names
        self._store = store
        self._tables = {**tables}
        self._pin = pin
        self._checked = self.versions()
        """The versions of the tables that are complete; later ones are being written."""

    @classmethod
    def create(cls, store: FileStore, dim: int) -> Tables:
        """Create empty tables, replacing whatever an unfinished creation left.

        Raises:
            IndexStateError: the disk cannot be written.
        """
        with write_errors(store.url(FOLDER)):
            check_plain(store)
            import lance

            tables = {}
            for name, schema in schemas(dim).items():
                # Lance prints a warning if there is nothing to overwrite.
                mode = "overwrite" if any(store.list(f"{FOLDER}/{name}.lance")) else "create"
                tables[name] = lance.write_dataset(schema.empty_table(), _url(store, name), mode=mode)
        return cls(store, tables, None)

    @classmethod
    def open(cls, store: FileStore, dim: int, versions: Mapping[str, int], pin: str) -> Tables:
        """Open for reading.

        Args:
            store: the files of the index.
            dim: of the vectors.
            versions: of each table.
            pin: while this file exists, these versions are not removed.

        Raises:
            IndexCorruptError: a table or its version is missing or damaged, or has other columns.
            IndexStateError: the versions were removed, or cannot be read now.
        """
        try:
            with read_errors(store, pin):
                names, tables = _checked(store, versions), _opened(store, versions)
                found = {name: table.schema for name, table in tables.items()}
        except IndexCorruptError as error:
            # Lance looks at the latest version too, which may be an empty file after a power failure.
            if later_versions(store, versions) and has_versions(store, versions):
                remedy = "Run `wave-search optimize`: it removes what an interrupted run has left."
                raise IndexCorruptError(error.message, remedy) from error
            raise
        for name, expected in schemas(dim).items():
            if not found[name].equals(expected):
                raise IndexCorruptError(f"the table {name} in {store.url(FOLDER)} has other columns", DISTRUST)
        return cls(store, tables, pin, names)

    @classmethod
    def open_for_writing(cls, store: FileStore, dim: int, versions: Mapping[str, int], pin: str) -> Tables:
        """Open for writing. Each table is restored to its version: later ones were left by an uncommitted writer.

        Raises:
            IndexCorruptError: see `open`.
            IndexStateError: as for `open`; or the disk cannot be written.
        """
        try:
            opened = cls.open(store, dim, versions, pin)
        except IndexCorruptError:
            if not (later := later_versions(store, versions)):
                raise
            store.delete(later)
            opened = cls.open(store, dim, versions, pin)
        for name, table in opened._tables.items():
            with opened._writing(name):
                if table.latest_version != versions[name]:
                    table.restore()
        return opened

    def for_reading(self, versions: Mapping[str, int], pin: str) -> Tables:
        """Return the tables at some versions that were checked, by `open` or by `check_written`. See `open`."""
        with read_errors(self._store, pin):
            return Tables(self._store, _opened(self._store, versions), pin)

    def versions(self) -> dict[str, int]:
        """Return the version that each table is at."""
        return {name: table.version for name, table in self._tables.items()}

    def read(self, name: str, columns: Sequence[str], where: str | None = None) -> Any:
        """Read an Arrow table, rows in the order in which they were added unless `where` names them one by one."""
        with self._reading(name):
            return self._complete(name, self._tables[name].to_table(list(columns), filter=where))

    def batches(self, name: str, columns: Sequence[str], where: str | None, rows: int) -> Iterator[Any]:
        """Stream Arrow record batches of at most `rows`, in the order in which they were added."""
        with self._reading(name):
            for batch in self._tables[name].to_batches(list(columns), filter=where, batch_size=rows):
                yield self._complete(name, batch)

    def take(self, name: str, columns: Sequence[str], places: Sequence[int]) -> Any:
        """Read the rows at ascending, distinct positions as an Arrow table, in their order."""
        with self._reading(name):
            return self._tables[name].take(list(places), list(columns))

    def count(self, name: str, where: str | None = None) -> int:
        """Count rows."""
        with self._reading(name):
            return int(self._tables[name].count_rows(where))

    def mergeable(self) -> dict[str, Suffix]:
        """Return the last fragments of tables that `merge` should merge: each append adds one, see `tiers`."""
        found = {}
        for name, table in self._tables.items():
            with self._reading(name):
                fragments = [one.metadata for one in table.get_fragments()]
            if count := tiers.due([one.physical_rows for one in fragments]):
                folder, last = f"{FOLDER}/{name}.lance", fragments[-count:]
                files = (
                    *(f"{folder}/data/{file.path}" for one in last for file in one.files),
                    *(f"{folder}/{one.deletion_file.path(one.id)}" for one in last if one.deletion_file),
                )
                found[name] = Suffix(len(fragments) - count, sum(one.physical_rows for one in last), files)
        return found

    def merge(self, suffixes: Mapping[str, Suffix]) -> None:
        """Merge the last fragments of each table into one. Rows keep their order.

        Raises:
            IndexStateError: the disk cannot be written.
        """
        for name, suffix in suffixes.items():
            with self._writing(name):
                _merge(self._tables[name], suffix.start)

    def fragments(self) -> dict[str, int]:
        """Return the number of small fragments of each table, which `compact` merges."""
        numbers = {}
        for name, table in self._tables.items():
            with self._reading(name):
                numbers[name] = int(table.stats.dataset_stats(_SMALL_ROWS)["num_small_files"])
        return numbers

    def append(self, name: str, rows: Any) -> None:
        """Add an Arrow table.

        Raises:
            IndexStateError: the disk cannot be written.
        """
        with self._writing(name):
            self._tables[name].insert(rows)

    def delete(self, name: str, column: str, values: Sequence[int] | Sequence[bytes]) -> None:
        """Delete the rows that have one of `values`.

        Raises:
            IndexStateError: the disk cannot be written.
        """
        with self._writing(name):
            for start in range(0, len(values), _VALUES_PER_DELETE):
                self._tables[name].delete(one_of(column, values[start : start + _VALUES_PER_DELETE]))

    def clear(self, name: str) -> None:
        """Delete all rows.

        Raises:
            IndexStateError: the disk cannot be written.
        """
        with self._writing(name):
            self._tables[name].delete("true")

    def check_written(self, names: Iterable[str], made: Collection[str]) -> None:
        """Check that new files are complete: Lance does not notice if the end of one could not be written.

        Args:
            names: of all files of the tables.
            made: those that are new.

        Raises:
            IndexStateError: one is not, as on a full disk; or this version of Lance writes what is not known here.
        """
        files = version_names(self._store, names)
        for name, version in self.versions().items():
            folder, written = f"{FOLDER}/{name}.lance", files[name][version]
            try:
                expected = check_manifest(self._store.get(written))
            except ForeignFieldError as error:
                remedy = "Install an earlier version of pylance, or a newer one of wave-search."
                raise IndexStateError(f"{self._store.url(written)} is unknown here: {error}", remedy) from error
            except ValueError as error:
                raise write_error(self._store.url(written), f"{error}; is the disk full?") from error
            for file in {f"{folder}/data/{one}" for one in expected} & {*made}:
                size_bytes = expected[file.rpartition("/")[2]].size_bytes
                found_bytes = self._store.info(file).size_bytes
                if found_bytes != size_bytes:
                    cause = f"{found_bytes:,} of {size_bytes:,} bytes were written; is the disk full?"
                    raise write_error(self._store.url(file), cause)
            if any(one.startswith(f"{folder}/_deletions/") for one in made):
                try:  # they have no size in the manifest, but are read with any column
                    self.read(name, self._tables[name].schema.names[:1])
                except IndexCorruptError as error:
                    raise write_error(self._store.url(f"{folder}/_deletions"), "is the disk full?") from error
        self._checked = self.versions()

    def compact(self) -> bool:
        """Merge small fragments of each table, and those with many deleted rows, with all that follow them.

        Rows keep their order: Lance puts a fragment that it has rewritten behind all others.

        Returns:
            Whether there was anything to do.

        Raises:
            IndexCorruptError: a version of a table is damaged.
            IndexStateError: the disk cannot be written.
        """
        from lance.optimize import Compaction

        self.check_all_versions()  # Lance reads them for it
        versions = self.versions()
        for name, table in self._tables.items():
            with self._writing(name):
                planned = Compaction.plan(table, {"target_rows_per_fragment": _FULL_ROWS}).tasks
                if chosen := {fragment.id for task in planned for fragment in task.fragments}:
                    ids = [fragment.fragment_id for fragment in table.get_fragments()]
                    _merge(table, min(map(ids.index, chosen)))
        return self.versions() != versions

    def drop_versions(self, kept: Mapping[str, Collection[int]]) -> None:
        """Remove old versions of each table, except those in `kept`, which must include the current one.

        Must be called with nothing uncommitted: only the newest version is certain to be kept.

        Raises:
            IndexStateError: the disk cannot be written.
        """
        for name, table in self._tables.items():
            with self._writing(name):
                if {*kept[name]} == {table.version}:
                    age = _NOW
                else:
                    # Lance goes by dates, in local time, which may be off by an hour when clocks are put back.
                    made = min(one["timestamp"] for one in table.versions() if one["version"] in kept[name])
                    age = max(datetime.now() - made, timedelta(0)) + timedelta(seconds=MARGIN_S)
                table.cleanup_old_versions(older_than=age)

    def check_all_versions(self) -> None:
        """Check that all versions of the tables can be read, not only those that are in use.

        Raises:
            IndexCorruptError: one is damaged.
            IndexStateError: one cannot be read now.
        """
        check_versions(self._store, dict.fromkeys(self._tables, 0))
        for name, table in self._tables.items():
            with self._reading(name):
                table.versions()

    def _reading(self, name: str) -> AbstractContextManager[None]:
        """Turn errors of Lance while it reads a table into those of the index."""
        return read_errors(self._store, self._pin, f"{FOLDER}/{name}.lance")

    def _writing(self, name: str) -> AbstractContextManager[None]:
        """Turn errors of Lance while it writes a table into those of the index."""
        return write_errors(self._store.url(f"{FOLDER}/{name}.lance"), lambda: self._read_through(name))

    def _read_through(self, name: str) -> None:
        """Read a table as it was before the present changes. Raises IndexStateError if that fails."""
        with self._reading(name):
            for _ in self._tables[name].checkout_version(self._checked[name]).to_batches():
                pass

    def _complete(self, name: str, rows: Any) -> Any:
        """Return some rows of a table.

        Raises:
            IndexCorruptError: a value is missing in a column that always has one.
        """
        for column in rows.schema.names:
            if column not in OPTIONAL[name] and rows.column(column).null_count:
                raise IndexCorruptError(f"{self.place}/{name}.lance holds rows without {column}", DISTRUST)
        return rows


class _NoPandas:
    """A finder of modules that knows of no pandas."""

    @staticmethod
    def find_spec(name: str, _path: object = None, _target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name=name)


def import_pyarrow_alone() -> None:
    """Import what lance needs of pyarrow without pandas, which pyarrow would import if it is installed: 0.3 s of CPU.

    For programs. To a pyarrow that has not found pandas, a series of pandas is any sequence until `to_pandas`.
    """
    sys.meta_path.insert(0, _NoPandas)
    try:
        import pyarrow.dataset  # noqa: F401
    finally:
        sys.meta_path.remove(_NoPandas)


def _checked(store: FileStore, versions: Mapping[str, int]) -> frozenset[str]:
    """Check what Lance reads, and return the names of all files."""
    names = check_plain(store)
    if not names:
        raise FileNotFoundError("there is no such folder")
    check_versions(store, versions, names)
    return names


def _opened(store: FileStore, versions: Mapping[str, int]) -> dict[str, Any]:
    """Open all tables at their versions."""
    import lance

    return {name: lance.dataset(_url(store, name), version=versions[name]) for name in NAMES}


def _merge(table: Any, start: int) -> None:
    """Rewrite the fragments from a position on as one, or only the last of them if they have too many rows for one."""
    fragments = [one.metadata for one in table.get_fragments()]
    while sum(one.physical_rows for one in fragments[start:]) >= MAX_ROWS:
        start += 1
    rows = sum(one.physical_rows for one in fragments[start:])
    others = [one.id for one in fragments[:start]]
    table.optimize.compact_files(target_rows_per_fragment=rows + 1, excluded_fragment_ids=others)


def one_of(column: str, values: Sequence[int] | Sequence[bytes]) -> str:
    """Return a filter for the rows whose `column` is one of `values`."""
    literals = (f"X'{value.hex()}'" if isinstance(value, bytes) else str(int(value)) for value in values)
    return f"{column} IN ({', '.join(literals)})"


def _url(store: FileStore, name: str) -> str:
    return store.url(f"{FOLDER}/{name}.lance")
