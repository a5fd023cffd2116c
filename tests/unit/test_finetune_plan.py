"""What a fine-tuning is told, and which pairs its steps take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wave_search.errors import UsageError
from wave_search.finetune import train
from wave_search.finetune.batches import Plan, by_task, chosen
from wave_search.finetune.rows import Pair, Place, Side
from wave_search.finetune.settings import Lora, Settings
from wave_search.types import Modality

NEEDED: dict[str, Any] = {"model": "wave-tiny", "directory": "out", "pairs": ["a.csv"]}


def pairs(modality: Modality, count: int, wrong: tuple[str, ...] = ()) -> list[Pair]:
    return [
        Pair(Place(Path("a.csv"), line), Side(modality, path=Path(f"{line}")), Side(Modality.TEXT, f"{line}"), wrong)
        for line in range(count)
    ]


TASKS = by_task([*pairs(Modality.AUDIO, 10), *pairs(Modality.VIDEO, 3), *pairs(Modality.AUDIO, 5, ("no",))])


def test_every_pair_is_in_each_epoch_and_batches_hold_one_task() -> None:
    plan = Plan(TASKS, 4, 1, seed=0)
    assert plan.epoch_steps == 3 + 1 + 2
    for epoch in range(2):
        batches = [plan.batch(epoch * plan.epoch_steps + step) for step in range(plan.epoch_steps)]
        for task, members in TASKS.items():
            mine = [batch.pairs for batch in batches if batch.task == task]
            assert {pair for batch in mine for pair in batch} == set(members)
            assert {len(batch) for batch in mine} == {min(4, len(members))}
            assert all(len(set(batch)) == len(batch) for batch in mine)


def test_the_order_depends_on_the_seed_and_the_epoch_alone() -> None:
    plan, same, other = Plan(TASKS, 4, 1, 0), Plan(TASKS, 4, 1, 0), Plan(TASKS, 4, 1, 1)
    late = [same.batch(step) for step in reversed(range(12))]
    steps = [plan.batch(step) for step in range(12)]
    assert steps == late[::-1]
    assert steps != [other.batch(step) for step in range(12)]
    assert steps[:6] != steps[6:]


def test_shares_of_several_processes_are_equal() -> None:
    plan = Plan(TASKS, 4, 2, seed=0)
    assert {len(plan.batch(step).pairs) % 2 for step in range(plan.epoch_steps)} == {0}
    with pytest.raises(UsageError, match="3 processes"):
        Plan(TASKS, 4, 3, seed=0)


def test_a_task_without_negatives_is_refused() -> None:
    with pytest.raises(UsageError, match="text_image has 1 pair"):
        Plan(by_task(pairs(Modality.IMAGE, 1)), 4, 1, seed=0)


def test_tasks_can_be_chosen() -> None:
    assert list(chosen(TASKS, ["questions", "text_audio"])) == ["questions", "text_audio"]
    assert chosen(TASKS, []) == TASKS
    with pytest.raises(UsageError, match="text_av"):
        chosen(TASKS, ["text_av"])


def test_defaults_are_those_of_the_published_training() -> None:
    settings = Settings.from_dict(NEEDED)
    assert settings.lora == Lora(128, 256, 0.05, ("q_proj", "k_proj", "v_proj"))
    assert (settings.learning_rate, settings.temperature) == (2e-5, 0.01)
    assert settings.steps_of(7) == 7
    assert Settings.from_dict({**NEEDED, "epochs": 2.5}).steps_of(10) == 25
    assert Settings.from_dict({**NEEDED, "steps": 9}).steps_of(10) == 9


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"model": None}, "model must be a text"),
        ({"stepps": 3}, "stepps is not known"),
        ({"steps": 0}, "steps must be 1 or more"),
        ({"steps": 1.5}, "steps must be a whole number"),
        ({"steps": 3, "epochs": 1}, "left out where steps"),
        ({"batch": 1}, "batch must be 2"),
        ({"batch": True}, "batch must be a whole number"),
        ({"pairs": []}, "pairs must be at least one"),
        ({"pairs": [1]}, "pairs must be a list of texts"),
        ({"learning_rate": 0.0}, "learning_rate must be more"),
        ({"lora": 3}, "lora must be a table"),
        ({"lora": {"rank": 0}}, "lora.rank must be 1"),
        ({"lora": {"targets": ["q"]}}, "lora.targets must be some of q_proj"),
        ({"lora": {"size": 3}}, "lora.size is not known"),
    ],
)
def test_mistakes_are_named(changes: dict[str, Any], cause: str) -> None:
    with pytest.raises(ValueError, match=cause):
        Settings.from_dict({**NEEDED, **changes})


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ("[finetune]\npairs = []\n", "model is missing"),
        ("[finetune", "not a training"),
        ("finetune = 3", "not a training"),
    ],
)
def test_a_configuration_that_is_none_is_refused_with_its_name(tmp_path: Path, content: str, cause: str) -> None:
    file = tmp_path / "run.toml"
    file.write_text(content)
    with pytest.raises(UsageError, match=cause) as caught:
        train(file)
    assert "run.toml" in caught.value.message
    with pytest.raises(UsageError, match=r"none\.toml.*No such file"):
        train(tmp_path / "none.toml")
