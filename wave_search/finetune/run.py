"""One fine-tuning from the configuration to the finished model."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from wave_search.errors import ModelError, UsageError
from wave_search.finetune import loop
from wave_search.finetune.batches import Plan, by_task, chosen
from wave_search.finetune.checking import checked, resolved
from wave_search.finetune.interrupt import Interrupt
from wave_search.finetune.loading import Loader
from wave_search.finetune.log import Log
from wave_search.finetune.lora import Adapter
from wave_search.finetune.pairs import Data, read
from wave_search.finetune.report import LeftOut, Report
from wave_search.finetune.result import begin, card, finish
from wave_search.finetune.rows import Pair, Rejected
from wave_search.finetune.stage import FineTune
from wave_search.finetune.state import State, without
from wave_search.finetune.validation import validate
from wave_search.models.device import resolve_dtype
from wave_search.models.wave.checkpoint import load_wave, read_config
from wave_search.models.wave.embedder import WaveEmbedder
from wave_search.models.wave.family import resolve
from wave_search.models.wave.tokenizer import TextTokenizer
from wave_search.reports import Training

if TYPE_CHECKING:
    from collections.abc import Callable

    from wave_search.finetune.distributed import Team
    from wave_search.finetune.settings import Settings
    from wave_search.models.wave.family import Source
    from wave_search.reports import TrainingCallback

_NAME = "finetune"
_WARM_UP = 0.03
"""Of all steps; that of WAVE's published training."""


@dataclass(frozen=True, slots=True)
class _Run:
    """What all parts of a run need."""

    settings: Settings
    source: Source
    embedder: WaveEmbedder
    adapter: Adapter
    loader: Loader
    state: State
    team: Team
    watch: TrainingCallback
    say: Callable[[str], None]

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and reports."""
        return self.team.rank == 0


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What is trained and validated on."""

    pairs: dict[str, list[Pair]]
    """By task."""
    validation: list[Pair]
    rejected: tuple[Rejected, ...]


def fine_tune(settings: Settings, team: Team, watch: TrainingCallback, say: Callable[[str], None]) -> Report:
    """Fine-tune a model, or go on with it.

    Args:
        settings: of the run.
        team: the processes that do it together; the first writes the files.
        watch: is called with how it goes on.
        say: takes a line for people now and then.

    Raises:
        UsageError: the settings or the data make no sense, or the directory holds another run.
        ModelError: the model cannot be loaded, is too large for the device, or training it fails.
        MediaError: a file that was good cannot be read any more.
    """
    started = time.monotonic()
    watch(Training("loading", 0, 0))
    training, validation = read(settings.pairs), read(settings.validation)
    source = resolve(settings.model, team.device)
    state = State(settings.directory / "training")
    digests = {"base": source.revision, "training_data": training.digest, "validation_data": validation.digest}
    if team.rank == 0:
        state.claim(settings, processes=team.size, **digests)
    team.total(0.0)  # the others wait for that
    try:
        embedder = _load(settings, source, team)
        # Before all media are read: packages that are missing had better be known at once.
        adapter = Adapter(embedder.wave, f"{source.name} at {source.revision}", settings.lora, settings.seed)
        with Loader(embedder.spec.sampling) as loader:
            run = _Run(settings, source, embedder, adapter, loader, state, team, watch, say)
            report = _train(run, _inputs(run, training, validation))
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"the memory of {team.device} is too small for a step",
            "Lower batch, or cut the media into shorter ranges; docs/finetuning.md says what is needed.",
        ) from error
    return replace(report, elapsed_s=time.monotonic() - started)


def _load(settings: Settings, source: Source, team: Team) -> WaveEmbedder:
    tokenizer = TextTokenizer.from_directory(source.directory, read_config(source.directory).tokens)
    wave = load_wave(source.directory, device=team.device, dtype=resolve_dtype(settings.dtype))
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
        first = f"; the first is {every_fault[0].place}: {every_fault[0].cause}" if every_fault else ""
        raise UsageError(f"none of {len(training.pairs) + len(training.rejected):,} rows can be trained on{first}")
    return _Inputs(chosen(by_task(kept), run.settings.tasks), kept_validation, every_fault)


def _check(run: _Run, pairs: list[Pair]) -> list[Rejected]:
    """Each process looks at its share."""
    mine = pairs[run.team.rank :: run.team.size]

    def report(done: int) -> None:
        run.watch(Training("checking media", len(mine), done))

    results = checked(mine, run.loader, run.embedder.wave.config, report)
    found = run.team.gather_lists([result for result in results if isinstance(result, Rejected)])
    rejected: list[Rejected] = sorted(found, key=lambda row: (str(row.place.file), row.place.line))
    if run.is_first:
        run.state.keep_rejected(rejected)
    return rejected


def _train(run: _Run, inputs: _Inputs) -> Report:
    def measure() -> dict[str, float]:
        return validate(inputs.validation, run.embedder, run.loader, run.team)

    settings, team = run.settings, run.team
    plan = Plan(inputs.pairs, settings.batch, team.size, settings.seed)
    schedule = _schedule(settings, plan)
    stage = FineTune(run.embedder, run.adapter, plan, run.loader, measure, temperature=settings.temperature, team=team)
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
        left_out=tuple(LeftOut(str(row.place.file), row.place.line, row.cause) for row in inputs.rejected),
        before=before,
    )
    return report if report.interrupted else _finished(run, report, measure)


def _steps(run: _Run, stage: FineTune, schedule: loop.Schedule) -> int:
    directory = run.settings.directory / "training"
    with ExitStack() as stack:
        interrupt = stack.enter_context(Interrupt(run.say))
        log = stack.enter_context(Log(_NAME, directory, run.say)) if run.is_first else None

        def report(progress: loop.Progress) -> None:
            if log is not None:
                log.report(progress)
                run.watch(Training(_NAME, progress.steps, progress.step, progress.figures))

        return loop.run(stage, schedule, directory, run.settings.seed, report, stop=interrupt, team=run.team)


def _finished(run: _Run, report: Report, measure: Callable[[], dict[str, float]]) -> Report:
    """Merge, measure what is delivered, since merging rounds, and write it; nothing of that if it was done before."""
    directory = run.settings.directory / "model"
    if directory.exists():
        report = replace(report, after=run.state.figures("after") or {})
    else:
        partial = begin(run.adapter, directory) if run.is_first else None
        wave = run.adapter.merge()
        report = replace(report, after=_kept(run, "after", measure))
        if partial is not None:
            finish(wave, run.source.directory, card(report, run.settings), partial, directory)
    if not run.is_first:
        return report
    return replace(report, model=directory, revision=resolve(str(directory), run.team.device).revision)


def _kept(run: _Run, name: str, measure: Callable[[], dict[str, float]]) -> dict[str, float]:
    """Figures that were measured once, in this run or before."""
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
