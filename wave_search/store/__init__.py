"""An index on disk: versioned Lance tables, listed by immutable manifests and written by one process at a time.

    <index>/
        manifest/<version>.json      the highest version is the index; publishing one is the commit
        lance/                       files, contents, segments with their vectors, metadata
        checksums/<version>.json     the digests of the files under lance/
        shards/<partition>/<name>/   search structures; rebuilt from lance/ if they are lost
        searches/<digest>.json       searches that people have saved, one each; no part of a version
        cache.sqlite3                vectors of segments that were reranked; may be deleted at any time
        lock                         held by the writing process while it runs

Lance reads and writes its tables itself. All other files are accessed through a `FileStore`, such as a directory. A
reader opens a `Snapshot` of one version and keeps it, whatever a writer does in the meantime.
"""

from wave_search.store.cleanup import KEEP_VERSIONS_FOR_S, plan_cleanup
from wave_search.store.create import check_new, create
from wave_search.store.embedding_cache import NAME as CACHE_NAME
from wave_search.store.embedding_cache import CacheKey, EmbeddingCache, cannot_keep, vector_space
from wave_search.store.file_columns import (
    BUILT_IN,
    OF_FILES,
    OF_SEGMENTS,
    RESERVED,
    FileColumns,
    content_of,
    find_columns,
    plain,
    status_of,
)
from wave_search.store.file_table import Metadata
from wave_search.store.files import FileStore
from wave_search.store.local_files import LocalFiles
from wave_search.store.manifest import Manifest
from wave_search.store.replacement import exchange, recover, remove
from wave_search.store.rows import (
    ChecksumsRef,
    CodebookRef,
    Column,
    ContentRow,
    Counts,
    FileRow,
    FolderChoices,
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
from wave_search.store.saved_searches import SavedSearch, SavedTerm, checked_name
from wave_search.store.snapshot import Snapshot, exists, newest_file, open_snapshot
from wave_search.store.sql_filter import DEFAULT_TIMEOUT_S, Selection, SqlFilter
from wave_search.store.verify import check_shard, verify
from wave_search.store.writer import Writer

__all__ = [
    "BUILT_IN",
    "CACHE_NAME",
    "DEFAULT_TIMEOUT_S",
    "KEEP_VERSIONS_FOR_S",
    "OF_FILES",
    "OF_SEGMENTS",
    "RESERVED",
    "CacheKey",
    "ChecksumsRef",
    "CodebookRef",
    "Column",
    "ContentRow",
    "Counts",
    "EmbeddingCache",
    "FileColumns",
    "FileRow",
    "FileStore",
    "FolderChoices",
    "LocalFiles",
    "Manifest",
    "Metadata",
    "MetadataRow",
    "NewSegment",
    "Partition",
    "Problem",
    "SavedSearch",
    "SavedTerm",
    "ScoreStats",
    "SegmentRow",
    "Selection",
    "Settings",
    "ShardRef",
    "Snapshot",
    "SqlFilter",
    "Tuning",
    "Writer",
    "cannot_keep",
    "check_new",
    "check_shard",
    "checked_name",
    "content_of",
    "create",
    "exchange",
    "exists",
    "find_columns",
    "newest_file",
    "open_snapshot",
    "plain",
    "plan_cleanup",
    "recover",
    "remove",
    "status_of",
    "vector_space",
    "verify",
]
