"""The write path: bringing an index up to date with folders, at a cost that depends only on the changes."""

from wave_search.ann.rebuild import refresh_shards
from wave_search.indexer.metadata import check_names, import_metadata, put_columns, remove_columns
from wave_search.indexer.metadata_edit import MetadataEdit, edit, restore
from wave_search.indexer.optimize import optimize, plan_optimize
from wave_search.indexer.plan import plan_add
from wave_search.indexer.relocate import relocate
from wave_search.indexer.run import Options, add, plan_remove, remove
from wave_search.indexer.run_stats import Interrupted

__all__ = [
    "Interrupted",
    "MetadataEdit",
    "Options",
    "add",
    "check_names",
    "edit",
    "import_metadata",
    "optimize",
    "plan_add",
    "plan_optimize",
    "plan_remove",
    "put_columns",
    "refresh_shards",
    "relocate",
    "remove",
    "remove_columns",
    "restore",
]
