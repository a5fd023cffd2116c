"""The write path: bringing an index up to date with folders, at a cost that depends only on the changes.

Names are imported when they are first used: `Index` has methods that write, and most programs only search.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wave_search.lazy import lazy_names

if TYPE_CHECKING:
    from wave_search.indexer.metadata import check_names, import_metadata, put_columns, remove_columns
    from wave_search.indexer.metadata_edit import MetadataEdit, edit, restore
    from wave_search.indexer.migration import lost_files, pass_metadata, pass_settings, target_recall
    from wave_search.indexer.optimization import optimize, plan_optimize
    from wave_search.indexer.plan import plan_add
    from wave_search.indexer.relocation import relocate
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
    "lost_files",
    "optimize",
    "pass_metadata",
    "pass_settings",
    "plan_add",
    "plan_optimize",
    "plan_remove",
    "put_columns",
    "relocate",
    "remove",
    "remove_columns",
    "restore",
    "target_recall",
]

_HOMES = {
    "metadata": "check_names import_metadata put_columns remove_columns",
    "metadata_edit": "MetadataEdit edit restore",
    "migration": "lost_files pass_metadata pass_settings target_recall",
    "optimization": "optimize plan_optimize",
    "plan": "plan_add",
    "relocation": "relocate",
    "run": "Options add plan_remove remove",
    "run_stats": "Interrupted",
}
__getattr__ = lazy_names(__name__, _HOMES)
