"""Runs the golden cases: raw sounds and frames in, every recorded number compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import normalize

from tests.golden.layouts import left_padded, prompt_ids, render, unpadded
from tests.golden.ledger import Arrays, Ledger
from tests.golden.observe import DecoderPass, Record, full_pass, observed
from wave_search.media.sampling import policy_of, resize_to
from wave_search.models.wave.clips import SAMPLE_RATE_HZ, SAMPLING
from wave_search.models.wave.network import Wave, audio_tower_tokens
from wave_search.models.wave.preprocess import (
    PIECE_S,
    audio_pieces,
    cut_pieces,
    image_patches,
    padded_log_mel,
    seconds_per_grid,
    video_patches,
)
from wave_search.models.wave.sequences import (
    AudioFeatures,
    TokenSequence,
    VisionFeatures,
    audio_sequence,
    audiovisual_sequence,
    image_sequence,
    text_sequence,
    video_sequence,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.golden.folder import Folder

POLICY = policy_of(SAMPLING)


def resized(frames: np.ndarray) -> np.ndarray:
    """Resize frames of a video, (n, height, width, 3), as the decoders do."""
    size = POLICY.frame_size(*frames.shape[1:3])
    return np.stack([resize_to(frame, size) for frame in frames])


class ClipBuilder:
    """Builds sequences from the raw media of a case, clip after clip, and keeps the results of preprocessing."""

    def __init__(self, folder: Folder, wave: Wave, raw: dict[str, Iterator[dict[str, Any]]], rule: str) -> None:
        self._folder, self._wave, self._raw, self._rule = folder, wave, raw, rule
        self.video_grids: list[tuple[int, int, int]] = []
        self.image_grids: list[tuple[int, int, int]] = []
        self.seconds_per_grid: list[float] = []
        self.frame_index: np.ndarray | None = None
        self.sounds: list[np.ndarray] = []
        self.mels: list[np.ndarray] = []

    def build(self, ids: np.ndarray) -> TokenSequence:
        """Build one sequence; `ids` determine its media and its prompt."""
        config, tokens = self._wave.config, self._wave.config.tokens
        prompt = prompt_ids(ids, tokens)
        video = self._video(self._next("video")) if tokens.video in ids else None
        audio = self._audio(self._next("audio")) if tokens.audio in ids else None
        if tokens.image in ids:
            return image_sequence(config, [prompt], self._image(self._next("image")))
        if video and audio:
            return audiovisual_sequence(config, [prompt], video, audio, self._rule)
        if video:
            return video_sequence(config, [prompt], video)
        if audio:
            return audio_sequence(config, [prompt], audio)
        return text_sequence(config, prompt)

    def _next(self, kind: str) -> dict[str, Any]:
        clip = next(self._raw.get(kind, iter(())), None)
        if clip is None:
            raise ValueError(f"the token ids have more of {kind} than the case has raw inputs")
        return clip

    def _video(self, raw: dict[str, Any]) -> VisionFeatures:
        frames = self._folder.frames(raw)
        start_s, stop_s = raw.get("timestamps") or (None, None)
        self.frame_index, duration_s = POLICY.frame_indices(len(frames), raw["fps"], start_s, stop_s)
        patches = video_patches(self._wave.config, resized(frames[self.frame_index]))
        step_s = seconds_per_grid(self._wave.config, duration_s, len(self.frame_index))
        self.video_grids.append(patches.grid_thw)
        self.seconds_per_grid.append(step_s)
        return VisionFeatures(self._wave.vision_features(patches), patches.grid_thw, step_s)

    def _image(self, raw: dict[str, Any]) -> VisionFeatures:
        patches = image_patches(self._wave.config, POLICY.resize_image(self._folder.frames(raw)[0]))
        self.image_grids.append(patches.grid_thw)
        return VisionFeatures(self._wave.vision_features(patches), patches.grid_thw)

    def _audio(self, raw: dict[str, Any]) -> AudioFeatures:
        samples = self._folder.sound(raw)
        pieces = audio_pieces(self._wave.config, samples)
        self.sounds.append(samples)
        self.mels += [piece.mel for piece in pieces]
        return AudioFeatures(self._wave.audio_features(pieces), len(pieces))


@torch.inference_mode()
def run_case(folder: Folder, wave: Wave, name: str, ledger: Ledger) -> None:
    """Run one case and compare all of its arrays."""
    with ledger.guarded(name):
        arrays = Arrays(name, folder.arrays(f"cases/{name}"), ledger)
        _Run(folder, wave, arrays, folder.cases[name]).compare()
        arrays.close()


class _Run:
    def __init__(self, folder: Folder, wave: Wave, arrays: Arrays, case: dict[str, Any]) -> None:
        self.folder, self.wave, self.arrays, self.case = folder, wave, arrays, case
        self.raw = {kind: iter(clips) for kind, clips in case["raw"].items()}

    def compare(self) -> None:
        vision_calls, embeddings = self._query()
        if "in_label_ids" in self.arrays:
            self._check_tokens("in_label_ids", "in_label_attention_mask", "label_layout", self._texts("in_label_ids"))
        with observed(self.wave) as record:
            if "in_pos_input_ids" in self.arrays:
                self._positives(record, vision_calls)
            elif "in_all_ids" in self.arrays:
                self._candidates(embeddings)
            else:
                self.arrays.check("text_embeds", self.wave.embed_text(self._texts("in_label_ids")))
        _check_pass(self.wave, self.arrays, 1, record.passes[0])
        unused = [kind for kind, clips in self.raw.items() if next(clips, None) is not None]
        if unused:
            raise ValueError(f"the token ids have less of {', '.join(unused)} than the case has raw inputs")

    def _query(self) -> tuple[int, torch.Tensor]:
        rule = "aligned" if self.case["mode"] == "train" else "sequential"
        with observed(self.wave) as record:
            inputs = ClipBuilder(self.folder, self.wave, self.raw, rule)
            queries = [inputs.build(ids) for ids in self._rows("in_input_ids")]
            embeddings = self.wave.embed_media(queries)
        self._check_tokens("in_input_ids", "in_attention_mask", "layout", queries)
        _check_inputs(self.arrays, inputs, record, "in_")
        _check_towers(self.arrays, record)
        _check_pass(self.wave, self.arrays, 0, record.passes[0])
        # Where there are candidates, the similarities are recorded instead.
        compare = self.arrays.check_if_recorded if "in_all_ids" in self.arrays else self.arrays.check
        compare("mllm_embeds", embeddings)
        return int(bool(record.towers.vision)), embeddings

    def _positives(self, record: Record, vision_calls: int) -> None:
        inputs = ClipBuilder(self.folder, self.wave, self.raw, "sequential")
        positives = [inputs.build(ids) for ids in self._rows("in_pos_input_ids")]
        if not inputs.video_grids:
            raise ValueError("in_pos_input_ids has no video token of the configuration")
        self.arrays.check("text_embeds", self.wave.embed_media(positives))
        self._check_tokens("in_pos_input_ids", "in_pos_attention_mask", "pos_layout", positives)
        _check_inputs(self.arrays, inputs, record, "in_pos_")
        self.arrays.check(f"visual_out_{vision_calls}", torch.cat(record.towers.vision))

    def _candidates(self, embeddings: torch.Tensor) -> None:
        candidates = self._texts("in_all_ids")
        similarities = normalize(embeddings, dim=-1) @ normalize(self.wave.embed_text(candidates), dim=-1).T
        self.arrays.check("v2t_sims", similarities)
        self.arrays.record("argmax", similarities.argmax(), self.case["argmax"])
        self._check_tokens("in_all_ids", "in_all_attention_mask", "all_layout", candidates)

    def _texts(self, name: str) -> list[TokenSequence]:
        return [text_sequence(self.wave.config, ids) for ids in self._rows(name)]

    def _rows(self, name: str) -> list[np.ndarray]:
        return [unpadded(row, self.wave.config.tokens.pad) for row in self.arrays[name]]

    def _check_tokens(self, ids: str, mask: str, layout: str, sequences: list[TokenSequence]) -> None:
        tokens = self.wave.config.tokens
        padded = left_padded([sequence.token_ids for sequence in sequences], tokens.pad)
        self.arrays.check(ids, padded)
        self.arrays.check_if_recorded(
            mask, left_padded([np.ones(len(sequence), dtype=int) for sequence in sequences], 0)
        )
        if layout in self.case:
            self.arrays.record(layout, [render(row, tokens) for row in padded], self.case[layout])


def _check_inputs(arrays: Arrays, inputs: ClipBuilder, record: Record, prefix: str) -> None:
    if inputs.video_grids:
        arrays.check(f"{prefix}video_grid_thw", inputs.video_grids)
        steps = np.array(inputs.seconds_per_grid, dtype=np.float32)
        name = f"{prefix}video_second_per_grid"
        arrays.check(name, steps.reshape(arrays[name].shape))
        # Of a positive video none are recorded.
        compare = arrays.check if prefix == "in_" else arrays.check_if_recorded
        compare("frame_idx", inputs.frame_index)
    if inputs.image_grids:
        arrays.check(f"{prefix}image_grid_thw", inputs.image_grids)
    if record.towers.pixels:
        name = f"{prefix}pixel_values" + ("_videos" if inputs.video_grids else "")
        pixels = torch.cat(record.towers.pixels)
        arrays.check(name, pixels)
        arrays.check_if_recorded(f"{name}_shape", pixels.shape)
    if inputs.mels:
        check_sounds(arrays, inputs)


def check_sounds(arrays: Arrays, inputs: ClipBuilder) -> None:
    """Compare the spectrograms and lengths of the sounds of a case."""
    bins = inputs.mels[0].shape[1]
    arrays.check("in_feature_mask_sum", [len(mel) for mel in inputs.mels])
    arrays.check_if_recorded("in_input_features_shape", (len(inputs.mels), bins, PIECE_S * 100))
    pieces = [piece for sound in inputs.sounds for piece in cut_pieces(sound)]
    for index, (mel, piece) in enumerate(zip(inputs.mels, pieces, strict=True)):
        arrays.check(f"in_mel_{index}", mel)
        rest = padded_log_mel(piece, bins)[len(mel) :]
        arrays.check(f"in_mel_{index}_padpart", [rest.min(), rest.max()] if len(rest) else [0, 0])
    for index, sound in enumerate(inputs.sounds):
        # Recorded before it is cut: a sound of under a second is padded, a last piece of under a second is not yet.
        waveform = np.pad(sound, (0, max(0, SAMPLE_RATE_HZ - len(sound))))
        arrays.check(f"in_raw_wav_{index}_len", len(waveform))
        arrays.check(f"in_raw_wav_{index}_head", waveform[:64])


def _check_towers(arrays: Arrays, record: Record) -> None:
    towers = record.towers
    if towers.vision:
        arrays.check("visual_out_0", torch.cat(towers.vision))
    if not towers.audio:
        return
    lengths = torch.cat(towers.audio_lengths)
    arrays.check("audio_feature_lens", lengths)
    arrays.check("audio_each_num", [audio_tower_tokens(length) for length in lengths.tolist()])
    arrays.check("audio_tower_out", torch.cat(towers.audio))
    for index, (fbank, features) in enumerate(zip(towers.fbank, towers.beats, strict=True)):
        arrays.check(f"beats_fbank_norm_{index}", fbank)
        arrays.check(f"beats_feat_{index}", features)
    arrays.check("beats_pooled", torch.cat(towers.pooled))
    arrays.check("beats_ln_out", torch.cat(towers.normed))
    arrays.check("beats_proj_out", torch.cat(towers.projected))


def _check_pass(wave: Wave, arrays: Arrays, number: int, decoder_pass: DecoderPass) -> None:
    prefix = f"llm{number}"
    # Labels and candidates have no position ids of their own.
    compare = arrays.check if number == 0 or "in_pos_input_ids" in arrays else arrays.check_if_recorded
    compare(f"{prefix}_position_ids", decoder_pass.position_ids)
    arrays.check_if_recorded(f"{prefix}_attention_mask", decoder_pass.attention_mask)
    arrays.check(f"{prefix}_last_token_by_layer", decoder_pass.last_token_by_layer())
    states = full_pass(wave, decoder_pass)
    # States that production does not compute are checked in transformers' pass; the others must be equal in both.
    arrays.record(
        f"{prefix}_final_hidden", decoder_pass.last_token_by_layer(), torch.stack([state[:, -1] for state in states])
    )
    for row in range(len(decoder_pass.embeddings)):
        arrays.check(f"{prefix}_inputs_embeds_b{row}", decoder_pass.embeddings[row])
        arrays.check(f"{prefix}_final_hidden_b{row}", states[-1][row])
