"""Compares everything of tables.json and tables.npz."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import normalize

from tests.golden import losses
from tests.golden.cases import POLICY, ClipBuilder, resized
from tests.golden.layouts import left_padded, render, runs, unpadded
from tests.golden.ledger import Arrays, Ledger
from wave_search.errors import ModelError
from wave_search.models.wave import preprocess, sequences
from wave_search.models.wave.network import Wave, audio_tower_tokens, normalised

if TYPE_CHECKING:
    from tests.golden.folder import Folder

_LOSS_TOLERANCE = 1e-4


@torch.inference_mode()
def run_tables(folder: Folder, wave: Wave, ledger: Ledger) -> int:
    """Compare all tables.

    Returns:
        Their number.
    """
    arrays = Arrays("tables", {}, ledger)
    if folder.tables:
        with ledger.guarded("tables"):
            arrays = Arrays("tables", folder.arrays("tables"), ledger)
    tables = {
        "frame_sampling": lambda rows: [_frame_sampling(wave, row, arrays) for row in rows],
        "resize": lambda rows: [_resize(row, arrays) for row in rows],
        "pixels": lambda rows: [_pixels(folder, wave, row, arrays) for row in rows],
        "av_layout": lambda rows: _av_layout(wave, rows, arrays),
        "av_over300s_positions": lambda row: _av_over_300_s(wave, row, arrays),
        "loss_contrastive": lambda row: _loss_contrastive(folder, wave, row, arrays, ledger),
        "loss_qa_equal": lambda _row: _loss_qa(folder, wave, "loss_qa_equal", arrays, ledger),
        "loss_qa_ragged": lambda _row: _loss_qa(folder, wave, "loss_qa_ragged", arrays, ledger),
    }
    for name, content in folder.tables.items():
        if name not in tables:
            ledger.unchecked.append(f"tables: {name}")
            continue
        with ledger.guarded(f"tables: {name}"):
            tables[name](content)
    arrays.close()
    return len(folder.tables)


def _frame_sampling(wave: Wave, row: dict[str, Any], arrays: Arrays) -> None:
    start_s, stop_s = row.get("timestamps") or (None, None)
    index, duration_s = POLICY.frame_indices(row["num_frames"], row["fps"], start_s, stop_s)
    depth = wave.config.temporal_patch_size
    arrays.record("frame_idx", index, row["idx"])
    arrays.record("frame_idx", len(index), row["n_sampled"])
    arrays.record("frame_idx", -(-len(index) // depth), row["grid_t"])
    step_s = preprocess.seconds_per_grid(wave.config, duration_s, len(index))
    arrays.record("second_per_grid", np.float32(step_s), np.float32(row["second_per_grid"]))


def _resize(row: dict[str, Any], arrays: Arrays) -> None:
    arrays.record("video_shape", POLICY.frame_size(row["h"], row["w"]), row["video"])
    image = POLICY.resize_image(np.zeros((row["h"], row["w"], 3), np.uint8))
    arrays.record("image_shape", image.shape[:2], row["image"])


def _pixels(folder: Folder, wave: Wave, row: dict[str, Any], arrays: Arrays) -> None:
    frames = folder.generator.frames_uint8(row["num"], row["h"], row["w"], row["seed"])
    index, _ = POLICY.frame_indices(len(frames), row["fps"])
    patches = preprocess.video_patches(wave.config, resized(frames[index]))
    values = normalised(torch.from_numpy(patches.rows)).numpy()
    arrays.check(row["name"], values)
    arrays.record("video_grid_thw", patches.grid_thw, row["grid_thw"])
    arrays.record("pixel_values_shape", values.shape, row["shape"])
    arrays.record("pixel_values_mean", values.mean(dtype=np.float64), row["mean"])
    arrays.record("pixel_values_std", values.std(dtype=np.float64, ddof=1), row["std"])


def _av_layout(wave: Wave, rows: list[dict[str, Any]], arrays: Arrays) -> None:
    made = {}
    for number, row in enumerate(rows):
        count = audio_tower_tokens(row["mel_frames"])
        arrays.record("audio_each_num", count, row["audio_tokens_single"])
        golden_ids = arrays[f"avpos_{number}_ids"]
        for rule, name in (("sequential", "test"), ("aligned", "train")):
            made[number, name] = _audiovisual(wave, row, count, golden_ids, rule)
            arrays.check(f"avpos_{number}_{name}", made[number, name].position_ids)
        ids = made[number, "test"].token_ids
        arrays.check(f"avpos_{number}_ids", ids)
        arrays.record("layout", render(ids, wave.config.tokens), row["layout"])
    for name in arrays.names(r"avpos_batch_[\d_]+_ids"):
        numbers = [int(number) for number in name.split("_")[2:-1]]
        chosen = [made[number, "train"] for number in numbers]
        arrays.check(name, left_padded([row.token_ids for row in chosen], wave.config.tokens.pad))
        padded = [left_padded([row.position_ids[axis] for row in chosen], 1) for axis in range(3)]
        arrays.check(name.replace("_ids", "_train"), np.stack(padded))


def _audiovisual(
    wave: Wave, row: dict[str, Any], audio_tokens: int, golden_ids: np.ndarray, rule: str
) -> sequences.TokenSequence:
    steps, height, width = row["grid_thw"]
    vision = sequences.VisionFeatures(
        torch.zeros(steps * height * width // wave.config.spatial_merge_size**2, 1),
        (steps, height, width),
        row["second_per_grid"],
    )
    audio = sequences.AudioFeatures(torch.zeros(2 * audio_tokens, 1), row.get("pieces", 1))
    last_end = np.flatnonzero(golden_ids == wave.config.tokens.vision_end)[-1]
    return sequences.audiovisual_sequence(wave.config, [golden_ids[last_end + 1 : -1].tolist()], vision, audio, rule)


def _av_over_300_s(wave: Wave, row: dict[str, Any], arrays: Arrays) -> None:
    """The table records a layout only: the length of its first audio run is that of two steps of the grid."""
    tokens, media = wave.config.tokens, runs(row["layout"])
    count = {kind: sum(length for name, length in media if name == kind) for kind in ("VIDEO", "AUDIO")}
    first = next(length for name, length in media if name == "AUDIO")
    side = wave.config.spatial_merge_size
    shape = {"grid_thw": [count["VIDEO"], side, side], "second_per_grid": first / 2 / 25 / 2, "pieces": 2}
    words = np.array([tokens.vision_end, *range(5), tokens.end])
    sequence = _audiovisual(wave, shape, count["AUDIO"] // 2, words, row["test"])
    arrays.record("layout", render(sequence.token_ids, tokens), row["layout"])
    plain = np.tile(np.arange(len(sequence)), (3, 1))
    arrays.record("avpos_over300s", sequence.position_ids, plain)
    try:
        _audiovisual(wave, shape, count["AUDIO"] // 2, words, "aligned")
        raised = ""
    except ModelError:
        raised = "an error"
    arrays.record("layout", raised, "an error" if row["train_error"] else "")


def _media_embeddings(folder: Folder, wave: Wave, row: dict[str, Any], ids: np.ndarray) -> torch.Tensor:
    raw = iter(
        {"num_frames": num, "h": height, "w": width, "seed": seed, "fps": row.get("fps", 2.0)}
        for num, height, width, seed in row["videos"]
    )
    builder = ClipBuilder(folder, wave, {"video": raw}, "aligned")
    made = [builder.build(unpadded(row_ids, wave.config.tokens.pad)) for row_ids in ids]
    return normalize(wave.embed_media(made), dim=-1)


def _text_embeddings(wave: Wave, ids: np.ndarray) -> torch.Tensor:
    pad = wave.config.tokens.pad
    return normalize(
        wave.embed_text([sequences.text_sequence(wave.config, unpadded(row, pad)) for row in np.asarray(ids)]), dim=-1
    )


def _loss_contrastive(folder: Folder, wave: Wave, row: dict[str, Any], arrays: Arrays, ledger: Ledger) -> None:
    ids, labels = arrays["loss_contrastive_in_input_ids"], arrays["loss_contrastive_in_label_ids"]
    pad = wave.config.tokens.pad
    for name, rows in (("input_ids", ids), ("label_ids", labels)):
        arrays.check(f"loss_contrastive_in_{name}", left_padded([unpadded(line, pad) for line in rows], pad))
        mask = f"loss_contrastive_in_{name.replace('input_ids', 'attention_mask').replace('ids', 'attention_mask')}"
        arrays.check(mask, rows != pad)
    sims = _media_embeddings(folder, wave, row, ids) @ _text_embeddings(wave, labels).T
    temperature = folder.config["classify"]["sim_temperature"]
    arrays.check("loss_contrastive_v2t_sims", sims, temperature)
    arrays.check("loss_contrastive_t2v_sims", sims.T, temperature)
    v2t, t2v = losses.contrastive(sims, temperature)
    for name, value in (("loss", (v2t + t2v) / 2), ("v2t_loss", v2t), ("t2v_loss", t2v)):
        ledger.record_relative("tables", f"loss_contrastive {name}", value.item(), row[name], _LOSS_TOLERANCE)


def _loss_qa(folder: Folder, wave: Wave, name: str, arrays: Arrays, ledger: Ledger) -> None:
    row = folder.tables[name]
    # The videos and the prompt are those of the contrastive table, whose ids are recorded.
    media = _media_embeddings(folder, wave, row, arrays["loss_contrastive_in_input_ids"])
    texts = [_text_embeddings(wave, candidates) for candidates in row["candidate_ids"]]
    sims = [candidates @ vector for candidates, vector in zip(texts, media, strict=True)]
    padded = torch.nn.utils.rnn.pad_sequence(sims, batch_first=True, padding_value=torch.nan)
    temperature = folder.config["classify"]["sim_temperature"]
    arrays.check(f"{name}_v2t_sims", padded, temperature)
    loss = losses.question(sims, temperature)
    ledger.record_relative("tables", f"{name} loss", loss.item(), row["loss"], _LOSS_TOLERANCE)
