"""Fine-tuning the tiny model on a few tones and videos: what it changes, how it resumes, what it writes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import wave_search as ws
from tests.fork_server import StandIns
from tests.media_factory import write_sound, write_video
from wave_search.errors import IndexMismatchError, ModelError, UsageError
from wave_search.finetune import Report, train
from wave_search.models.sources import TINY_DIRECTORY
from wave_search.reports import Training

WORDS = ("a low hum", "a middle pitch", "a whistle", "a shrill squeak")
BAD_ROWS = "missing.wav,,,nothing\ntone0.wav,5,6,too late\nbroken.mp4,,,half a film\ntone0.wav,x,,no number\n"
STEPS, CHECKPOINT_EVERY = 8, 3


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs of four tasks, and rows that cannot be used."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("data")
    for number, hz in enumerate((110, 440, 1760, 3520)):
        write_sound(folder / f"tone{number}.wav", 1.0, hz)
    for number in range(2):
        write_video(folder / f"film{number}.mp4", 1.0, seed=3 * number, hz=300 + 900 * number)
    (folder / "broken.mp4").write_bytes((folder / "film0.mp4").read_bytes()[:900])
    rows = [f"tone{number}.wav,0,1,{words}" for number, words in enumerate(WORDS)]
    rows += ["film0.mp4,,,waves that hum", "film1.mp4,,,waves that squeak"]
    (folder / "pairs.csv").write_text("path,start_s,stop_s,text\n" + "\n".join(rows) + "\n" + BAD_ROWS)
    asked = [{"from": "human", "value": "<image>\nHow high is it?"}, {"from": "gpt", "value": "low"}]
    other = [{"from": "human", "value": "<image>\nPlease describe the audio."}, {"from": "gpt", "value": ""}]
    records = [{"audio": "tone0.wav", "conversations": asked, "neg_text": ["high", "very high"]}] + [
        {
            "audio": f"tone{number}.wav",
            "conversations": other,
            "pos_image": {"video": f"film{number}.mp4", "conversations": other[:1]},
        }
        for number in range(2)
    ]
    (folder / "pairs.json").write_text(json.dumps(records))
    return folder


Configure = Callable[..., Path]


@pytest.fixture
def configure(data: Path, tmp_path: Path) -> Configure:
    return lambda name, **changes: written(data, tmp_path, name, **changes)


def written(data: Path, folder: Path, name: str, **changes: Any) -> Path:
    """A configuration of a run in `folder / name`."""
    settings = {
        "model": "wave-tiny",
        "directory": str(folder / name),
        "pairs": [str(data / "pairs.csv")],
        "tasks": ["text_audio"],
        "steps": STEPS,
        "batch": 4,
        "learning_rate": 3e-3,
        "temperature": 0.1,
        "checkpoint_every": CHECKPOINT_EVERY,
        **changes,
    }
    lora = {"rank": 4, "alpha": 8, "dropout": 0.1}
    lines = ["[finetune]", *(f"{key} = {json.dumps(value)}" for key, value in settings.items())]
    lines += ["[finetune.lora]", *(f"{key} = {json.dumps(value)}" for key, value in lora.items())]
    file = folder / f"{name}.toml"
    file.write_text("\n".join(lines) + "\n")
    return file


def run(config: Path, **options: Any) -> Report:
    report = train(config, device="cpu", **options)
    assert report is not None
    return report


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, list[Training]]:
    """A run from its beginning to its end, and all that it told."""
    seen: list[Training] = []
    config = written(data, tmp_path_factory.mktemp("whole"), "whole", validation=[str(data / "pairs.csv")])
    return run(config, progress=seen.append), seen


def test_the_loss_falls_and_recall_rises(undisturbed: tuple[Report, list[Training]]) -> None:
    report, seen = undisturbed
    losses = [training.figures["loss"] for training in seen if training.stage == "finetune"]
    assert len(losses) == report.steps_done == STEPS
    assert losses[-1] < 0.75 * losses[0]
    assert report.after["text to audio R@1"] > report.before["text to audio R@1"]
    assert not report.interrupted
    assert report.pairs == {"text_audio": 4}
    assert report.validation_pairs == 6


def test_what_cannot_be_used_is_listed_with_line_and_cause(undisturbed: tuple[Report, list[Training]]) -> None:
    causes = {row.place.line: row.cause for row in undisturbed[0].left_out}
    assert {line: cause.split("/")[-1].split(".")[0] for line, cause in causes.items() if line < 11} == {
        8: "missing",
        9: "tone0",
        10: "broken",
    }
    assert "begins at 5 s" in causes[9]
    assert "start_s is 'x'" in causes[11]
    assert len(causes) == len(undisturbed[0].left_out) == 4


def test_only_queries_keys_and_values_of_the_decoder_change(undisturbed: tuple[Report, list[Training]]) -> None:
    model = undisturbed[0].model
    assert model is not None
    base, tuned = (load_file(folder / "model.safetensors") for folder in (TINY_DIRECTORY, model))
    changed = {key for key in base if not torch.equal(base[key].float(), tuned[key].float())}
    layers = {key.split(".")[2] for key in base if key.startswith("model.layers.")}
    assert changed == {
        f"model.layers.{layer}.self_attn.{part}_proj.weight" for layer in layers for part in ("q", "k", "v")
    }
    assert base.keys() == tuned.keys()


def test_the_result_is_a_model_like_any_other(
    undisturbed: tuple[Report, list[Training]], data: Path, tmp_path: Path
) -> None:
    model = undisturbed[0].model
    tone, on_cpu = ws.Audio(str(data / "tone0.wav")), ws.LoadOptions(device="cpu")
    with ws.load_embedder(str(model), load=on_cpu) as tuned, ws.load_embedder("wave-tiny", load=on_cpu) as base:
        assert tuned.spec.revision == undisturbed[0].revision != base.spec.revision
        assert float(tuned.encode(tone) @ base.encode(tone)) < 0.9999
    ws.create(tmp_path / "index", "wave-tiny", load=on_cpu).close()
    with pytest.raises(IndexMismatchError, match="wave-tiny"):
        ws.open(tmp_path / "index", str(model), load=on_cpu)


def test_the_adapter_on_the_base_gives_the_same_vectors(undisturbed: tuple[Report, list[Training]]) -> None:
    from peft import PeftModel

    from wave_search.models.wave.checkpoint import load_wave
    from wave_search.models.wave.sequences import text_sequence

    model = undisturbed[0].model
    assert model is not None
    merged, base = load_wave(model), load_wave(TINY_DIRECTORY)
    adapted = PeftModel.from_pretrained(base, str(model / "adapter")).base_model.model
    with torch.no_grad():
        text = [text_sequence(base.config, [5, 6, 7])]
        torch.testing.assert_close(adapted.embed_text(text), merged.embed_text(text), atol=1e-5, rtol=1e-4)


def test_the_card_says_what_was_done(undisturbed: tuple[Report, list[Training]]) -> None:
    report = undisturbed[0]
    assert report.model is not None
    card = (report.model / "README.md").read_text()
    for said in ("wave-tiny at ", "text_audio: 4 pairs", f"{STEPS} steps", "4 rows left out", "text to audio R@1"):
        assert said in card


def test_a_finished_run_does_nothing_again(undisturbed: tuple[Report, list[Training]]) -> None:
    report = undisturbed[0]
    seen: list[Training] = []
    again = run(report.directory.parent / "whole.toml", progress=seen.append)
    assert [training.stage for training in seen] == ["loading"]
    assert (again.revision, again.after, again.left_out) == (report.revision, report.after, report.left_out)


def test_an_interrupted_run_ends_as_an_undisturbed_one(
    undisturbed: tuple[Report, list[Training]], configure: Configure
) -> None:
    def interrupt(training: Training) -> None:
        if training.stage == "finetune" and training.steps_done == 4:
            signal.raise_signal(signal.SIGINT)

    config = configure("cut")
    cut = run(config, progress=interrupt)
    assert (cut.interrupted, cut.model, cut.steps_done) == (True, None, 5)
    seen: list[Training] = []
    assert run(config, progress=seen.append).revision == undisturbed[0].revision
    assert [training.steps_done for training in seen if training.steps == STEPS] == [6, 7, 8]


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from wave_search.finetune import train
def kill(training):
    if training.stage == "finetune" and training.steps_done == 5:
        os.kill(os.getpid(), signal.SIGKILL)
train(Path(sys.argv[1]), device="cpu", progress=kill)
"""


def test_a_killed_run_ends_as_an_undisturbed_one(
    undisturbed: tuple[Report, list[Training]], configure: Configure, stand_ins: StandIns
) -> None:
    config = configure("killed")
    killed = subprocess.run([stand_ins.python, "-c", KILLED, config], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    seen: list[Training] = []
    assert run(config, progress=seen.append).revision == undisturbed[0].revision
    assert [training.steps_done for training in seen if training.steps == STEPS] == [4, 5, 6, 7, 8]


def test_all_tasks_together(configure: Configure, data: Path) -> None:
    both = [str(data / "pairs.csv"), str(data / "pairs.json")]
    seen: list[Training] = []
    report = run(configure("all", pairs=both, validation=both, tasks=[], batch=2, steps=6), progress=seen.append)
    assert report.pairs == {"audio_video": 2, "questions": 1, "text_audio": 4, "text_av": 2}
    trained = {name for training in seen for name in training.figures if name.endswith(" loss")}
    assert trained == {"audio_video loss", "questions loss", "text_audio loss", "text_av loss"}
    assert {"questions accuracy", "text to av R@1", "video to audio R@1"} <= report.after.keys()


def test_another_run_in_the_same_directory_is_refused(undisturbed: tuple[Report, list[Training]], data: Path) -> None:
    folder = undisturbed[0].directory.parent
    other = written(data, folder, "whole", validation=[str(data / "pairs.csv")], learning_rate=1e-3)
    try:
        with pytest.raises(UsageError, match=r"another learning_rate: 0\.003, not 0\.001"):
            run(other)
    finally:
        written(data, folder, "whole", validation=[str(data / "pairs.csv")])


def test_data_of_no_use_are_refused(configure: Configure, tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    file.write_text("path,text\nmissing.wav,nothing\n")
    with pytest.raises(UsageError, match=r"none of 1 rows can be trained on.*line 2: .*missing\.wav"):
        run(configure("bad", pairs=[str(file)]))


def test_mistakes_can_be_corrected_before_there_is_a_checkpoint(configure: Configure, tmp_path: Path) -> None:
    rows = tmp_path / "pairs.csv"
    rows.write_text("path,text\nhigh.wav,high\nlow.wav,low\n")
    with pytest.raises(UsageError, match="none of 2 rows"):
        run(configure("corrected", pairs=[str(rows)], steps=1))
    for name, hz in (("high", 2000), ("low", 200)):
        write_sound(tmp_path / f"{name}.wav", 1.0, hz)
    assert run(configure("corrected", pairs=[str(rows)], steps=1, batch=2)).left_out == ()


@pytest.mark.parametrize("package", ["accelerate", "peft"])
def test_a_missing_package_is_named(configure: Configure, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=rf"{package}.*wave-search\[train\]"):
        run(configure("lacking"))


def test_a_model_of_another_origin_is_not_taken_for_the_result(configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "taken" / "model").mkdir(parents=True)
    with pytest.raises(UsageError, match="a model of another run"):
        run(configure("taken"))


def test_a_loss_that_is_not_finite_ends_the_run(configure: Configure) -> None:
    config = configure("wild", learning_rate=1e30, batch=4)
    with pytest.raises(ModelError, match=r"loss of step \d+ is not finite"):
        run(config)


SHARED = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from wave_search.finetune import train
train(Path(sys.argv[1]), device="cpu")
"""


def test_two_processes_make_the_steps_of_one(configure: Configure, stand_ins: StandIns, tmp_path: Path) -> None:
    configs = [configure(name, steps=3) for name in ("one", "two")]
    for config in configs:
        config.write_text(config.read_text().replace("dropout = 0.1", "dropout = 0.0"))
    run(configs[0])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    started = [
        subprocess.Popen(
            [stand_ins.python, "-c", SHARED, configs[1]],
            env=os.environ | meeting | {"RANK": rank, "LOCAL_RANK": rank},
            stderr=subprocess.PIPE,
        )
        for rank in ("0", "1")
    ]
    for process in started:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    one, two = (load_file(tmp_path / name / "model/adapter/adapter_model.safetensors") for name in ("one", "two"))
    assert max(float(value.abs().max()) for value in one.values()) > 1e-3
    for key, value in one.items():
        np.testing.assert_allclose(two[key], value, atol=2e-5)


def test_the_command(cli: Any, configure: Configure) -> None:
    config = configure("command", steps=2)
    done = cli("train", config, "--device", "cpu", "--json")
    assert done.returncode == 3, done.stderr
    record = json.loads(done.stdout)
    assert (record["steps_done"], len(record["left_out"]), record["pairs"]) == (2, 4, {"text_audio": 4})
    assert Path(record["model"], "config.json").is_file()
    for row in record["left_out"]:  # names the row as the message does
        assert f"{row['path']}, {row['place']}: " in done.stderr
    assert "missing.wav" in done.stderr
    assert "Traceback" not in done.stderr
    refused = cli("train", config.with_name("none.toml"))
    assert refused.returncode == 2
    assert "none.toml" in refused.stderr
