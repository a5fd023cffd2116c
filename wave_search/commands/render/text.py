"""Results and reports as text: JSON, lines for scripts, sentences for people. Pure: nothing is printed here."""

from __future__ import annotations

import json
import os
import unicodedata
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from wave_search.query import Answer, IndexInfo
    from wave_search.reports import IndexReport, OptimizeReport, Skipped, Training
    from wave_search.store import Problem, Tuning
    from wave_search.types import DuplicateGroup, Hit, Value

_ESCAPED_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Controls, invisible and direction-changing characters, bytes that are not UTF-8, line and paragraph separators."""


def printable(text: str | Path) -> str:
    r"""Make a name or a text safe to show: what could steer a terminal or forge a line appears as an escape.

    Bytes of a file name that are not UTF-8 appear as ``\xff``.
    """
    return "".join(_escaped(char) if unicodedata.category(char) in _ESCAPED_CATEGORIES else char for char in str(text))


def _escaped(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # how Python carries a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


def clock(seconds: float) -> str:
    """Format seconds as m:ss.s, or h:mm:ss.s from one hour on."""
    tenths = round(seconds * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    rest = f"{tenths // 10:02d}.{tenths % 10}"
    return f"{hours}:{minutes:02d}:{rest}" if hours else f"{minutes}:{rest}"


def span(start_s: float | None, stop_s: float | None) -> str:
    """Format a range of seconds; what has no time is "-"."""
    return "-" if start_s is None or stop_s is None else f"{clock(start_s)}-{clock(stop_s)}"


def bytes_text(count: int) -> str:
    """Format a number of bytes with a binary unit."""
    size, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def counted(count: int, singular: str, plural: str = "") -> str:
    """Format a number with its noun."""
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def to_json(value: Any) -> str:
    """Serialise to one line of ASCII JSON.

    A file name that is not UTF-8 keeps its bytes as lone surrogates: ``os.fsencode(json.loads(line)["path"])``.
    """
    return json.dumps(value, ensure_ascii=True)


def hit_record(hit: Hit) -> dict[str, Any]:
    """Turn a hit into the record that scripts rely on, and the columns that were asked for."""
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
    }
    return {**record, **{name: value for name, value in hit.columns.items() if name not in record}}


def hit_line(hit: Hit) -> str:
    """Turn a hit into tab-separated fields: rank, z, score, modality, time, path, and the columns asked for."""
    where = span(hit.start_s, hit.stop_s)
    fields = (str(hit.rank), f"{hit.z:.2f}", f"{hit.score:.4f}", hit.modality, where, printable(hit.path))
    return "\t".join((*fields, *map(cell, hit.columns.values())))


def cell(value: Value | None) -> str:
    """Format what a column says; nothing is "-"."""
    if value is None:
        return "-"
    return printable(", ".join(value) if isinstance(value, list) else str(value))


def group_record(group: DuplicateGroup) -> dict[str, Any]:
    """Turn a group of duplicates into a record."""
    members = [{**asdict(member), "path": str(member.path)} for member in group.members]
    return {**asdict(group), "score": round(group.score, 6), "members": members}


def group_rows(number: int, group: DuplicateGroup) -> Iterator[tuple[str, ...]]:
    """List a group of duplicates: its number, and of each member cosine, kind, time and path."""
    for member in group.members:
        kind = group.modality or "file"
        yield str(number), f"{group.score:.3f}", kind, span(member.start_s, member.stop_s), printable(member.path)


def distinct_paths(hits: Iterable[Hit]) -> tuple[list[bytes], list[Path]]:
    """List each file once, in the order of the hits.

    Returns:
        The paths as the bytes that the file system has, and those that cannot stand on one line.
    """
    paths = dict.fromkeys(hit.path for hit in hits)
    unfit = [path for path in paths if "\n" in str(path)]
    return [os.fsencode(path) for path in paths if path not in unfit], unfit


def report_record(report: IndexReport) -> dict[str, Any]:
    """Turn the report of one run into a record."""
    record = asdict(report)
    record["skipped"] = [{**asdict(skipped), "path": str(skipped.path)} for skipped in report.skipped]
    record["unreachable"] = [str(folder) for folder in report.unreachable]
    record["segments"] = {modality.value: count for modality, count in report.segments.items()}
    return record


def report_sentences(report: IndexReport) -> Iterator[str]:
    """Say what a run did, without the files that were skipped."""
    segments = ", ".join(f"{count:,} {modality}" for modality, count in report.segments.items() if count)
    done = counted(report.indexed, "file") + (f" ({segments} segments)" if segments else "")
    media = f", {clock(report.media_s)} of sound and video" if report.media_s else ""
    memory = f", peak memory {bytes_text(report.peak_memory_bytes)}" if report.peak_memory_bytes else ""
    yield f"indexed {done}{media} in {report.elapsed_s:.1f} s{memory}"
    others = {
        "unchanged": report.unchanged,
        "known content at a new place": report.reused,
        "gone": report.removed,
        "of no kind that is indexed": report.ignored,
    }
    if any(others.values()):
        yield ", ".join(f"{count:,} {what}" for what, count in others.items() if count)


def training_numbers(training: Training, steps_per_s: float | None) -> str:
    """Say in a few words how far training is, how fast, and with which loss."""
    rate = (
        ""
        if steps_per_s is None
        else f"  {steps_per_s:.2f}/s"
        if steps_per_s >= 1
        else f"  {1 / steps_per_s:.1f} s each"
    )
    loss = f"  loss {training.figures['loss']:.3f}" if "loss" in training.figures else ""
    return f"{training.steps_done:,}/{training.steps:,}{rate}{loss}" if training.steps else ""


def optimized_sentences(report: OptimizeReport) -> Iterator[str]:
    """Say what a run of `optimize` did."""
    if report.rebuilt:
        yield "rebuilt the shards of " + ", ".join(dict.fromkeys(key.modality.value for key in report.rebuilt))
    before, after = bytes_text(report.before_bytes), bytes_text(report.after_bytes)
    yield f"{before} before, {after} now, in {report.elapsed_s:.1f} s"


def skipped_line(skipped: Skipped) -> str:
    """Say in one line why a file is not in the index, and what to do."""
    remedy = f". {printable(skipped.remedy)}" if skipped.remedy else ""
    return f"{printable(skipped.path)}: {printable(skipped.cause)}{remedy}"


def info_record(info: IndexInfo) -> dict[str, Any]:
    """Turn the description of an index into a record."""
    return {
        "path": str(info.path),
        "version": info.version,
        "created": info.created,
        "size_bytes": info.size_bytes,
        "model": {name: getattr(info.model, name) for name in ("name", "revision", "dim", "quantization")},
        "segment": info.segmenting,
        "modalities": [modality.value for modality in info.modalities],
        "roots": [str(root) for root in info.roots],
        "files": info.files,
        "skipped": info.skipped,
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
    names = ("recall", "target", "nprobe", "candidates", "vectors", "measured")
    return {name: getattr(tuning, name) for name in names}


def info_rows(info: IndexInfo) -> Iterator[tuple[str, str]]:
    """List what there is to say about an index, as names and values."""
    yield "index", printable(info.path)
    yield "last change", f"{info.created}, version {info.version}"
    yield "size on disk", bytes_text(info.size_bytes)
    quantized = f", {info.model.quantization}" if info.model.quantization else ""
    named = f"{printable(info.model.name)} at {info.model.revision[:12]}{quantized}"
    yield "model", f"{named}, {info.model.dim} dimensions"
    yield "segments of", info.segmenting if info.segmenting in ("scene", "none") else f"{info.segmenting} s"
    for root in info.roots:
        yield "folder", printable(root)
    yield "files", f"{info.files:,}, {info.contents:,} distinct contents; {info.skipped:,} skipped"
    yield "sound and video", clock(info.media_s)
    for part in info.partitions:
        how = f"{part.covered:,} in IVF-PQ shards" if part.covered else "searched exactly"
        asked = f' asked "{printable(part.instruction)}"' if part.instruction else ""
        yield part.modality.value + asked, f"{counted(part.segments, 'segment')}, {how}"
        if part.tunings:
            found = ", ".join(f"{tuning.recall:.3f} for {tuning.query.value}" for tuning in part.tunings)
            yield "  recall@10", f"{found}; measured {part.tunings[0].measured}"


def answer_row(answer: Answer) -> tuple[str, str, str]:
    """Say how near an answer is: rank, cosine, words."""
    return str(answer.rank), f"{answer.score:.3f}", printable(answer.text)


def problem_row(problem: Problem) -> tuple[str, str, str]:
    """Say what is wrong with an index, or left over in it, and what to do."""
    return "left-over" if problem.orphan else "problem", printable(problem.what), printable(problem.remedy)
