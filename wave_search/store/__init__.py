"""The truth on disk: Lance tables, pinned together by an immutable manifest, written by one process at a time.

    <index>/
        manifest/<version>.json    the highest version is the index; publishing one is the commit
        lance/                     files, contents, segments with their vectors
        digests/<version>.json     what the files under lance/ should be
        shards/<space>/<name>/     derived search structures, can be rebuilt from lance/ at any time
        cache.sqlite3              segments that queries embedded again, can be deleted at any time
        lock                       held by the writer while it lives
    last-hits.json             what the last query of the command line found; may be deleted

A reader opens a `Snapshot` of one version and keeps it, whatever a writer does meanwhile.
"""

from wave_search.store.create import create
from wave_search.store.embedding_cache import Origin, VectorCache
from wave_search.store.manifest import Manifest
from wave_search.store.metadata import Metadata
from wave_search.store.rows import (
    CodebookRef,
    Column,
    ContentRow,
    Counts,
    FileRow,
    ListRef,
    MetadataRow,
    NewSegment,
    Partition,
    Problem,
    ScoreStats,
    SegmentRow,
    Settings,
    ShardRef,
    Tuning,
)
from wave_search.store.snapshot import Snapshot, exists, open_snapshot
from wave_search.store.sql_filter import BUILT_IN, RESERVED, Selection, SqlFilter
from wave_search.store.verify import check_shard, verify
from wave_search.store.writer import Writer

__all__ = [
    "BUILT_IN",
    "RESERVED",
    "CodebookRef",
    "Column",
    "ContentRow",
    "Counts",
    "FileRow",
    "ListRef",
    "Manifest",
    "Metadata",
    "MetadataRow",
    "NewSegment",
    "Origin",
    "Partition",
    "Problem",
    "ScoreStats",
    "SegmentRow",
    "Selection",
    "Settings",
    "ShardRef",
    "Snapshot",
    "SqlFilter",
    "Tuning",
    "VectorCache",
    "Writer",
    "check_shard",
    "create",
    "exists",
    "open_snapshot",
    "verify",
]
