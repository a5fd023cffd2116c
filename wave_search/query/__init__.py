"""The read path: from a request to its hits."""

from wave_search.query.duplicates import find_duplicates
from wave_search.query.embedder import Answer, MediaEmbedder, check_question, choose_answer
from wave_search.query.encode import Encoder, similarity
from wave_search.query.encode_items import Encoded
from wave_search.query.export_segments import ReadSegments, Segment, Segments, read_arrow_stream
from wave_search.query.file_details import (
    FileDetails,
    FileEntry,
    SegmentDetails,
    SegmentScore,
    browse,
    count_files,
    file_at,
    paths_of_segments,
    segment_and_file,
    segment_entries,
)
from wave_search.query.hits import Hits
from wave_search.query.info import IndexInfo, PartitionInfo, describe, own_columns, own_values, summary
from wave_search.query.listing import list_files
from wave_search.query.request import (
    SearchArguments,
    SearchRequest,
    check_count,
    check_instructions,
    check_request,
    read_segments,
    read_target,
    requests_of,
    to_one_request,
)
from wave_search.query.saved import renamed, segment_of, to_request, to_saved
from wave_search.query.searcher import NewMatch, Searcher
from wave_search.query.segments import SegmentSet
from wave_search.query.tagging import MIN_LABEL_Z, Tagging, read_labels
from wave_search.query.terms import (
    AV,
    Audio,
    Image,
    Not,
    Vector,
    Video,
    Weighted,
    media_ref,
    parse_media,
)
from wave_search.types import parse_modality

__all__ = [
    "AV",
    "MIN_LABEL_Z",
    "Answer",
    "Audio",
    "Encoded",
    "Encoder",
    "FileDetails",
    "FileEntry",
    "Hits",
    "Image",
    "IndexInfo",
    "MediaEmbedder",
    "NewMatch",
    "Not",
    "PartitionInfo",
    "ReadSegments",
    "SearchArguments",
    "SearchRequest",
    "Searcher",
    "Segment",
    "SegmentDetails",
    "SegmentScore",
    "SegmentSet",
    "Segments",
    "Tagging",
    "Vector",
    "Video",
    "Weighted",
    "browse",
    "check_count",
    "check_instructions",
    "check_question",
    "check_request",
    "choose_answer",
    "count_files",
    "describe",
    "file_at",
    "find_duplicates",
    "list_files",
    "media_ref",
    "own_columns",
    "own_values",
    "parse_media",
    "parse_modality",
    "paths_of_segments",
    "read_arrow_stream",
    "read_labels",
    "read_segments",
    "read_target",
    "renamed",
    "requests_of",
    "segment_and_file",
    "segment_entries",
    "segment_of",
    "similarity",
    "summary",
    "to_one_request",
    "to_request",
    "to_saved",
]
