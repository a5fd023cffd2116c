"""The write path: folders of files into the index, and no more work than what changed."""

from wave_search.indexer.optimize import optimize
from wave_search.indexer.report import Interrupted
from wave_search.indexer.run import Options, add, remove
from wave_search.indexer.shards import build_missing_shards

__all__ = ["Interrupted", "Options", "add", "build_missing_shards", "optimize", "remove"]
