"""A run that is interrupted ends as one that is not."""

import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import recipes.wave_nano
from recipes.wave_nano import recipe
from recipes.wave_nano.config import STAGES, TrainConfig
from wave_search.finetune.loop import Progress, Schedule, run
from wave_search.reports import Training

SHIPPED = Path(recipes.wave_nano.__file__).parent / "nano.toml"


class Line:
    """Fits a line to points that each step draws."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.trained = torch.nn.Linear(1, 1)
        self.stop_at: int | None = None

    def loss(self, rng: np.random.Generator, step: int) -> tuple[torch.Tensor, dict[str, float]]:
        if step == self.stop_at:
            raise KeyboardInterrupt
        x = torch.from_numpy(rng.standard_normal((8, 1), dtype=np.float32))
        loss = ((self.trained(x) - 3 * x - 1) ** 2).mean()
        return loss, {"loss": float(loss.detach())}

    def validate(self) -> dict[str, float]:
        return {"slope": float(self.trained.weight)}


def test_resuming_gives_the_weights_of_an_uninterrupted_run(tmp_path: Path) -> None:
    schedule = Schedule(steps=40, learning_rate=0.1, warm_up_steps=3, checkpoint_every=10)
    whole = Line()
    run(whole, schedule, tmp_path / "whole", 5, lambda progress: None)

    cut = Line()
    cut.stop_at = 27
    with pytest.raises(KeyboardInterrupt):
        run(cut, schedule, tmp_path / "cut", 5, lambda progress: None)
    seen: list[Progress] = []
    resumed = Line()
    run(resumed, schedule, tmp_path / "cut", 5, seen.append)

    assert [progress.step for progress in seen] == list(range(21, 41))
    assert torch.equal(resumed.trained.weight, whole.trained.weight)
    assert "slope" in seen[-1].figures


def test_told_to_stop_it_writes_a_checkpoint_and_goes_on_from_there(tmp_path: Path) -> None:
    schedule = Schedule(steps=10, learning_rate=0.1, checkpoint_every=100)
    seen: list[Progress] = []
    assert run(Line(), schedule, tmp_path, 5, seen.append, stop=lambda: len(seen) == 3) == 4
    assert run(Line(), schedule, tmp_path, 5, seen.append) == 10
    assert [progress.step for progress in seen] == list(range(1, 11))


def test_a_recipe_runs_its_stages_until_it_is_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "prepare", lambda config: None)
    monkeypatch.setattr(recipe, "make_stage", lambda *_: Line())
    schedules = dict.fromkeys(STAGES, Schedule(steps=4, learning_rate=0.1))
    config = replace(TrainConfig.read(SHIPPED), directory=tmp_path, schedules=schedules)
    seen: list[Training] = []

    def interrupt(training: Training) -> None:
        seen.append(training)
        if (training.stage, training.steps_done) == (STAGES[1], 2):
            signal.raise_signal(signal.SIGINT)

    said: list[str] = []
    report = recipe.run_stages(config, (), interrupt, said.append)
    assert (report.interrupted, report.steps_done, report.steps) == (True, 7, 4 * len(STAGES))
    assert any("Ctrl-C again" in line for line in said)
    report = recipe.run_stages(config, (), seen.append, said.append)
    assert (report.interrupted, report.steps_done) == (False, report.steps)
    steps = [(training.stage, training.steps_done) for training in seen if training.steps]
    assert steps == [(name, step) for name in STAGES for step in range(1, 5)]


def test_the_rate_rises_then_falls() -> None:
    schedule = Schedule(steps=100, learning_rate=1.0, warm_up_steps=10)
    rates = [schedule.rate(step) for step in range(100)]
    assert rates[:10] == sorted(rates[:10])
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert max(rates) == 1.0
    assert rates[-1] < 0.05
