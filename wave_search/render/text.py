"""Results and reports as text: tab-separated lines for scripts, sentences for people. Nothing is printed here."""

from __future__ import annotations

import os
import unicodedata
from datetime import datetime
from typing import TYPE_CHECKING

from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from wave_search.models import ListedModel
    from wave_search.query import Answer, IndexInfo
    from wave_search.reports import (
        IndexPlan,
        IndexReport,
        OptimizePlan,
        OptimizeReport,
        Progress,
        Skipped,
        SlowFile,
        SlowRun,
        Training,
    )
    from wave_search.store import Problem, SavedSearch, Tuning
    from wave_search.types import DuplicateGroup, Hit, ListedFile, Value

_ESCAPED_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Control, format (invisible, bidirectional) and surrogate characters, line and paragraph separators."""

_MAX_SUFFIXES = 8
"""More kinds of files that are not media are listed as "others"; the report in JSON has all."""


_MANY_CANDIDATES = 1_000
_DAMAGED_SHOWN = 10
_NAMES_SHOWN = 3


def printable(text: str | Path) -> str:
    r"""Escape the characters of a name or a text that could control a terminal or forge a line of output.

    Bytes of a file name that are not UTF-8 appear as ``\xff``.
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join(_escaped(char) if unicodedata.category(char) in _ESCAPED_CATEGORIES else char for char in text)


def _escaped(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # how Python carries a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


def clock(seconds: float) -> str:
    """Format seconds as m:ss.s, or as h:mm:ss.s if there are hours."""
    tenths = round(seconds * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    rest = f"{tenths // 10:02d}.{tenths % 10}"
    return f"{hours}:{minutes:02d}:{rest}" if hours else f"{minutes}:{rest}"


def search_words(search: SavedSearch) -> str:
    """Describe a saved search: its terms and what narrows it, as options of `wave-search query`."""
    terms = [
        f"{'not ' if term.weight < 0 else ''}{f'like {term.name}' if term.text is None else term.text}"
        for term in search.terms
    ]
    narrowed = (
        ("target", None if search.target == "any" else search.target),
        ("min-z", None if search.min_z is None else f"{search.min_z:g}"),
        ("where", search.where),
    )
    return " ".join([", ".join(terms), *(f"--{name} {value}" for name, value in narrowed if value is not None)]).strip()


def span(start_s: float | None, stop_s: float | None) -> str:
    """Format a range of seconds, or "-" for a segment without time."""
    return "-" if start_s is None or stop_s is None else f"{clock(start_s)}-{clock(stop_s)}"


def bytes_text(count: int) -> str:
    """Format a number of bytes with a binary unit."""
    size, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def model_cells(listed: ListedModel) -> tuple[str, ...]:
    """Return what a table says of a model."""
    model, verdict = listed.model, listed.verdict
    size = "in the package" if model.hub_id is None else f"{model.download_bytes / 1e9:.2g} GB"
    here = ", downloaded" if model.hub_id is not None and listed.directory is not None else ""
    inputs = "all" if len(model.modalities) == len(Modality) else " ".join(model.modalities)
    licence = model.licence or "see hub"
    return model.name, f"{verdict.runs}: {verdict.reason}", f"{size}{here}", inputs, licence, model.description


def counted(count: int, singular: str, plural: str = "") -> str:
    """Format a number with its noun."""
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def matched_text(hit: Hit) -> str:
    """Format the modalities in which a hit matches, such as "audio+video"."""
    return "+".join(hit.matched or (hit.modality,))


def hit_line(hit: Hit) -> str:
    """Format a hit as tab-separated fields: rank, z, score, modality, time, path, and the requested columns."""
    where = span(hit.start_s, hit.stop_s)
    fields = (str(hit.rank), f"{hit.z:.2f}", f"{hit.score:.4f}", matched_text(hit), where, printable(hit.path))
    return "\t".join((*fields, *map(cell, hit.columns.values())))


def cell(value: Value | None) -> str:
    """Format the value of a column, or "-" if there is none; a number with at most nine digits."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.9g}"
    return printable(", ".join(value) if isinstance(value, list) else str(value))


def group_rows(number: int, group: DuplicateGroup) -> Iterator[tuple[str, ...]]:
    """Yield a row for each member of a group of duplicates: group number, cosine, modality, time, path."""
    for member in group.members:
        modality = group.modality or "file"
        yield str(number), f"{group.score:.3f}", modality, span(member.start_s, member.stop_s), printable(member.path)


def fitting_paths(paths: Iterable[Path]) -> tuple[list[bytes], list[Path]]:
    """Return paths as bytes of the file system, and those that contain a newline and so do not fit on one line."""
    fit: list[bytes] = []
    unfit: list[Path] = []
    for path in paths:
        if "\n" in str(path):
            unfit.append(path)
        else:
            fit.append(os.fsencode(path))
    return fit, unfit


def status(file: ListedFile) -> str:
    """Format the status of a listed file: "indexed", "damaged" or "skipped", and "gone" if there is no such file."""
    return f"{file.status}, gone" if file.gone else file.status


def time_text(seconds: float | None) -> str:
    """Format a duration, or "-" for what has none."""
    return "-" if seconds is None else clock(seconds)


def reason(file: ListedFile) -> str:
    """Format why a file is skipped or damaged, and the remedy; "" for an indexed file."""
    return ". ".join(printable(part) for part in (file.cause, file.remedy) if part)


def listed_line(file: ListedFile) -> str:
    """Format a listed file as tab-separated fields: status, kind, duration, bytes, path, cause, and the columns."""
    fields = (status(file), file.kind or "-", time_text(file.duration_s), str(file.size_bytes), printable(file.path))
    return "\t".join((*fields, printable(file.cause) or "-", *map(cell, file.columns.values())))


def listed_sentence(counts: Mapping[str, int]) -> str:
    """Summarise a list of files.

    Args:
        counts: number of files by status, and of those that are "gone".
    """
    parts = {name: f"{counts[name]:,} {name}" for name in ("indexed", "damaged", "skipped", "gone") if counts.get(name)}
    gone = f"; {parts.pop('gone')}" if "gone" in parts else ""
    total = sum(counts[name] for name in parts)
    return f"{counted(total, 'file')}: {', '.join(parts.values())}{gone}"


def report_sentences(report: IndexReport) -> Iterator[str]:
    """Summarise a run of `index`, without the skipped files."""
    segments = ", ".join(f"{count:,} {modality}" for modality, count in report.segments.items() if count)
    noun = "segment" if sum(report.segments.values()) == 1 else "segments"
    done = counted(report.indexed, "file") + (f" ({segments} {noun})" if segments else "")
    media = f", {clock(report.media_s)} of audio and video" if report.media_s else ""
    memory = f", peak memory {bytes_text(report.peak_memory_bytes)}" if report.peak_memory_bytes else ""
    yield f"indexed {done}{media} in {report.elapsed_s:.1f} s{memory}"
    others = {
        "unchanged": report.unchanged,
        "moved or duplicate": report.reused,
        "removed": report.removed,
        "unsupported": report.ignored,
    }
    if any(others.values()):
        yield ", ".join(f"{count:,} {what}" for what, count in others.items() if count)
    if report.several_tracks:
        several = f"{counted(report.several_tracks, 'file')} with several audio tracks"
        yield f"{several}; --audio-track chooses which are heard"
    if report.not_media:
        suffixes = list(report.not_media.items())
        parts = [f"{count:,} {printable(suffix) or 'without a suffix'}" for suffix, count in suffixes[:_MAX_SUFFIXES]]
        rest = sum(count for _, count in suffixes[_MAX_SUFFIXES:])
        yield "not media: " + ", ".join([*parts, *([f"{rest:,} others"] if rest else [])])


def stamped(message: str) -> str:
    """Put the time in front of a line of a log."""
    return f"{datetime.now():%Y-%m-%d %H:%M:%S}  {message}"


def update_sentence(report: IndexReport, paths: Sequence[Path]) -> str:
    """Summarise an update of a watched folder, without the skipped files; "" if the index has not changed.

    Args:
        report: of the run.
        paths: what had changed before. Skipped files, which have lines of their own, are left out.
    """
    skipped = {one.path for one in report.skipped}
    paths = [path for path in paths if path not in skipped]
    segments = ", ".join(f"{count:,} {modality}" for modality, count in report.segments.items() if count)
    noun = "segment" if sum(report.segments.values()) == 1 else "segments"
    counts = {
        "indexed": (report.indexed, f" ({segments} {noun})" if segments else ""),
        "moved or duplicate": (report.reused, ""),
        "removed": (report.removed, ""),
    }
    done = ", ".join(f"{count:,} {what}{more}" for what, (count, more) in counts.items() if count)
    names = ", ".join(printable(path.name) for path in paths[:_NAMES_SHOWN])
    others = f" and {len(paths) - _NAMES_SHOWN:,} more" if len(paths) > _NAMES_SHOWN else ""
    return f"{done}: {names}{others}" if done and names else done


def progress_numbers(progress: Progress, elapsed_s: float) -> str:
    """Format the progress of a run of `index`: files, and once a second has passed, the rates of files and media.

    Instead of files that take longer than ten seconds each, segments are counted.
    """
    done = f"{progress.files_done:,}/{progress.files_total:,}" if progress.files_total else ""
    if elapsed_s < 1:
        return done
    rate = f"{progress.files_done / elapsed_s:.1f} files/s"
    if progress.files_done < elapsed_s / 10 and progress.segments:
        rate = f"{progress.segments / elapsed_s:.1f} segments/s"
    return f"{done} {rate}, {progress.media_s / elapsed_s:.1f}x real time"


def current_text(progress: Progress) -> str:
    """Format the current file, with its embedded and expected segments if it has several; "" if there is none."""
    if progress.current is None:
        return ""
    name = printable(progress.current.name)
    total = progress.current_segments_total
    return f"{progress.current_segments:,}/{total:,} of {name}" if total > 1 else name


def training_numbers(training: Training, steps_per_s: float | None) -> str:
    """Format the progress of training: steps, rate, loss."""
    rate = (
        ""
        if steps_per_s is None
        else f"  {steps_per_s:.2f}/s"
        if steps_per_s >= 1
        else f"  {1 / steps_per_s:.1f} s each"
    )
    loss = f"  loss {training.figures['loss']:.3f}" if "loss" in training.figures else ""
    return f"{training.steps_done:,}/{training.steps:,}{rate}{loss}" if training.steps else ""


def plan_sentence(plan: IndexPlan) -> str:
    """Summarise what a run of `index` would do."""
    moved = f" ({counted(plan.moved, 'new file')} probably moved from there)" if plan.moved else ""
    counts = (
        f"{len(plan.new):,} new",
        f"{len(plan.changed):,} to be read again",
        f"{plan.unchanged:,} unchanged",
        f"{len(plan.removed):,} to be removed{moved}",
        *([f"{len(plan.skipped):,} skipped"] if plan.skipped else []),
        *([f"{sum(plan.not_media.values()):,} not media"] if plan.not_media else []),
    )
    return f"dry run, nothing was changed: {', '.join(counts)}"


def optimize_plan_sentences(plan: OptimizePlan) -> Iterator[str]:
    """Summarise what a run of `optimize` would do."""
    if plan.rebuild:
        yield "would rebuild the shards of " + ", ".join(dict.fromkeys(key.modality.value for key in plan.rebuild))
    if plan.compact:
        yield f"would merge the small fragments of {counted(len(plan.compact), 'table')}: {', '.join(plan.compact)}"
    if plan.versions:
        yield f"would remove {counted(plan.versions, 'replaced version')}"
    if plan.unused_files:
        yield f"would remove {counted(plan.unused_files, 'unused file')}, {bytes_text(plan.unused_bytes)}"
    yield f"dry run, nothing was changed; index size: {bytes_text(plan.size_bytes)}"


def optimized_sentences(report: OptimizeReport) -> Iterator[str]:
    """Summarise a run of `optimize`."""
    if report.rebuilt:
        yield "rebuilt the shards of " + ", ".join(dict.fromkeys(key.modality.value for key in report.rebuilt))
    before, after = bytes_text(report.before_bytes), bytes_text(report.after_bytes)
    yield f"index size: {before} before, {after} after; took {report.elapsed_s:.1f} s"
    if report.kept_versions:
        versions = counted(report.kept_versions, "replaced version")
        grown = "larger than before because " if report.after_bytes > report.before_bytes else ""
        verb = "stays" if report.kept_versions == 1 else "stay"
        yield f"{grown}{versions} {verb} readable for searches that run; --keep-versions-for 0 removes them now"
    elif report.rebuilt and report.after_bytes > report.before_bytes:
        yield "larger than before because of the shards, which make searches faster"


def skipped_line(skipped: Skipped) -> str:
    """Format a skipped file as one line: path, cause, remedy."""
    remedy = f". {printable(skipped.remedy)}" if skipped.remedy else ""
    return f"{printable(skipped.path)}: {printable(skipped.cause)}{remedy}"


def slow_line(slow: SlowFile | SlowRun) -> str:
    """Format what takes long as one line: path and duration, or number of files, estimate, remedy."""
    from wave_search.media.segmentation import DEFAULT_LENGTH_S
    from wave_search.reports import SlowRun

    hours = f"will take about {slow.estimated_s / 3600:,.1f} hours"
    if isinstance(slow, SlowRun):
        left = f"the {counted(slow.files, 'file')} left {hours} at the present rate"
        return f"{left}. Ctrl-C keeps what is done, and the same command resumes"
    size = f"lasts {clock(slow.duration_s)}, {counted(slow.segments, 'segment')}"
    remedy = "Leave such files out with --max-duration, or this one with --exclude"
    if slow.segments * DEFAULT_LENGTH_S >= 2 * slow.duration_s:
        remedy = f"{remedy}, or make another index with longer segments (--segment)"
    return f"{printable(slow.path)}: {size}; {hours}. {remedy}"


def info_rows(info: IndexInfo) -> Iterator[tuple[str, str]]:
    """Yield the properties of an index as names and values."""
    yield "index", printable(info.path)
    yield "created", info.created
    yield "last change", f"{info.changed}, version {info.version}"
    yield "size on disk", bytes_text(info.size_bytes)
    quantized = f", {info.model.quantization}" if info.model.quantization else ""
    named = f"{printable(info.model.name)} at {info.model.revision[:12]}{quantized}"
    yield "model", f"{named}, {info.model.dim} dimensions"
    if info.model.notice:
        yield "note", printable(info.model.notice)
    yield "segment length", info.segmentation if info.segmentation in ("scene", "none") else f"{info.segmentation} s"
    if info.several_tracks or info.audio_track != "auto":
        held = counted(info.several_tracks, "content") + " with several"
        yield "audio tracks", f"{printable(info.audio_track)}; {held}"
    for root in info.roots:
        yield "folder", printable(root)
    for choices in info.folders:
        limit = [] if choices.max_duration_s is None else [f"longer than {clock(choices.max_duration_s)}"]
        yield "left out", f"{printable(choices.folder)}: {', '.join([*map(printable, choices.exclude), *limit])}"
    damaged = f", {len(info.damaged):,} damaged" if info.damaged else ""
    yield "files", f"{info.files:,}, {info.contents:,} distinct contents; {info.skipped:,} skipped{damaged}"
    for file in info.damaged[:_DAMAGED_SHOWN]:
        yield "damaged", skipped_line(file)
    if len(info.damaged) > _DAMAGED_SHOWN:
        yield "damaged", f"and {len(info.damaged) - _DAMAGED_SHOWN:,} more: --json lists all"
    yield "audio and video", clock(info.media_s)
    for part in info.partitions:
        how = f"{part.covered:,} in IVF-PQ shards" if part.covered else "searched exactly"
        asked = f' with "{printable(part.instruction)}"' if part.instruction else ""
        yield part.modality.value + asked, f"{counted(part.segments, 'segment')}, {how}"
        if part.tunings:
            yield "  recall@10", f"{', '.join(map(_recall, part.tunings))}; measured {part.tunings[0].measured}"


def _recall(tuning: Tuning) -> str:
    if tuning.is_exact:
        return f"1 for {tuning.query.value}, searched exactly (codes do not reach {tuning.target:g})"
    many = f", {tuning.refine_k:,} candidates (codes tell little)" if tuning.refine_k > _MANY_CANDIDATES else ""
    return f"{tuning.recall:.3f} (p10 {tuning.tail:.2f}) for {tuning.query.value}{many}"


def answer_row(answer: Answer) -> tuple[str, str, str]:
    """Format an answer as rank, cosine and text."""
    return str(answer.rank), f"{answer.score:.3f}", printable(answer.text)


def problem_row(problem: Problem) -> tuple[str, str, str]:
    """Format a problem that `verify` found as kind, description and remedy."""
    return "orphan" if problem.orphan else "problem", printable(problem.what), printable(problem.remedy)
