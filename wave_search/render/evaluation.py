"""Evaluation reports as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wave_search.media.sampling import policy_of
from wave_search.render.text import clock, counted, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wave_search.evaluation import Evaluation, Figure

HEADER = ("direction", "figure", "exact (95 %)", "with IVF-PQ (95 %)", "published")


def rows(found: Evaluation) -> Iterator[tuple[str, ...]]:
    """Yield the figures of an evaluation: direction, name, exact search, with an index, published for WAVE-7B."""
    published = {} if found.task is None else found.task.expected
    for direction in found.directions:
        yield direction.name, "queries / items", f"{direction.queries:,} / {direction.items:,}", "", ""
        for exact, index in zip(direction.exact, direction.index, strict=True):
            expected = f"{published[exact.name]:.3f}" if exact.name in published else ""
            yield direction.name, exact.name, _figure(exact), _figure(index), expected
        yield direction.name, direction.index_recall.name, "", _figure(direction.index_recall), ""
    for about in found.questions:
        expected = f"{published['accuracy']:.3f}" if "accuracy" in published else ""
        yield about.name, "questions / chance", f"{about.questions:,} / {about.chance:.3f}", "", ""
        yield about.name, "accuracy", _figure(about.accuracy), "", expected


def _figure(figure: Figure) -> str:
    return f"{figure.value:.3f} ({figure.low:.3f}-{figure.high:.3f})"


def sentences(found: Evaluation) -> Iterator[str]:
    """Describe how the figures of an evaluation were obtained."""
    spec, sampling = found.model, found.model.sampling
    loaded = "".join(f", {name}" for name in (spec.quantization, found.dtype) if name not in (None, "auto"))
    options = "".join(f", {name} {value}" for name, value in spec.options.items())
    yield (
        f"{printable(found.dataset)} ({found.layout}), {printable(spec.name)} at {spec.revision[:12]}{loaded}, "
        f"{spec.dim} dimensions{options}"
    )
    yield f"{policy_of(sampling).description()}; audio at {sampling.sample_rate_hz / 1000:g} kHz"
    for modality, prompts in found.prompts.items():
        more = f" and {len(prompts) - 1:,} more" if len(prompts) > 1 else ""
        yield f'prompt of {modality}: "{printable(prompts[0])}"{more}'
    media = f" ({clock(found.media_s)} of audio and video)" if found.media_s else ""
    yield (
        f"embedded {found.embedded:,}{media}; {found.reused:,} were in the cache or equal to others; "
        f"{found.elapsed_s:.1f} s in total"
    )
    if found.left_out:
        yield f"left out {counted(found.left_out, 'query or question', 'queries and questions')} with missing media"
    if found.task is not None:
        yield f"task {found.task.name}: {found.task.title}. Data: {found.task.source}"
        yield from (f"note: {note}" for note in found.task.notes)


def faults(found: Evaluation) -> Iterator[str]:
    """Yield a line for each row and file of a data set that could not be used."""
    for row in found.bad_rows:
        yield f"{printable(row.place.path)}, {row.place}: {printable(row.cause)}"
    for unusable in found.unusable:
        remedy = f". {printable(unusable.remedy)}" if unusable.remedy else ""
        yield f"{printable(unusable.name)}: {printable(unusable.cause)}{remedy}"
