"""The read path: from a text, a file or a vector to the best hits."""

from wave_search.query.answers import Answer
from wave_search.query.embedder import Engine, LoadOptions, MediaEmbedder
from wave_search.query.encoder import Embeddable, Encoder, similarity
from wave_search.query.info import IndexInfo, PartitionInfo, describe
from wave_search.query.instructions import check_effect, check_instructions
from wave_search.query.parse import AV, Audio, Image, Video, parse_media
from wave_search.query.parts import Not, Part
from wave_search.query.reembed import Reembedder, Watch
from wave_search.query.request import read_parts, takes_instruction
from wave_search.query.rerank import Reranker
from wave_search.query.resolve import resolve
from wave_search.query.results import Searcher

__all__ = [
    "AV",
    "Answer",
    "Audio",
    "Embeddable",
    "Encoder",
    "Engine",
    "Image",
    "IndexInfo",
    "LoadOptions",
    "MediaEmbedder",
    "Not",
    "Part",
    "PartitionInfo",
    "Reembedder",
    "Reranker",
    "Searcher",
    "Video",
    "Watch",
    "check_effect",
    "check_instructions",
    "describe",
    "parse_media",
    "read_parts",
    "resolve",
    "similarity",
    "takes_instruction",
]
