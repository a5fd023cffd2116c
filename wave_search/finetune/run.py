"""One fine-tuning run, from the settings to the finished model."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from wave_search.errors import ModelError, UsageError
from wave_search.evaluation.datasets.rows import BadRow
from wave_search.finetune import loop
from wave_search.finetune.data import Data, Pair, Plan, by_task, read_data, select_tasks
from wave_search.finetune.lora import Adapter
from wave_search.finetune.media import Loader, check_media, resolved
from wave_search.finetune.report import Report, model_card, save_adapter, save_model
from wave_search.finetune.stage import FineTune
from wave_search.finetune.state import State, without
from wave_search.finetune.validation import validate
from wave_search.models.device import resolve_dtype
from wave_search.models.sources import resolve
from wave_search.models.wave.checkpoint import load_wave, read_config
from wave_search.models.wave.embedder import WaveEmbedder
from wave_search.models.wave.tokenizer import TextTokenizer
from wave_search.reports import Training

if TYPE_CHECKING:
    from collections.abc import Callable

    from wave_search.finetune.distributed import ProcessGroup
    from wave_search.finetune.settings import Settings
    from wave_search.models.families import Source
    from wave_search.reports import TrainingCallback

_NAME = "finetune"
_WARM_UP = 0.03
"""Share of steps for the warm-up, that of WAVE's published training."""


@dataclass(frozen=True, slots=True)
class _Run:
    """The shared objects of a run."""

    settings: Settings
    source: Source
    embedder: WaveEmbedder
    adapter: Adapter
    loader: Loader
    state: State
    group: ProcessGroup
    progress: TrainingCallback
    status: Callable[[str], None]

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and reports."""
        return self.group.rank == 0


@dataclass(frozen=True, slots=True)
class _Inputs:
    """The input data of a run."""

    pairs: dict[str, list[Pair]]
    """By task."""
    validation: list[Pair]
    rejected: tuple[BadRow, ...]


def fine_tune(
    settings: Settings, group: ProcessGroup, progress: TrainingCallback, status: Callable[[str], None]
) -> Report:
    """Fine-tune a model, or resume its fine-tuning.

    Args:
        settings: of the run.
        group: the processes that train together; the first one writes the files.
        progress: called with the progress.
        status: called with occasional status lines.

    Raises:
        UsageError: the settings do not match the data, or the directory contains another run.
        DatasetError: a file of pairs cannot be read.
        ModelError: the model cannot be loaded, is too large for the device, or training it fails.
        MediaError: a file that passed the check before training cannot be read.
    """
    started = time.monotonic()
    progress(Training("loading", 0, 0))
    training, validation = read_data(settings.pairs), read_data(settings.validation)
    source = resolve(settings.model, group.device)
    state = State(settings.directory / "training")
    digests = {"base": source.revision, "training_data": training.digest, "validation_data": validation.digest}
    if group.rank == 0:
        state.claim(settings, processes=group.size, **digests)
    group.total(0.0)  # the other processes wait for this
    try:
        embedder = _load(settings, source, group)
        # Before the media are decoded, so that a missing package is reported immediately.
        adapter = Adapter(embedder.wave, f"{source.name} at {source.revision}", settings.lora, settings.seed)
        with Loader(embedder.spec.sampling) as loader:
            run = _Run(settings, source, embedder, adapter, loader, state, group, progress, status)
            report = _train(run, _inputs(run, training, validation))
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"the memory of {group.device} is too small for a step",
            "Lower batch, or cut the media into shorter ranges; docs/guide/fine-tuning.md lists the memory needed.",
        ) from error
    return replace(report, elapsed_s=time.monotonic() - started)


def _load(settings: Settings, source: Source, group: ProcessGroup) -> WaveEmbedder:
    tokenizer = TextTokenizer.from_directory(source.directory, read_config(source.directory).tokens)
    wave = load_wave(source.directory, device=group.device, dtype=resolve_dtype(settings.dtype))
    return WaveEmbedder(wave, tokenizer, source)


def _inputs(run: _Run, training: Data, validation: Data) -> _Inputs:
    everything = [*training.pairs, *validation.pairs]
    rejected = run.state.rejected()
    if rejected is None:
        rejected = _check(run, everything)
    kept, kept_validation = (
        list(run.loader.map(lambda pair: resolved(pair, run.loader), without(data.pairs, rejected)))
        for data in (training, validation)
    )
    every_fault = tuple(dict.fromkeys((*training.rejected, *validation.rejected, *rejected)))
    if not kept:
        first = (
            f"; the first is {every_fault[0].place.path}, {every_fault[0].place}: {every_fault[0].cause}"
            if every_fault
            else ""
        )
        rows = len(training.pairs) + len(training.rejected)
        raise UsageError(f"none of {rows:,} rows can be trained on{first}")
    return _Inputs(select_tasks(by_task(kept), run.settings.tasks), kept_validation, every_fault)


def _check(run: _Run, pairs: list[Pair]) -> list[BadRow]:
    """Check media; each process checks its share."""
    mine = pairs[run.group.rank :: run.group.size]

    def report(done: int) -> None:
        run.progress(Training("checking media", len(mine), done))

    results = check_media(mine, run.loader, run.embedder.wave.config, report)
    found = run.group.gather_lists([result for result in results if isinstance(result, BadRow)])
    rejected: list[BadRow] = sorted(
        found, key=lambda row: (str(row.place.path), row.place.line or 0, row.place.entry or 0)
    )
    if run.is_first:
        run.state.keep_rejected(rejected)
    return rejected


def _train(run: _Run, inputs: _Inputs) -> Report:
    def measure() -> dict[str, float]:
        return validate(inputs.validation, run.embedder, run.loader, run.group)

    settings, group = run.settings, run.group
    plan = Plan(inputs.pairs, settings.batch, group.size, settings.seed)
    schedule = _schedule(settings, plan)
    stage = FineTune(
        run.embedder, run.adapter, plan, run.loader, measure, temperature=settings.temperature, group=group
    )
    before = _kept(run, "before", measure)
    done = _steps(run, stage, schedule)
    report = Report(
        directory=settings.directory,
        steps=schedule.steps,
        steps_done=done,
        elapsed_s=0.0,
        interrupted=done < schedule.steps,
        base=f"{run.source.name} at {run.source.revision}",
        pairs={name: len(pairs) for name, pairs in inputs.pairs.items()},
        validation_pairs=len(inputs.validation),
        left_out=inputs.rejected,
        before=before,
    )
    return report if report.interrupted else _finished(run, report, measure)


def _steps(run: _Run, stage: FineTune, schedule: loop.Schedule) -> int:
    directory = run.settings.directory / "training"
    with ExitStack() as stack:
        interrupt = stack.enter_context(loop.Interrupt(run.status))
        log = stack.enter_context(loop.Log(_NAME, directory, run.status)) if run.is_first else None

        def report(step: loop.Progress) -> None:
            if log is not None:
                log.report(step)
                run.progress(Training(_NAME, step.steps, step.step, step.figures))

        return loop.run(stage, schedule, directory, run.settings.seed, report, group=run.group, stop=interrupt)


def _finished(run: _Run, report: Report, measure: Callable[[], dict[str, float]]) -> Report:
    """Merge the adapters, validate the merged model (merging rounds) and write it, unless it exists already."""
    directory = run.settings.directory / "model"
    if directory.exists():
        report = replace(report, after=run.state.figures("after") or {})
    else:
        partial = save_adapter(run.adapter, directory) if run.is_first else None
        wave = run.adapter.merge()
        report = replace(report, after=_kept(run, "after", measure))
        if partial is not None:
            save_model(wave, run.source.directory, model_card(report, run.settings), partial, directory)
    if not run.is_first:
        return report
    return replace(report, model=directory, revision=resolve(str(directory), run.group.device).revision)


def _kept(run: _Run, name: str, measure: Callable[[], dict[str, float]]) -> dict[str, float]:
    """Return metrics that are computed only once, in this start of the run or an earlier one."""
    figures = run.state.figures(name)
    if figures is None:
        figures = measure()
        if run.is_first:
            run.state.keep_figures(name, figures)
    return figures


def _schedule(settings: Settings, plan: Plan) -> loop.Schedule:
    steps = settings.steps_of(plan.epoch_steps)
    return loop.Schedule(
        steps,
        settings.learning_rate,
        warm_up_steps=max(1, round(_WARM_UP * steps)),
        weight_decay=0.0,
        checkpoint_every=settings.checkpoint_every,
    )
