"""A run that is interrupted ends as one that is not."""

from pathlib import Path

import numpy as np
import pytest
import torch

from wave_search.train.loop import Progress, Schedule, run


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


def test_the_rate_rises_then_falls() -> None:
    schedule = Schedule(steps=100, learning_rate=1.0, warm_up_steps=10)
    rates = [schedule.rate(step) for step in range(100)]
    assert rates[:10] == sorted(rates[:10])
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert max(rates) == 1.0
    assert rates[-1] < 0.05
