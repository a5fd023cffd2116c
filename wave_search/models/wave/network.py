"""The WAVE network: towers, decoder and fusion head, composed of transformers' own Qwen2.5-Omni modules and BEATs."""

from __future__ import annotations

import copy
from enum import StrEnum
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import nn

from wave_search.models.wave.attention import attend_by_length
from wave_search.models.wave.batch import TOWER_PATCHES, packed
from wave_search.models.wave.beats import Beats
from wave_search.models.wave.classifier import Classifier
from wave_search.models.wave.decoder import last_tokens
from wave_search.models.wave.sound_classifier import SoundClassifier
from wave_search.models.wave.transformers_imports import (
    Qwen2_5OmniAudioEncoder,
    Qwen2_5OmniThinkerTextModel,
    Qwen2_5OmniVisionEncoder,
)
from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from wave_search.models.wave.config import WaveConfig
    from wave_search.models.wave.preprocess import AudioPiece, Patches
    from wave_search.models.wave.sequences import TokenSequence

_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class Component(StrEnum):
    """Weights that are loaded together on first use: a text query needs neither tower."""

    DECODER = "decoder"
    HEAD = "head"
    """The fusion head: a twentieth of the model, used only for media."""
    VISION = "vision"
    AUDIO = "audio"
    """Audio tower and BEATs, or what a small model has in its place."""

    @property
    def prefixes(self) -> tuple[str, ...]:
        """Prefixes of the component's keys. Each key of the model belongs to one component."""
        return _PREFIXES[self]


_PREFIXES = {
    Component.DECODER: ("model.",),
    Component.HEAD: ("classify_linear.",),
    Component.VISION: ("visual.", "classifier."),
    Component.AUDIO: ("audio_tower.", "beats.", "beats_ln.", "beats_proj.", "sound_classifier."),
}
_VISUAL = {Modality.IMAGE, Modality.VIDEO, Modality.AV}
_AUDIBLE = {Modality.AUDIO, Modality.AV}


def components_for(modalities: Collection[Modality]) -> tuple[Component, ...]:
    """Return the components needed to embed as `modalities`."""
    needed = {
        Component.DECODER: True,
        Component.HEAD: any(modality is not Modality.TEXT for modality in modalities),
        Component.VISION: not _VISUAL.isdisjoint(modalities),
        Component.AUDIO: not _AUDIBLE.isdisjoint(modalities),
    }
    return tuple(part for part, is_needed in needed.items() if is_needed)


class Wave(nn.Module):
    """The model of the paper, without a language-model head.

    Its state_dict has the keys of the released checkpoints except `lm_head.weight`, so that
    `load_state_dict(state, assign=True)` works unchanged. It may be built under `torch.device("meta")`; call
    `init_buffers` after the weights are loaded. Nothing here disables gradients: callers that only embed use
    `torch.inference_mode()`. Not thread-safe: two threads must not share an instance without a lock.

    Source: "WAVE: Learning Unified & Versatile Audio-Visual Embeddings with Multimodal LLM", arXiv:2509.21990.
    """

    def __init__(self, config: WaveConfig) -> None:
        super().__init__()
        self.config = config
        thinker, hidden = config.thinker, config.hidden_size
        # Copies, because `attend_by_length` writes into them.
        self.audio_tower = Qwen2_5OmniAudioEncoder(copy.deepcopy(thinker.audio_config))
        self.visual = Qwen2_5OmniVisionEncoder(copy.deepcopy(thinker.vision_config))
        self.visual.patch_embed = _PatchEmbedding(self.visual.patch_embed)
        self.classifier = Classifier(config.classifier, hidden) if config.classifier else None
        self.model = Qwen2_5OmniThinkerTextModel(thinker.text_config)
        self.sound_classifier = SoundClassifier(config.sound_classifier, hidden) if config.sound_classifier else None
        if config.beats is not None:
            width = config.beats.encoder_embed_dim
            self.beats = Beats(config.beats)
            self.beats_ln = nn.LayerNorm(width)
            self.beats_proj = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, hidden))
        layers = thinker.text_config.num_hidden_layers
        self.classify_linear = nn.Sequential(nn.Linear(layers * hidden, hidden), nn.GELU(), nn.Linear(hidden, hidden))
        for tower in (self.audio_tower, self.visual):
            attend_by_length(tower)
        self.eval()

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return cast("torch.Tensor", self.model.embed_tokens.weight).device

    def init_buffers(self, device: torch.device | str) -> None:
        """Compute the buffers that checkpoints lack (rotary frequencies, sinusoids), in float32, on `device`.

        Call it after the weights are loaded: on the meta device nothing is computed, and a change of the model's dtype
        would round them.
        """
        for part in (self.audio_tower, self.visual, self.model):
            for path, value in computed_buffers(part):
                owner, _, name = path.rpartition(".")
                setattr(part.get_submodule(owner), name, value.to(device))

    def vision_features(self, patches: Patches) -> torch.Tensor:
        """Run the vision tower, and the classifier if there is one, on one image or one video.

        Returns:
            (tokens, hidden), in reading order; those of the classifier first in each step of the temporal grid.
        """
        tower = self._tower_features(patches.rows, patches.grid_thw)
        if self.classifier is None or patches.frames is None:
            return tower
        frames = torch.tensor(patches.frames, device=self.device)
        summaries = self.classifier(frames, self.config.temporal_patch_size)
        return torch.cat([summaries, tower.view(len(summaries), -1, tower.shape[-1])], dim=1).flatten(0, 1)

    def _tower_features(self, rows: NDArray[np.uint8], grid_thw: tuple[int, int, int]) -> torch.Tensor:
        steps, height, width = grid_thw
        # time steps do not attend to each other in the tower
        at_once = max(1, TOWER_PATCHES[self.device.type] // (height * width))
        return torch.cat(
            [
                self._vision_block(rows[start * height * width : (start + at_once) * height * width], height, width)
                for start in range(0, steps, at_once)
            ]
        )

    def _vision_block(self, rows: NDArray[np.uint8], height: int, width: int) -> torch.Tensor:
        patches = normalised(torch.from_numpy(rows).to(self.device))
        grid = torch.tensor([(len(rows) // (height * width), height, width)], device=self.device)
        return cast("torch.Tensor", self.visual(patches, grid_thw=grid, plans={}).pooler_output)

    def audio_features(self, pieces: Sequence[AudioPiece]) -> torch.Tensor:
        """Run the audio tower, and BEATs or the classifier of sounds, on one audio clip.

        Args:
            pieces: as `preprocess.audio_pieces` returns them.

        Returns:
            (2 x tower tokens, hidden): tower, BEATs, tower, BEATs, ...
        """
        frames = torch.tensor([len(piece.mel) for piece in pieces], device=self.device)
        mel = torch.cat([torch.from_numpy(piece.mel) for piece in pieces]).to(self.device)
        tower = self.audio_tower(mel.T, feature_lens=frames, plans={}).last_hidden_state
        return torch.stack([tower, self._second_tokens(pieces).to(tower.dtype)], dim=1).flatten(0, 1)

    def _second_tokens(self, pieces: Sequence[AudioPiece]) -> torch.Tensor:
        """Return as many tokens as the audio tower has, (tokens, hidden), of BEATs or the classifier of sounds."""
        inputs = [
            (torch.from_numpy(piece.fbank).to(self.device), audio_tower_tokens(len(piece.mel))) for piece in pieces
        ]
        if self.sound_classifier is not None:
            return torch.cat([self.sound_classifier(spectrogram, tokens) for spectrogram, tokens in inputs])
        pooled = torch.cat([self._beats_tokens(fbank, tokens) for fbank, tokens in inputs])
        return cast("torch.Tensor", self.beats_proj(self.beats_ln(pooled.to(self.beats_ln.weight.dtype))))

    def _beats_tokens(self, fbank: torch.Tensor, tokens: int) -> torch.Tensor:
        """Return BEATs' tokens (tokens, dim): padded or truncated, and averaged to the number of tower tokens."""
        features = self.beats(fbank)
        wanted = 2 * tokens
        fitted = F.pad(features[:wanted], (0, 0, 0, max(0, wanted - len(features))))
        return fitted.view(tokens, 2, -1).mean(dim=1)

    def embed_media(self, sequences: Sequence[TokenSequence]) -> torch.Tensor:
        """Embed clips with their prompts through the fusion head.

        Returns:
            (prompts, hidden), not normalised, in the order of the sequences and of the prompts of each. A row does
            not depend on other sequences and prompts.
        """
        layers = last_tokens(self.model, packed(sequences, self.model.embed_tokens))
        return cast("torch.Tensor", self.classify_linear(torch.cat(layers, dim=-1)))

    def embed_text(self, sequences: Sequence[TokenSequence]) -> torch.Tensor:
        """Embed texts by the last token of the last layer, without the head.

        Returns:
            (batch, hidden), not normalised. A row does not depend on the other sequences of the batch.
        """
        return last_tokens(self.model, packed(sequences, self.model.embed_tokens))[-1]


def normalised(rows: torch.Tensor) -> torch.Tensor:
    """Normalise byte patches as in the training of the vision tower.

    This happens on the device, because bytes are a quarter of the size of floats to copy.

    Args:
        rows: (patches, channels x frames x height x width) uint8.

    Returns:
        The same shape in float32.
    """
    mean, std = (torch.tensor(values, device=rows.device)[:, None] for values in (_CLIP_MEAN, _CLIP_STD))
    values = rows.float().view(len(rows), len(_CLIP_MEAN), -1)
    return values.mul_(1 / (255 * std)).sub_(mean / std).flatten(1)


class _PatchEmbedding(nn.Module):
    """A convolution over non-overlapping patches, computed as a matrix product, which is several times as fast."""

    def __init__(self, convolution: Any) -> None:
        super().__init__()
        self.proj = convolution.proj

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Map (patches, values) to (patches, width)."""
        weight = self.proj.weight
        return F.linear(patches.to(weight.dtype), weight.flatten(1))


def audio_tower_tokens(mel_frames: int) -> int:
    """Return the number of audio tower tokens of one piece: 25 per second."""
    return ((mel_frames - 1) // 2 + 1) // 2


# Minimal values of settings that cost time or memory but do not affect the buffers.
_WITHOUT_WEIGHTS: dict[str, dict[str, Any]] = {
    "qwen2_5_omni_audio_encoder": {"encoder_layers": 0, "output_dim": 1},
    "qwen2_5_omni_vision_encoder": {"depth": 0, "out_hidden_size": 1, "spatial_merge_size": 1},
    "qwen2_5_omni_text": {"num_hidden_layers": 0, "layer_types": [], "vocab_size": 1, "pad_token_id": None},
}


def computed_buffers(module: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Compute those buffers of a Qwen2.5-Omni module of transformers that are not in checkpoints.

    They are taken from a second, almost empty model built on the CPU, which does not rely on internals of any version
    of transformers.

    Args:
        module: audio tower, vision tower or decoder, possibly on the meta device.

    Returns:
        Paths inside `module` with values, in float32 on the CPU.
    """
    config: Any = copy.deepcopy(module.config)
    # That of the class: a checkpoint's own may be anything, and transformers does not look at it here.
    for name, value in _WITHOUT_WEIGHTS[type(config).model_type].items():
        setattr(config, name, value)
    # The constructors accept transformers' own implementations only.
    config._attn_implementation = "sdpa"
    with torch.device("cpu"):
        small = type(module)(config)
    yield from small.named_buffers()
