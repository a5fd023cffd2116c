"""Nearest neighbours. Everything here is derived from the stored vectors and can be rebuilt from them.

A score is the inner product of a unit query with the stored float16 vector, computed in one way (`score`) by the exact
search and by the shards, so that the two agree to the last bit.
"""

from wave_search.ann.build import BuiltShard, build_shard
from wave_search.ann.codebook import Codebook
from wave_search.ann.exact import by_best_row, exact_search, score
from wave_search.ann.requirement import check_faiss
from wave_search.ann.sample import draw
from wave_search.ann.shard import Shard
from wave_search.ann.shard_set import SearchParams, Shards
from wave_search.ann.tuning import Measured, Questions, is_outgrown, tune

__all__ = [
    "BuiltShard",
    "Codebook",
    "Measured",
    "Questions",
    "SearchParams",
    "Shard",
    "Shards",
    "build_shard",
    "by_best_row",
    "check_faiss",
    "draw",
    "exact_search",
    "is_outgrown",
    "score",
    "tune",
]
