"""Approximate nearest neighbours: everything about a partition that is derived from its stored vectors.

A score is the inner product of a unit query with the stored float16 vector. Exact search and shards compute it with the
same function (`score`), so that they agree to the last bit.
"""

from wave_search.ann.codebook import Codebook
from wave_search.ann.exact import exact_search, max_inner_products, score
from wave_search.ann.faiss_setup import check_faiss
from wave_search.ann.inverted_lists import SearchParams
from wave_search.ann.plan import covered, draw
from wave_search.ann.shard import BuiltShard, Shard, build_shard
from wave_search.ann.shard_set import ShardSet
from wave_search.ann.tuning import TuningQueries, TuningResult, is_outgrown, tune

__all__ = [
    "BuiltShard",
    "Codebook",
    "SearchParams",
    "Shard",
    "ShardSet",
    "TuningQueries",
    "TuningResult",
    "build_shard",
    "check_faiss",
    "covered",
    "draw",
    "exact_search",
    "is_outgrown",
    "max_inner_products",
    "score",
    "tune",
]
