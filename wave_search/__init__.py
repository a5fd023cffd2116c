"""Any-to-any multimodal search: audio, images, video and text in one embedding space.

    import wave_search as ws

    index = ws.create(".wave-search")
    index.add(["./media"])
    hits = index.search(audio="dog.wav", target="video")

Names are imported when they are first used, so that importing the package takes no time.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from wave_search.lazy import lazy_names
from wave_search.version import __version__ as __version__

if TYPE_CHECKING:
    from wave_search import errors, progress
    from wave_search.comparison import ComparedQuery, Comparison, compare
    from wave_search.errors import WaveSearchError
    from wave_search.evaluation import Evaluation, EvaluationOptions, evaluate
    from wave_search.index import KEEP_VERSIONS_FOR_S, MIN_SHARD_ROWS, Index
    from wave_search.indexer import Interrupted, MetadataEdit
    from wave_search.migration import migrate
    from wave_search.models import (
        Embedder,
        KnownModel,
        ListedModel,
        LoadOptions,
        ModelSpec,
        list_models,
        model_directory,
        pull_model,
        remove_model,
    )
    from wave_search.opening import (
        create,
        exists,
        known_models,
        load_embedder,
        open,  # noqa: A004 - used as wave_search.open
        plan_add,
        verify,
    )
    from wave_search.query import (
        AV,
        Answer,
        Audio,
        Encoded,
        FileDetails,
        FileEntry,
        Hits,
        Image,
        IndexInfo,
        MediaEmbedder,
        Not,
        PartitionInfo,
        SearchRequest,
        Segment,
        SegmentDetails,
        Segments,
        SegmentScore,
        SegmentSet,
        Vector,
        Video,
        Weighted,
        similarity,
    )
    from wave_search.remote import RemoteIndex, connect
    from wave_search.reports import (
        EditReport,
        IndexPlan,
        IndexReport,
        MetadataChange,
        MetadataReport,
        MigrateReport,
        OptimizePlan,
        OptimizeReport,
        Progress,
        RelocateReport,
        Skipped,
        SlowFile,
        SlowRun,
        TagReport,
    )
    from wave_search.store import FolderChoices
    from wave_search.types import (
        Clip,
        ColumnInfo,
        DuplicateGroup,
        DuplicateMember,
        Frames,
        Hit,
        ListedFile,
        MediaRef,
        Modality,
        ModalityName,
        Sampling,
        Target,
        Waveform,
    )

__all__ = [
    "AV",
    "KEEP_VERSIONS_FOR_S",
    "MIN_SHARD_ROWS",
    "Answer",
    "Audio",
    "Clip",
    "ColumnInfo",
    "ComparedQuery",
    "Comparison",
    "DuplicateGroup",
    "DuplicateMember",
    "EditReport",
    "Embedder",
    "Encoded",
    "Evaluation",
    "EvaluationOptions",
    "FileDetails",
    "FileEntry",
    "FolderChoices",
    "Frames",
    "Hit",
    "Hits",
    "Image",
    "Index",
    "IndexInfo",
    "IndexPlan",
    "IndexReport",
    "Interrupted",
    "KnownModel",
    "ListedFile",
    "ListedModel",
    "LoadOptions",
    "MediaEmbedder",
    "MediaRef",
    "MetadataChange",
    "MetadataEdit",
    "MetadataReport",
    "MigrateReport",
    "Modality",
    "ModalityName",
    "ModelSpec",
    "Not",
    "OptimizePlan",
    "OptimizeReport",
    "PartitionInfo",
    "Progress",
    "RelocateReport",
    "RemoteIndex",
    "Sampling",
    "SearchRequest",
    "Segment",
    "SegmentDetails",
    "SegmentScore",
    "SegmentSet",
    "Segments",
    "Skipped",
    "SlowFile",
    "SlowRun",
    "TagReport",
    "Target",
    "Vector",
    "Video",
    "WaveSearchError",
    "Waveform",
    "Weighted",
    "compare",
    "connect",
    "create",
    "errors",
    "evaluate",
    "exists",
    "known_models",
    "list_models",
    "load_embedder",
    "migrate",
    "model_directory",
    "open",
    "plan_add",
    "progress",
    "pull_model",
    "remove_model",
    "similarity",
    "verify",
]

_HOMES = {
    "comparison": "ComparedQuery Comparison compare",
    "errors": "WaveSearchError",
    "evaluation": "Evaluation EvaluationOptions evaluate",
    "index": "KEEP_VERSIONS_FOR_S MIN_SHARD_ROWS Index",
    "indexer": "Interrupted MetadataEdit",
    "migration": "migrate",
    "models": "Embedder KnownModel ListedModel LoadOptions ModelSpec list_models model_directory pull_model "
    "remove_model",
    "opening": "create exists known_models load_embedder open plan_add verify",
    "query": "AV Answer Audio Encoded FileDetails FileEntry Hits Image IndexInfo MediaEmbedder Not PartitionInfo "
    "SearchRequest Segment SegmentDetails SegmentScore SegmentSet Segments Vector Video Weighted similarity",
    "remote": "RemoteIndex connect",
    "reports": "EditReport IndexPlan IndexReport MetadataChange MetadataReport MigrateReport OptimizePlan "
    "OptimizeReport Progress RelocateReport Skipped SlowFile SlowRun TagReport",
    "store": "FolderChoices",
    "types": "Clip ColumnInfo DuplicateGroup DuplicateMember Frames Hit ListedFile MediaRef Modality ModalityName "
    "Sampling Target Waveform",
}
_find = lazy_names(__name__, _HOMES)


def __getattr__(name: str) -> Any:
    return importlib.import_module(f"wave_search.{name}") if name in ("errors", "progress") else _find(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
