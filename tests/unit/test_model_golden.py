"""The model reproduces recorded numbers of the published implementation."""

from __future__ import annotations

import json
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.golden.__main__ import main
from tests.golden.cases import ClipBuilder, check_sounds, run_case
from tests.golden.folder import Folder
from tests.golden.ledger import Arrays, Ledger
from tests.golden.run import load, run
from tests.golden.tables import run_tables
from wave_search.models.wave import preprocess

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
FOLDER = Folder.open(GOLDEN)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    ledger = Ledger()
    wave = load(FOLDER, tmp_path_factory.mktemp("checkpoint"), ledger)
    return wave, ledger


def test_every_weight_arrives(loaded):
    _, ledger = loaded
    assert len(ledger.outcomes) == 2
    assert ledger.ok


@pytest.mark.parametrize("name", sorted(FOLDER.cases))
def test_case(loaded, name):
    ledger = Ledger()
    run_case(FOLDER, loaded[0], name, ledger)
    assert ledger.failures() == []
    assert ledger.unchecked == []
    assert ledger.faults == []
    assert len(ledger.outcomes) > 10


def test_tables(loaded):
    ledger = Ledger()
    assert run_tables(FOLDER, loaded[0], ledger) == 8
    assert ledger.failures() == []
    assert ledger.unchecked == []
    assert ledger.faults == []


def test_a_last_piece_under_a_second_is_recorded_before_it_is_padded(loaded, monkeypatch):
    """The release cuts at 300 s; the same rules hold for pieces of 2 s, which the model embeds faster."""
    monkeypatch.setattr(preprocess, "_PIECE_SAMPLES", 32_000)
    wave, ledger = loaded[0], Ledger()
    samples = FOLDER.generator.wave_int16(38_400, 15)
    raw = {
        "n_samples": len(samples),
        "seed": 15,
        "crc32_int16_le": zlib.crc32(samples.astype("<i2").tobytes()),
        "first8": samples[:8].tolist(),
    }
    waveform = (samples / 32768).astype(np.float32)
    first, last = waveform[:32_000], np.pad(waveform[32_000:], (0, 9_600))
    recorded = {
        "in_feature_mask_sum": np.array([200, 100]),
        "in_raw_wav_0_len": np.array(38_400),
        "in_raw_wav_0_head": waveform[:64],
        "in_mel_0": preprocess.log_mel(first, 128),
        "in_mel_0_padpart": np.zeros(2),
        "in_mel_1": preprocess.log_mel(last, 128),
    }
    rest = preprocess.padded_log_mel(last, 128)[100:]
    recorded["in_mel_1_padpart"] = np.array([rest.min(), rest.max()])
    tokens = wave.config.tokens
    inputs = ClipBuilder(FOLDER, wave, {"audio": iter([raw])}, "sequential")
    inputs.build(np.array([tokens.audio_start, tokens.audio, tokens.audio_end, 1, tokens.end]))
    arrays = Arrays("last piece", recorded, ledger)
    check_sounds(arrays, inputs)
    arrays.close()
    assert ledger.ok, (ledger.failures(), ledger.unchecked)


def test_one_zeroed_weight_fails(loaded):
    wave, ledger = loaded[0], Ledger()
    gain = wave.beats.encoder.pos_conv[0].weight_g
    original = gain.detach().clone()
    try:
        gain.data.zero_()
        run_case(FOLDER, wave, "audio_0p4s", ledger)
    finally:
        gain.data.copy_(original)
    assert {outcome.stage for outcome in ledger.failures()} == {"beats", "inputs", "hidden", "embedding"}


def test_an_array_that_nothing_was_compared_with_fails():
    ledger = Ledger()
    arrays = Arrays("case", {"mllm_embeds": np.zeros(2), "text_embeds": np.zeros(2)}, ledger)
    arrays.check("mllm_embeds", torch.zeros(2))
    assert ledger.ok
    arrays.close()
    assert not ledger.ok
    assert ledger.unchecked == ["case: text_embeds"]


@pytest.mark.parametrize("got", [[0.0, 2e-4], [0.0, np.nan], [0.0]])
def test_another_number_or_shape_fails(got):
    ledger = Ledger()
    Arrays("case", {"mllm_embeds": np.zeros(2)}, ledger).check("mllm_embeds", got)
    assert not ledger.ok


def test_command_line_refuses_another_folder(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err


# Faulty folders


@pytest.fixture
def small(tmp_path):
    """A folder of two cases, without tables."""
    (tmp_path / "cases").mkdir()
    for name in ("golden_gen.py", "config_tiny.json", "weights_manifest.json"):
        shutil.copy(GOLDEN / name, tmp_path)
    for name in ("text_single_0", "video_short_clip"):
        shutil.copy(GOLDEN / "cases" / f"{name}.npz", tmp_path / "cases")
    write(tmp_path / "cases.json", {name: FOLDER.cases[name] for name in ("text_single_0", "video_short_clip")})
    return tmp_path


def write(path, content):
    path.write_text(json.dumps(content))


def report(directory, wave):
    """Whether everything agrees, and the lines about what does not."""
    lines, ledger = [], Ledger()
    run(Folder.open(directory), wave, ledger, lines.append)
    return ledger.ok, [line for line in lines if line.startswith("FAILED")], lines


def test_some_cases_without_tables_are_enough(small, loaded):
    ok, failed, lines = report(small, loaded[0])
    assert ok
    assert failed == []
    assert "no tables in this folder (tables.json)" in lines


@pytest.mark.parametrize("gone", ["mllm_embeds", "text_embeds", "llm", "in_input_ids", "visual_out", "frame_idx"])
def test_arrays_that_a_case_must_have(small, loaded, gone):
    path = small / "cases" / "video_short_clip.npz"
    with np.load(path) as stored:
        kept = {name: stored[name] for name in stored.files if not name.startswith(gone)}
    np.savez(path, **kept)
    ok, failed, _ = report(small, loaded[0])
    assert not ok
    assert len(failed) == 1
    assert failed[0].startswith("FAILED video_short_clip: the folder lacks the array")
    assert gone in failed[0]


def test_nothing_to_compare_fails(small, loaded):
    shutil.rmtree(small / "cases")
    write(small / "cases.json", {})
    write(small / "tables.json", {})
    assert report(small, loaded[0])[:2] == (False, [f"FAILED {small}: names no case and no table"])


def test_a_file_that_no_case_names_fails(small, loaded):
    (small / "cases" / "text_single_0.npz").rename(small / "cases" / "other.npz")
    assert report(small, loaded[0])[:2] == (
        False,
        [
            "FAILED text_single_0: the folder lacks cases/text_single_0.npz",
            "FAILED cases/other.npz: cases.json does not name it",
        ],
    )


@pytest.mark.parametrize("kept", [0, 100, 2000])
def test_a_truncated_file_fails(small, loaded, kept):
    path = small / "cases" / "video_short_clip.npz"
    path.write_bytes(path.read_bytes()[:kept])
    ok, failed, _ = report(small, loaded[0])
    assert not ok
    assert len(failed) == 1
    assert failed[0].startswith("FAILED video_short_clip: cases/video_short_clip.npz cannot be read")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ({}, "more of video than the case has"),
        ({"video": [{"h": 56}]}, "'w'"),
        ({**FOLDER.cases["video_short_clip"]["raw"], "image": [{}]}, "less of image than the case has"),
    ],
)
def test_other_raw_inputs_than_the_ids_say_fail(small, loaded, raw, reason):
    cases = json.loads((small / "cases.json").read_text())
    cases["video_short_clip"]["raw"] = raw
    write(small / "cases.json", cases)
    ok, failed, _ = report(small, loaded[0])
    assert not ok
    assert len(failed) == 1
    assert failed[0].startswith("FAILED video_short_clip: ")
    assert reason in failed[0]


def test_tables_without_their_arrays_fail(small, loaded):
    write(small / "tables.json", {name: FOLDER.tables[name] for name in ("resize", "av_layout")})
    ok, failed, _ = report(small, loaded[0])
    assert not ok
    assert failed == [
        "FAILED tables: the folder lacks tables.npz",
        "FAILED tables: av_layout: the folder lacks the array avpos_0_ids",
    ]


def test_command_line_says_what_is_wrong_with_the_weights(small, capsys):
    (small / "weights_manifest.json").unlink()
    assert main([str(small)]) == 1
    assert "FAILED weights: " in capsys.readouterr().out
