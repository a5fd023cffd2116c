"""The Lance tables. The only module that uses lancedb.

Lance writes a new version of a table with each append or delete, and keeps the old ones readable. Old versions are
removed only on request, because readers may have opened them.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from wave_search.errors import IndexCorruptError, IndexStateError
from wave_search.store.files import DISTRUST, RESTORE, write_error
from wave_search.store.lance_data import check_data_file
from wave_search.store.lance_manifest import ForeignFieldError, check_manifest
from wave_search.store.schema import NAMES, OPTIONAL, schemas
from wave_search.store.table_errors import LANCE_FOLDER, read_errors, write_errors

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from wave_search.store.files import FileInfo, FileStore

FOLDER = LANCE_FOLDER
_VALUES_PER_DELETE = 10_000
_NEVER = timedelta(days=36_500)
"""By default Lance removes versions that are a week old, and the manifest may name one of those."""
_LAST_NAME = 2**64 - 1
"""Lance names a version by its distance from this, so that the latest comes first."""
HINT = "latest_version_hint.json"
"""The only Lance file that changes. A crash may leave it incomplete; nothing depends on it."""
_MADE = re.compile(
    rf"{FOLDER}/({'|'.join(NAMES)})\.lance/(data|_versions|_transactions|_deletions)/"
    rf"(([0-9a-f-]+\.(lance|manifest|txn|arrow|bin)|{re.escape(HINT)})(#[0-9]+)?|\.tmp[0-9A-Za-z]{{6}})"
)
"""The last two are those of files that a crash left unfinished."""
_VERSION = re.compile(r"/([0-9]{20})\.manifest$")
_FOREIGN = re.compile(
    rf"{FOLDER}/(_.*|[^/]+\.lance/(tree/.*|_(?!versions/|transactions/|deletions/).*"
    r"|_versions/(?![0-9]{20}\.manifest).*\.manifest))"
)
"""What Lance would use, and has never written for us: branches, tags, search structures, other names of versions."""
_NOW, _MARGIN = timedelta(milliseconds=1), timedelta(hours=2)


class Tables:
    """The tables, each at one version.

    Attributes:
        place: their location, for messages.
    """

    def __init__(self, store: FileStore, tables: Mapping[str, Any], pin: str | None) -> None:
        self.place = store.url(FOLDER)
        self._store = store
        self._tables = tables
        self._pin = pin

    @classmethod
    def create(cls, store: FileStore, dim: int) -> Tables:
        """Create empty tables, replacing whatever an unfinished creation left.

        Raises:
            IndexStateError: the disk cannot be written.
        """
        with write_errors(store.url(FOLDER)):
            _check_plain(store)
            database = _connect(store)
            tables = {}
            for name, schema in schemas(dim).items():
                # Lance prints a warning if there is nothing to overwrite.
                mode = "overwrite" if any(store.list(f"{FOLDER}/{name}.lance")) else "create"
                tables[name] = database.create_table(name, schema=schema, mode=mode)
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
                tables = _opened(store, versions)
                found = {name: table.schema for name, table in tables.items()}
        except IndexCorruptError as error:
            # Lance opens the latest version first, which may be an empty file after a power failure.
            if _later_versions(store, versions) and _has_versions(store, versions):
                remedy = "Run `wave-search optimize`: it removes what an interrupted run has left."
                raise IndexCorruptError(error.message, remedy) from error
            raise
        for name, expected in schemas(dim).items():
            if not found[name].equals(expected):
                raise IndexCorruptError(f"the table {name} in {store.url(FOLDER)} has other columns", DISTRUST)
        return cls(store, tables, pin)

    @classmethod
    def open_for_writing(cls, store: FileStore, dim: int, versions: Mapping[str, int], pin: str) -> Tables:
        """Open for writing. Each table is restored to its version: later ones were left by an uncommitted writer.

        Raises:
            IndexCorruptError: see `open`.
            IndexStateError: as for `open`; or the disk cannot be written.
        """
        try:
            pinned = cls.open(store, dim, versions, pin)
        except IndexCorruptError:
            if not (later := _later_versions(store, versions)):
                raise
            store.delete(later)
            pinned = cls.open(store, dim, versions, pin)
        with write_errors(pinned.place):
            for name, table in pinned._tables.items():
                table.checkout_latest()
                if table.version != versions[name]:
                    table.checkout(versions[name])
                    table.restore()
        return pinned

    def versions(self) -> dict[str, int]:
        """Return the version that each table is at."""
        return {name: table.version for name, table in self._tables.items()}

    def read(self, name: str, columns: Sequence[str], where: str | None = None) -> Any:
        """Read an Arrow table, rows in the order in which they were added unless `where` names them one by one."""
        with read_errors(self._store, self._pin):
            return self._complete(name, self._query(name, columns, where).to_arrow())

    def batches(self, name: str, columns: Sequence[str], where: str | None, rows: int) -> Iterator[Any]:
        """Stream Arrow record batches of at most `rows`, in the order in which they were added."""
        with read_errors(self._store, self._pin):
            for batch in self._query(name, columns, where).to_batches(rows):
                yield self._complete(name, batch)

    def take(self, name: str, columns: Sequence[str], places: Sequence[int]) -> Any:
        """Read the rows at ascending, distinct positions as an Arrow table, in their order."""
        with read_errors(self._store, self._pin):
            return self._tables[name].take_offsets(list(places)).select(list(columns)).to_arrow()

    def count(self, name: str, where: str | None = None) -> int:
        """Count rows."""
        with read_errors(self._store, self._pin):
            return int(self._tables[name].count_rows(where))

    def fragments(self) -> int:
        """Return the highest number of small fragments in any table: each append adds one, until `compact`."""
        with read_errors(self._store, self._pin):
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

    def check_written(self, made: Iterable[FileInfo]) -> None:
        """Check that new files are complete: Lance does not notice if the end of one could not be written.

        Raises:
            IndexStateError: one is not, as on a full disk; or this version of Lance writes what is not known here.
        """
        found = {info.name: info.size_bytes for info in made}
        for name, version in self.versions().items():
            folder = f"{FOLDER}/{name}.lance"
            written = dict(_versions(self._store, name))[version]
            try:
                expected = check_manifest(self._store.get(written))
            except ForeignFieldError as error:
                remedy = "Install an earlier version of lancedb, or a newer one of wave-search."
                raise IndexStateError(f"{self._store.url(written)} is unknown here: {error}", remedy) from error
            except ValueError as error:
                raise write_error(self._store.url(written), f"{error}; is the disk full?") from error
            for file, size_bytes in expected.items():
                found_bytes = found.get(f"{folder}/data/{file}", size_bytes)
                if found_bytes != size_bytes:
                    cause = f"{found_bytes:,} of {size_bytes:,} bytes were written; is the disk full?"
                    raise write_error(self._store.url(f"{folder}/data/{file}"), cause)
            if any(one.startswith(f"{folder}/_deletions/") for one in found):
                with write_errors(self.place):  # they have no size in the manifest, but are read with any column
                    self._query(name, self._tables[name].schema.names[:1], None).to_arrow()

    def compact(self) -> bool:
        """Compact small fragments of each table, and those with many deleted rows. Rows keep their order.

        Returns:
            Whether there was anything to do.

        Raises:
            IndexStateError: the disk cannot be written.
        """
        versions = self.versions()
        with write_errors(self.place):
            for table in self._tables.values():
                before = 0
                # One pass may leave fragments that the next one compacts. A pass without any creates no version.
                while table.version != before:
                    before = table.version
                    table.optimize(cleanup_older_than=_NEVER)
        return self.versions() != versions

    def drop_versions(self, kept: Mapping[str, Collection[int]]) -> None:
        """Remove old versions of each table, except those in `kept`, which must include the current one.

        Must be called after `compact`, with nothing uncommitted: only the newest version is certain to be kept.

        Raises:
            IndexStateError: the disk cannot be written.
        """
        with write_errors(self.place):
            _check_versions(self._store, dict.fromkeys(kept, 0))  # Lance reads all of them for it
            for name, table in self._tables.items():
                if {*kept[name]} == {table.version}:
                    age = _NOW
                else:
                    # Lance goes by dates, in local time, which may be off by an hour when clocks are put back.
                    made = min(one["timestamp"] for one in table.list_versions() if one["version"] in kept[name])
                    age = max(datetime.now() - made, timedelta(0)) + _MARGIN
                table.optimize(cleanup_older_than=age)

    def _complete(self, name: str, rows: Any) -> Any:
        """Return some rows of a table.

        Raises:
            IndexCorruptError: a value is missing in a column that always has one.
        """
        for column in rows.schema.names:
            if column not in OPTIONAL[name] and rows.column(column).null_count:
                raise IndexCorruptError(f"{self.place} holds {name} without {column}", DISTRUST)
        return rows

    def _query(self, name: str, columns: Sequence[str], where: str | None) -> Any:
        query = self._tables[name].search().select(list(columns))
        return query.where(where) if where else query


def _opened(store: FileStore, versions: Mapping[str, int]) -> dict[str, Any]:
    """Open all tables at their versions."""
    if not _check_plain(store):  # lancedb would create the folder
        raise FileNotFoundError("there is no such folder")
    _check_versions(store, versions)
    database = _connect(store)
    opened = {name: database.open_table(name) for name in NAMES}
    for name, table in opened.items():
        table.checkout(versions[name])
    return opened


def _later_versions(store: FileStore, versions: Mapping[str, int]) -> list[str]:
    """Return the files of table versions that were written after the given ones."""
    return [name for table, version in versions.items() for found, name in _versions(store, table) if found > version]


def _has_versions(store: FileStore, versions: Mapping[str, int]) -> bool:
    return all(version in dict(_versions(store, table)) for table, version in versions.items())


def _versions(store: FileStore, table: str) -> Iterator[tuple[int, str]]:
    """Return the versions of a table, each with its file."""
    for info in store.list(f"{FOLDER}/{table}.lance/_versions"):
        if found := _VERSION.search(info.name):
            yield _LAST_NAME - int(found[1]), info.name


def is_made(name: str) -> bool:
    """Return whether a file has a name that only Lance gives to the files of our tables."""
    return _MADE.fullmatch(name) is not None or is_hint(name)


def is_hint(name: str) -> bool:
    """Return whether a file of the tables is the one that may change."""
    return name.rpartition("/")[2] == HINT


def one_of(column: str, values: Sequence[int] | Sequence[bytes]) -> str:
    """Return a filter for the rows whose `column` is one of `values`."""
    literals = (f"X'{value.hex()}'" if isinstance(value, bytes) else str(int(value)) for value in values)
    return f"{column} IN ({', '.join(literals)})"


def _check_plain(store: FileStore) -> bool:
    """Check that there is nothing below the folder of the tables by which Lance would leave it, such as a link.

    Returns:
        Whether there are any files.

    Raises:
        IndexCorruptError: there is a file that Lance would use although it has not written it for us.
        IndexStateError: there is a link, or something else that is no file.
    """
    names = [info.name for info in store.list(FOLDER)]
    if strange := next((name for name in names if _FOREIGN.fullmatch(name)), None):
        raise IndexCorruptError(f"{store.url(strange)} is not a file of this index", DISTRUST)
    return bool(names)


def _check_versions(store: FileStore, since: Mapping[str, int]) -> None:
    """Check the files of each table's versions from a given one on. Lance opens the given and the latest.

    Raises:
        IndexCorruptError: one is damaged, or refers to files elsewhere.
        IndexStateError: one cannot be read now.
    """
    for table, first in since.items():
        data_files: set[str] = set()
        for version, name in _versions(store, table):
            if version >= first:
                try:
                    named = check_manifest(store.get(name))
                    if version == first:  # of the later ones, no data are read
                        data_files.update(named)
                except ForeignFieldError as error:
                    raise IndexCorruptError(f"{store.url(name)} is not of this index: {error}", DISTRUST) from error
                except FileNotFoundError:
                    continue  # another process removes old versions
                except ValueError as error:
                    raise IndexCorruptError(f"{store.url(name)} is damaged: {error}", RESTORE) from error
        for file in sorted(data_files):
            name = f"{FOLDER}/{table}.lance/data/{file}"
            try:
                check_data_file(store.local_path(name))
            except (FileNotFoundError, IsADirectoryError):
                continue  # Lance reports it if it is needed
            except ValueError as error:
                raise IndexCorruptError(f"{store.url(name)} is damaged: {error}", RESTORE) from error


def _connect(store: FileStore) -> Any:
    import lancedb

    return lancedb.connect(store.url(FOLDER))
