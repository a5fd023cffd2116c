"""Results and reports as JSON records, the form that scripts rely on."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from wave_search.wire import to_plain, to_record

if TYPE_CHECKING:
    from wave_search.models import ListedModel
    from wave_search.query import IndexInfo
    from wave_search.reports import IndexReport
    from wave_search.store import SavedSearch, Tuning
    from wave_search.types import DuplicateGroup, Hit, ListedFile


def to_json(value: Any) -> str:
    """Serialise a value as one line of ASCII JSON.

    A file name that is not UTF-8 keeps its bytes as lone surrogates: ``os.fsencode(json.loads(line)["path"])``.
    """
    return json.dumps(value, ensure_ascii=True).replace("\x7f", "\\u007f")  # the only control character that is left


def hit_record(hit: Hit) -> dict[str, Any]:
    """Return a hit as a record, with the requested columns."""
    record = {
        "rank": hit.rank,
        "score": round(hit.score, 6),
        "z": round(hit.z, 4),
        "path": str(hit.path),
        "modality": hit.modality.value,
        "start_s": hit.start_s,
        "stop_s": hit.stop_s,
        "segment_id": hit.segment_id,
        "duration_s": hit.duration_s,
        "matched": [modality.value for modality in hit.matched or (hit.modality,)],
        "copies": hit.copies,
        "gone": hit.gone,
        "text": hit.text,
    }
    return {**record, **{name: value for name, value in hit.columns.items() if name not in record}}


def listed_record(file: ListedFile) -> dict[str, Any]:
    """Return a listed file as a record, with the requested columns."""
    record = {
        "path": str(file.path),
        "status": file.status,
        "cause": file.cause,
        "remedy": file.remedy,
        "gone": file.gone,
        "kind": file.kind,
        "duration_s": file.duration_s,
        "size_bytes": file.size_bytes,
    }
    return {**record, **{name: value for name, value in file.columns.items() if name not in record}}


def search_record(search: SavedSearch, alert: str | None) -> dict[str, Any]:
    """Return a saved search as a record, with where its alert leads."""
    return {**asdict(search), "alert": alert}


def group_record(group: DuplicateGroup) -> dict[str, Any]:
    """Return a group of duplicates as a record."""
    members = [{**asdict(member), "path": str(member.path)} for member in group.members]
    return {**asdict(group), "score": round(group.score, 6), "members": members}


def report_record(report: IndexReport) -> dict[str, Any]:
    """Return the report of a run of `index` as a record."""
    record = asdict(report)
    record["skipped"] = [{**asdict(skipped), "path": str(skipped.path)} for skipped in report.skipped]
    record["slow"] = [{**asdict(slow), "path": str(slow.path)} for slow in report.slow]
    record["unreachable"] = [str(folder) for folder in report.unreachable]
    record["segments"] = {modality.value: count for modality, count in report.segments.items()}
    return record


def model_record(listed: ListedModel) -> dict[str, Any]:
    """Return a model, and whether it runs here, as a record."""
    return {**to_record(listed.model), **to_record(listed.verdict), "directory": to_plain(listed.directory)}


def info_record(info: IndexInfo) -> dict[str, Any]:
    """Return the description of an index as a record."""
    return {
        "path": str(info.path),
        "version": info.version,
        "created": info.created,
        "changed": info.changed,
        "size_bytes": info.size_bytes,
        "model": {name: getattr(info.model, name) for name in ("name", "revision", "dim", "quantization")},
        "segmentation": info.segmentation,
        "audio_track": info.audio_track,
        "several_tracks": info.several_tracks,
        "modalities": [modality.value for modality in info.modalities],
        "roots": [str(root) for root in info.roots],
        "folders": [asdict(choices) for choices in info.folders],
        "files": info.files,
        "skipped": info.skipped,
        "damaged": [{**asdict(file), "path": str(file.path)} for file in info.damaged],
        "contents": info.contents,
        "media_s": info.media_s,
        "partitions": _partitions(info, ""),
        "instructions": {instruction: _partitions(info, instruction) for instruction in info.instructions},
    }


def _partitions(info: IndexInfo, instruction: str) -> dict[str, dict[str, Any]]:
    return {
        part.modality.value: {
            "segments": part.segments,
            "covered": part.covered,
            "recall": {tuning.query.value: _tuning_record(tuning) for tuning in part.tunings},
        }
        for part in info.partitions
        if part.instruction == instruction
    }


def _tuning_record(tuning: Tuning) -> dict[str, Any]:
    names = ("recall", "tail", "target", "is_exact", "nprobe", "refine_k", "vectors", "measured")
    return {name: getattr(tuning, name) for name in names}
