"""Task files: those of the package, and those that somebody writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wave_search.errors import UsageError
from wave_search.evaluation.datasets.tasks import known_tasks, load_task
from wave_search.evaluation.metrics import query_figures

PAPER = {
    "audiocaps", "clotho", "mmar", "mmau", "musiccaps", "vggsound",
    "mmeb-v2-video-cls",
    "mmeb-v2-didemo", "mmeb-v2-msr-vtt", "mmeb-v2-msvd", "mmeb-v2-vatex", "mmeb-v2-youcook2",
    "mmeb-v2-egoschema", "mmeb-v2-nextqa", "mmeb-v2-video-mme",
}  # fmt: skip


@pytest.mark.parametrize("name", known_tasks())
def test_every_task_of_the_package_is_whole(name: str) -> None:
    task = load_task(name)
    assert task.title
    assert task.source
    assert task.notes
    figures = {*query_figures(np.zeros((1, 1), np.int64), [[1]]), "accuracy"}
    assert {*task.expected} <= figures
    assert all(0 < value < 1 for value in task.expected.values())


def test_there_is_one_for_each_table_of_the_paper() -> None:
    assert {*known_tasks()} == PAPER


def test_own_tasks_are_read_and_faults_named(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(
        'title = "Own"\nsource = "here"\n[table]\nquery = {modality = "text", values = ["{a}"]}\n'
        'target = {modality = "audio", values = ["{b}.wav"]}\n'
    )
    assert load_task(str(own)).name == "own"
    once = own.read_text()
    for content, cause in (
        ("title = ", "not valid TOML"),
        ('title = "Own"', "missing required field `source`"),
        (
            'title = "x"\nsource = "x"\n[questions]\nmodality = "smell"\n',
            "questions.modality: Invalid enum value",
        ),
        (f'{once}keep = "split"\n', "table.keep: Expected `array | null`, got `str`"),
        (once.replace('["{a}"]', '"{a}"'), "table.query.values: Expected `array`, got `str`"),
        (once.replace("[table]", "[tabel]"), "contains unknown field `tabel`"),
        (f"{once}[expected]\naccuracy = '1'\n", "expected[...]: Expected `float`, got `str`"),
    ):
        own.write_text(content)
        with pytest.raises(UsageError, match=r"own.toml: .*reproduce-paper") as error:
            load_task(str(own))
        assert cause in error.value.message
    with pytest.raises(UsageError, match="cannot be read"):
        load_task(str(tmp_path / "none.toml"))
    with pytest.raises(UsageError, match=r'no task "own". Choose from audiocaps'):
        load_task("own")
