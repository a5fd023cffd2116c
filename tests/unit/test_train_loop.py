"""A run that is interrupted ends as one that is not."""

import signal
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

import recipes.wave_nano
from recipes.wave_nano import __main__ as program
from recipes.wave_nano import stages
from recipes.wave_nano.config import STAGES, Stages, TrainConfig
from wave_search.errors import WaveSearchError
from wave_search.finetune.distributed import ProcessGroup
from wave_search.finetune.loop import CHECKPOINT, Progress, Schedule, run

ALONE = ProcessGroup("cpu")
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
    run(whole, schedule, tmp_path / "whole", 5, lambda progress: None, group=ALONE)

    cut = Line()
    cut.stop_at = 27
    with pytest.raises(KeyboardInterrupt):
        run(cut, schedule, tmp_path / "cut", 5, lambda progress: None, group=ALONE)
    seen: list[Progress] = []
    resumed = Line()
    run(resumed, schedule, tmp_path / "cut", 5, seen.append, group=ALONE)

    assert [progress.step for progress in seen] == list(range(21, 41))
    assert torch.equal(resumed.trained.weight, whole.trained.weight)
    assert "slope" in seen[-1].figures


def test_a_stopped_run_writes_a_checkpoint_and_resumes_there(tmp_path: Path) -> None:
    schedule = Schedule(steps=10, learning_rate=0.1, checkpoint_every=100)
    seen: list[Progress] = []
    assert run(Line(), schedule, tmp_path, 5, seen.append, group=ALONE, stop=lambda: len(seen) == 3) == 4
    assert run(Line(), schedule, tmp_path, 5, seen.append, group=ALONE) == 10
    assert [progress.step for progress in seen] == list(range(1, 11))


def test_a_checkpoint_that_cannot_be_written_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).mkdir()
    schedule = Schedule(steps=2, learning_rate=0.1)
    with pytest.raises(WaveSearchError, match=r"last\.pt: the checkpoint cannot be written"):
        run(Line(), schedule, tmp_path, 5, lambda progress: None, group=ALONE)
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]


def test_the_recipe_runs_its_stages_until_it_is_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[tuple[str, int]] = []

    class Recorded(Line):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def loss(self, rng: np.random.Generator, step: int) -> tuple[torch.Tensor, dict[str, float]]:
            steps.append((self.name, step))
            if len(steps) == 6:
                signal.raise_signal(signal.SIGINT)
            return super().loss(rng, step)

    monkeypatch.setattr(stages, "prepare", lambda config: None)
    monkeypatch.setattr(stages, "make_stage", lambda name, *_: Recorded(name))
    schedules = Stages(*[Schedule(steps=4, learning_rate=0.1)] * len(STAGES))
    config = msgspec.structs.replace(TrainConfig.read(SHIPPED), directory=tmp_path, stages=schedules)
    said: list[str] = []
    assert not stages.run_stages(config, (), said.append)
    assert any("Ctrl-C again" in line for line in said)
    assert stages.run_stages(config, (), said.append)
    assert steps == [(name, step) for name in STAGES for step in range(4)]
    assert stages.run_stages(config, ("audio",), said.append), "nothing is left to do"
    assert len(steps) == 4 * len(STAGES)


def test_the_program_trains_by_default_and_reports_mistakes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[TrainConfig, tuple[str, ...]]] = []

    def run_stages(config: TrainConfig, names: tuple[str, ...], status: object) -> bool:
        started.append((config, tuple(names)))
        return len(started) > 1

    monkeypatch.setattr(program, "run_stages", run_stages)
    threads = ["--threads", str(torch.get_num_threads())]
    assert program.main([str(SHIPPED), "--stage", "text", *threads]) == 130
    assert program.main(["train", str(SHIPPED), *threads]) == 0
    assert started == [(TrainConfig.read(SHIPPED), ("text",)), (TrainConfig.read(SHIPPED), ())]
    assert program.main(["export", str(tmp_path / "none.toml"), str(tmp_path), *threads]) == 1
    assert "none.toml: cannot be read (No such file" in capsys.readouterr().err


def test_the_rate_rises_then_falls() -> None:
    schedule = Schedule(steps=100, learning_rate=1.0, warm_up_steps=10)
    rates = [schedule.rate(step) for step in range(100)]
    assert rates[:10] == sorted(rates[:10])
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert max(rates) == 1.0
    assert rates[-1] < 0.05
