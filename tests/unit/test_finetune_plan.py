"""What a fine-tuning is told, and which pairs its steps take."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wave_search.errors import UsageError
from wave_search.evaluation.datasets.rows import Place
from wave_search.finetune import train
from wave_search.finetune.data import Pair, Plan, Side, by_task, select_tasks
from wave_search.finetune.settings import Lora, Settings
from wave_search.types import Modality

NEEDED: dict[str, Any] = {"model": "wave-tiny", "directory": "out", "pairs": ["a.csv"]}


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., Settings]:
    """Read a configuration with the values that are needed, and others."""

    def read(**changes: Any) -> Settings:
        lora = changes.pop("lora", {})
        lines = [f"{name} = {json.dumps(value)}" for name, value in {**NEEDED, **changes}.items() if value is not None]
        if isinstance(lora, dict):
            lines += ["[finetune.lora]", *(f"{name} = {json.dumps(value)}" for name, value in lora.items())]
        else:
            lines.append(f"lora = {json.dumps(lora)}")
        file = tmp_path / "run.toml"
        file.write_text("\n".join(["[finetune]", *lines]).replace("Infinity", "inf"))  # as TOML writes it
        return Settings.read(file)

    return read


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
    assert list(select_tasks(TASKS, ["questions", "text_audio"])) == ["questions", "text_audio"]
    assert select_tasks(TASKS, []) == TASKS
    with pytest.raises(UsageError, match="text_av"):
        select_tasks(TASKS, ["text_av"])


def test_defaults_are_those_of_the_published_training(settings: Callable[..., Settings]) -> None:
    plain = settings()
    assert plain.lora == Lora(128, 256, 0.05, ("q_proj", "k_proj", "v_proj"))
    assert (plain.learning_rate, plain.temperature) == (2e-5, 0.01)
    assert (plain.directory, plain.pairs) == (Path("out"), (Path("a.csv"),))
    assert plain.steps_of(7) == 7
    assert settings(epochs=2.5).steps_of(10) == 25
    assert settings(epochs=2).steps_of(10) == 20
    assert settings(steps=9).steps_of(10) == 9


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"model": None}, "finetune: Object missing required field `model`"),
        ({"model": 3}, "finetune.model: Expected `str`, got `int`"),
        ({"stepps": 3}, "finetune: Object contains unknown field `stepps`"),
        ({"steps": 0}, "finetune.steps: Expected `int` >= 1"),
        ({"steps": 1.5}, "finetune.steps: Expected `int | null`, got `float`"),
        ({"steps": 3, "epochs": 1}, "finetune: epochs and steps exclude each other"),
        ({"epochs": 0}, "finetune.epochs: Expected `float` > 0"),
        ({"epochs": float("inf")}, "finetune.epochs: Expected `float` <= 1.79"),
        ({"learning_rate": float("inf")}, "finetune.learning_rate: Expected `float` <= 1.79"),
        ({"seed": -1}, "finetune.seed: Expected `int` >= 0"),
        ({"seed": 2**63}, "finetune.seed: Expected `int` <= 9223372036854775807"),
        ({"batch": 1}, "finetune.batch: Expected `int` >= 2"),
        ({"batch": True}, "finetune.batch: Expected `int`, got `bool`"),
        ({"pairs": []}, "finetune.pairs: Expected `array` of length >= 1"),
        ({"pairs": "a.csv"}, "finetune.pairs: Expected `array`, got `str`"),
        ({"pairs": ["a.csv", 1]}, "finetune.pairs[1]: Expected `Path`, got `int`"),
        ({"learning_rate": 0.0}, "finetune.learning_rate: Expected `float` > 0"),
        ({"dtype": "float16"}, "finetune.dtype: Invalid enum value 'float16'"),
        ({"lora": 3}, "finetune.lora: Expected `object`, got `int`"),
        ({"lora": {"rank": 0}}, "finetune.lora.rank: Expected `int` >= 1"),
        ({"lora": {"dropout": 1}}, "finetune.lora.dropout: Expected `float` < 1"),
        ({"lora": {"targets": ["q"]}}, "finetune.lora.targets[0]: Invalid enum value 'q'"),
        ({"lora": {"size": 3}}, "finetune.lora: Object contains unknown field `size`"),
    ],
)
def test_mistakes_are_named_with_file_and_key(
    settings: Callable[..., Settings], changes: dict[str, Any], cause: str
) -> None:
    with pytest.raises(UsageError) as error:
        settings(**changes)
    assert f"run.toml: {cause}" in error.value.message


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ('[finetune]\npairs = ["a.csv"]\n', "missing required field `model`"),
        ("[finetune", "not valid TOML"),
        ("[train]", r"no table \[finetune\]"),
        ("finetune = 3", "finetune: Expected `object`, got `int`"),
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
