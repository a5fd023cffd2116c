"""Embedding as in WAVE's published evaluation script, on the same weights: the baseline of comparisons."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from transformers import WhisperFeatureExtractor

from tests.golden.observe import transformers_decoder
from wave_search.models.wave import preprocess, sequences
from wave_search.models.wave.clips import PROMPTS
from wave_search.models.wave.network import normalised
from wave_search.models.wave.spectrograms import kaldi_fbank
from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from wave_search.models.wave.embedder import WaveEmbedder
    from wave_search.types import Clip


@torch.inference_mode()
def embed_one(embedder: WaveEmbedder, clip: Clip, modality: Modality) -> NDArray[np.float32]:
    """Embed a single clip as one modality: preprocessing, towers and decoder in sequence.

    The sound is padded to 300 s before its spectrogram is taken, the decoder fills a cache, and the hidden states of
    all layers are kept until the last tokens are read off them.
    """
    wave = embedder.wave
    with _stock_attention(wave.visual), _stock_attention(wave.audio_tower):
        return _embed(embedder, clip, modality)


def _embed(embedder: WaveEmbedder, clip: Clip, modality: Modality) -> NDArray[np.float32]:
    wave, config = embedder.wave, embedder.wave.config
    prompts = [embedder.tokenizer.encode(PROMPTS[modality])]
    vision = _see(embedder, clip) if modality in (Modality.VIDEO, Modality.AV) else None
    audio = _hear(embedder, clip) if modality in (Modality.AUDIO, Modality.AV) else None
    if vision and audio:
        sequence = sequences.audiovisual_sequence(config, prompts, vision, audio)
    elif vision:
        sequence = sequences.video_sequence(config, prompts, vision)
    else:
        sequence = sequences.audio_sequence(config, prompts, audio)
    device = wave.device
    embeddings = wave.model.embed_tokens(torch.from_numpy(sequence.token_ids).to(device))
    for feature in sequence.features:
        embeddings[torch.from_numpy(feature.indices).to(device)] = feature.rows.to(embeddings)
    output = transformers_decoder(wave)(
        inputs_embeds=embeddings[None],
        attention_mask=torch.ones(1, len(sequence), dtype=torch.int64, device=device),
        position_ids=torch.from_numpy(sequence.position_ids)[:, None].to(device),
        use_cache=True,
        output_hidden_states=True,
    )
    read = torch.cat([hidden[:, -1] for hidden in output.hidden_states[1:]], dim=-1)
    return F.normalize(wave.classify_linear(read), dim=-1)[0].float().cpu().numpy()


def _see(embedder: WaveEmbedder, clip: Clip) -> sequences.VisionFeatures:
    wave = embedder.wave
    patches = preprocess.video_patches(wave.config, clip.frames.pixels)
    pixels = normalised(torch.from_numpy(patches.rows)).to(wave.device)
    tokens = wave.visual(pixels, grid_thw=torch.tensor([patches.grid_thw], device=wave.device)).pooler_output
    step_s = preprocess.seconds_per_grid(wave.config, clip.frames.duration_s, len(clip.frames.pixels))
    return sequences.VisionFeatures(tokens, patches.grid_thw, step_s)


def _hear(embedder: WaveEmbedder, clip: Clip) -> sequences.AudioFeatures:
    wave = embedder.wave
    made = _extractor(wave.config.mel_bins)(
        clip.waveform.samples,
        sampling_rate=preprocess.SAMPLE_RATE_HZ,
        padding="max_length",
        return_attention_mask=True,
        return_tensors="pt",
    )
    mel, used = made["input_features"].to(wave.device), made["attention_mask"].bool()
    frames = used.sum(dim=1).to(wave.device)
    valid = mel.permute(0, 2, 1)[used].permute(1, 0)
    tower = wave.audio_tower(valid, feature_lens=frames).last_hidden_state
    features = wave.beats(torch.from_numpy(kaldi_fbank(clip.waveform.samples)).to(wave.device))
    wanted = 2 * len(tower)
    pooled = F.pad(features[:wanted], (0, 0, 0, max(0, wanted - len(features)))).view(len(tower), 2, -1).mean(dim=1)
    beats = wave.beats_proj(wave.beats_ln(pooled.to(tower.dtype)))
    return sequences.AudioFeatures(torch.stack([tower, beats], dim=1).flatten(0, 1))


@contextmanager
def _stock_attention(tower: Any) -> Iterator[None]:
    ours = tower.config._attn_implementation
    tower.config._attn_implementation = "sdpa"
    try:
        yield
    finally:
        tower.config._attn_implementation = ours


@cache
def _extractor(bins: int) -> WhisperFeatureExtractor:
    return WhisperFeatureExtractor(feature_size=bins, n_fft=400, hop_length=160, chunk_length=preprocess.PIECE_S)
