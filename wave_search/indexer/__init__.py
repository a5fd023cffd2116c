"""The write path: folders of files into the index, and no more work than what changed."""

from wave_search.indexer.report import Interrupted
from wave_search.indexer.run import Options, add, remove

__all__ = ["Interrupted", "Options", "add", "remove"]
