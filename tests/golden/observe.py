"""Watches a model at work through forward hooks, so that what is compared is what embedding really computes."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wave_search.model.wave import Wave


@dataclass
class Towers:
    """What the towers took and gave, call by call."""

    pixels: list[torch.Tensor] = field(default_factory=list)
    vision: list[torch.Tensor] = field(default_factory=list)
    audio_lengths: list[torch.Tensor] = field(default_factory=list)
    audio: list[torch.Tensor] = field(default_factory=list)
    fbank: list[torch.Tensor] = field(default_factory=list)
    beats: list[torch.Tensor] = field(default_factory=list)
    pooled: list[torch.Tensor] = field(default_factory=list)
    normed: list[torch.Tensor] = field(default_factory=list)
    projected: list[torch.Tensor] = field(default_factory=list)


@dataclass
class DecoderPass:
    """What the decoder took and gave in one call."""

    embeddings: torch.Tensor
    position_ids: torch.Tensor
    attention_mask: torch.Tensor
    layers: list[torch.Tensor] = field(default_factory=list)
    """Last token of each layer's output."""
    final: torch.Tensor | None = None
    """(batch, length, hidden) after the final norm."""

    def last_token_by_layer(self) -> torch.Tensor:
        assert self.final is not None
        return torch.stack([self.embeddings[:, -1], *self.layers[:-1], self.final[:, -1]])


def reference_padding(wave: Wave, seen: DecoderPass) -> torch.Tensor:
    """The decoder's final output with what the reference has where a row is padded.

    There a padded place attends to all places alike, instead of to none. Nothing depends on it, but the recorded
    means are over all places.
    """
    length = seen.embeddings.shape[1]
    allowed = torch.ones(length, length).tril().bool() & seen.attention_mask[:, None, None].bool()
    mask = torch.zeros(allowed.shape).masked_fill(~allowed, torch.finfo(torch.float32).min)
    return wave.model(
        inputs_embeds=seen.embeddings, attention_mask=mask, position_ids=seen.position_ids, use_cache=False
    ).last_hidden_state


@dataclass
class Record:
    towers: Towers = field(default_factory=Towers)
    passes: list[DecoderPass] = field(default_factory=list)


@contextmanager
def observed(wave: Wave) -> Iterator[Record]:
    """Record everything that `wave` computes inside the block."""
    record = Record()
    towers = record.towers

    def on_vision(_module, inputs, output):
        towers.pixels.append(inputs[0])
        towers.vision.append(output.pooler_output)

    def on_audio(_module, _inputs, kwargs, output):
        towers.audio_lengths.append(kwargs["feature_lens"])
        towers.audio.append(output.last_hidden_state)

    def on_beats(_module, inputs, output):
        towers.fbank.append(inputs[0])
        towers.beats.append(output)

    def on_ln(_module, inputs, output):
        towers.pooled.append(inputs[0])
        towers.normed.append(output)

    def before_decoder(_module, _inputs, kwargs):
        embeddings, mask = kwargs["inputs_embeds"], kwargs["attention_mask"]
        mask = torch.ones(embeddings.shape[:2], dtype=torch.int64) if mask is None else mask
        record.passes.append(DecoderPass(embeddings.clone(), kwargs["position_ids"], mask))

    hooks = [
        wave.visual.register_forward_hook(on_vision),
        wave.audio_tower.register_forward_hook(on_audio, with_kwargs=True),
        wave.beats.register_forward_hook(on_beats),
        wave.beats_ln.register_forward_hook(on_ln),
        wave.beats_proj.register_forward_hook(lambda _m, _i, output: towers.projected.append(output)),
        wave.model.register_forward_pre_hook(before_decoder, with_kwargs=True),
        wave.model.norm.register_forward_hook(lambda _m, _i, output: setattr(record.passes[-1], "final", output)),
        *[
            layer.register_forward_hook(lambda _m, _i, output: record.passes[-1].layers.append(output[:, -1].clone()))
            for layer in wave.model.layers
        ],
    ]
    try:
        yield record
    finally:
        for hook in hooks:
            hook.remove()
