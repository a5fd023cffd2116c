"""The read path: from a text, a file or a vector to the best hits."""

from wave_search.query.answers import Answer
from wave_search.query.duplicates import find_duplicates
from wave_search.query.embedder import MediaEmbedder
from wave_search.query.encode import Embeddable, Encoder, similarity
from wave_search.query.info import IndexInfo, PartitionInfo, describe, own_columns
from wave_search.query.instructions import check_effect, check_instructions
from wave_search.query.options import ResultOptions
from wave_search.query.parse import AV, Audio, Image, Video, parse_media
from wave_search.query.parts import Not, Weighted
from wave_search.query.reembed import Reembedder, RerankProgress
from wave_search.query.request import read_parts, takes_instruction
from wave_search.query.rerank import Reranker
from wave_search.query.resolve import resolve
from wave_search.query.searcher import Searcher
from wave_search.query.tagging import MIN_LABEL_Z, Tagging, read_labels

__all__ = [
    "AV",
    "MIN_LABEL_Z",
    "Answer",
    "Audio",
    "Embeddable",
    "Encoder",
    "Image",
    "IndexInfo",
    "MediaEmbedder",
    "Not",
    "PartitionInfo",
    "Reembedder",
    "RerankProgress",
    "Reranker",
    "ResultOptions",
    "Searcher",
    "Tagging",
    "Video",
    "Weighted",
    "check_effect",
    "check_instructions",
    "describe",
    "find_duplicates",
    "own_columns",
    "parse_media",
    "read_labels",
    "read_parts",
    "resolve",
    "similarity",
    "takes_instruction",
]
