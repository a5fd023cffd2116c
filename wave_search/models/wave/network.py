"""The WAVE network: towers, decoder and fusion head."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import nn

from wave_search.models.wave.batch import TOWER_PATCHES, packed
from wave_search.models.wave.beats import Beats
from wave_search.models.wave.classifier import Classifier
from wave_search.models.wave.decoder import Decoder, Rotary, last_tokens
from wave_search.models.wave.sound_classifier import SoundClassifier
from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

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

    Args:
        config: the architecture.
        components: what the model begins with; `add` adds others. Those without towers need no transformers.

    Source: "WAVE: Learning Unified & Versatile Audio-Visual Embeddings with Multimodal LLM", arXiv:2509.21990.
    """

    model: Decoder
    classify_linear: nn.Sequential
    beats: Beats
    beats_ln: nn.LayerNorm
    beats_proj: nn.Sequential

    def __init__(self, config: WaveConfig, components: Iterable[Component] = tuple(Component)) -> None:
        super().__init__()
        self.config = config
        self.audio_tower: Any = None
        self.visual: Any = None
        self.classifier: Classifier | None = None
        self.sound_classifier: SoundClassifier | None = None
        for component in components:
            self.add(component)
        self.eval()

    def add(self, component: Component) -> None:
        """Add a component, with initial weights on torch's default device.

        Raises:
            CheckpointError: transformers does not accept the settings of a tower.
            Exception: sizes do not fit together, which fails in the constructors of torch and transformers.
        """
        config, hidden = self.config, self.config.hidden_size
        made: dict[str, nn.Module] = {}
        match component:
            case Component.DECODER:
                made["model"] = Decoder(config.decoder)
            case Component.HEAD:
                made["classify_linear"] = _two_layers(config.decoder.num_hidden_layers * hidden, hidden)
            case Component.VISION:
                from wave_search.models.wave.towers import vision_tower

                made["visual"] = vision_tower(config)
                if config.classifier:
                    made["classifier"] = Classifier(config.classifier, hidden)
            case Component.AUDIO:
                from wave_search.models.wave.towers import audio_tower

                made["audio_tower"] = audio_tower(config)
                if config.sound_classifier:
                    made["sound_classifier"] = SoundClassifier(config.sound_classifier, hidden)
                if config.beats is not None:
                    made["beats"] = Beats(config.beats)
                    made["beats_ln"] = nn.LayerNorm(config.beats.encoder_embed_dim)
                    made["beats_proj"] = _two_layers(config.beats.encoder_embed_dim, hidden)
        for name, module in made.items():
            setattr(self, name, module.eval())

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.model.embed_tokens.weight.device

    def init_buffers(self, device: torch.device | str) -> None:
        """Compute the buffers that checkpoints lack (rotary frequencies, sinusoids), in float32, on `device`.

        Call it after the weights are loaded: on the meta device nothing is computed, and a change of the model's dtype
        would round them.
        """
        self.model.rotary_emb.inv_freq = Rotary(self.config.decoder).inv_freq.to(device)
        for tower in filter(None, (self.audio_tower, self.visual)):
            from wave_search.models.wave.towers import computed_buffers

            for path, value in computed_buffers(tower):
                owner, _, name = path.rpartition(".")
                setattr(tower.get_submodule(owner), name, value.to(device))

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


def _two_layers(width: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, hidden))


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


def audio_tower_tokens(mel_frames: int) -> int:
    """Return the number of audio tower tokens of one piece: 25 per second."""
    return ((mel_frames - 1) // 2 + 1) // 2
