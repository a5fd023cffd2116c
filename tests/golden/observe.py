"""Records what a model computes while it embeds, so that the comparison is with the production path."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from unittest.mock import patch

import torch
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import Qwen2_5OmniThinkerTextModel

from wave_search.models.wave import network as wave_module
from wave_search.models.wave.decoder import last_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wave_search.models.wave.batch import Pack
    from wave_search.models.wave.network import Wave


@dataclass
class Towers:
    """Inputs and outputs of the towers, call by call."""

    pixels: list[torch.Tensor] = field(default_factory=list)
    vision: list[torch.Tensor] = field(default_factory=list)
    audio_lengths: list[torch.Tensor] = field(default_factory=list)
    audio: list[torch.Tensor] = field(default_factory=list)
    fbank: list[torch.Tensor] = field(default_factory=list)
    beats: list[torch.Tensor] = field(default_factory=list)
    pooled: list[torch.Tensor] = field(default_factory=list)
    normed: list[torch.Tensor] = field(default_factory=list)
    projected: list[torch.Tensor] = field(default_factory=list)


@dataclass(frozen=True)
class DecoderPass:
    """Input and output of the decoder in one call, padded on the left as in the reference."""

    embeddings: torch.Tensor
    """(batch, length, hidden)"""
    position_ids: torch.Tensor
    """(3, batch, length)"""
    attention_mask: torch.Tensor
    """(batch, length)"""
    layers: list[torch.Tensor] = field(default_factory=list)
    """(batch, hidden): last token of each layer's output, after the final norm in the last one."""

    def last_token_by_layer(self) -> torch.Tensor:
        return torch.stack([self.embeddings[:, -1], *self.layers])


def padded(wave: Wave, pack: Pack) -> DecoderPass:
    """Convert a pack of sequences with one prompt each into the padded batch of the reference."""
    lengths = [run.length for run in pack.runs for _ in range(run.count)]
    longest = max(lengths)
    pad = wave.model.embed_tokens.weight[wave.config.tokens.pad]
    embeddings = pad.repeat(len(lengths), longest, 1)
    position_ids = torch.ones(3, len(lengths), longest, dtype=torch.int64)
    mask = torch.zeros(len(lengths), longest, dtype=torch.int64)
    rows = zip(pack.embeddings.split(lengths), pack.position_ids.split(lengths, dim=1), lengths, strict=True)
    for row, (embedded, positions, length) in enumerate(rows):
        embeddings[row, longest - length :] = embedded
        position_ids[:, row, longest - length :] = positions
        mask[row, longest - length :] = 1
    return DecoderPass(embeddings, position_ids, mask)


def transformers_decoder(wave: Wave) -> torch.nn.Module:
    """Return transformers' own decoder with the weights of a model."""
    with wave.device:
        decoder = Qwen2_5OmniThinkerTextModel(wave.config.thinker.text_config)
    decoder.load_state_dict(wave.model.state_dict(), assign=True)
    return decoder.eval()


def full_pass(wave: Wave, decoder_pass: DecoderPass) -> list[torch.Tensor]:
    """Return all hidden states of transformers' own decoder for the same input: (batch, length, hidden) each.

    A padded position attends to all positions, as in the reference. Nothing depends on it, but the recorded means
    are over all positions.
    """
    length = decoder_pass.embeddings.shape[1]
    allowed = torch.ones(length, length).tril().bool() & decoder_pass.attention_mask[:, None, None].bool()
    mask = torch.zeros(allowed.shape).masked_fill(~allowed, torch.finfo(torch.float32).min)
    output = transformers_decoder(wave)(
        inputs_embeds=decoder_pass.embeddings,
        attention_mask=mask,
        position_ids=decoder_pass.position_ids,
        use_cache=False,
        output_hidden_states=True,
    )
    return list(output.hidden_states)


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

    def recording(model, pack):
        record.passes.append(padded(wave, pack))
        record.passes[-1].layers.extend(layers := last_tokens(model, pack))
        return layers

    hooks = [
        wave.visual.register_forward_hook(on_vision),
        wave.audio_tower.register_forward_hook(on_audio, with_kwargs=True),
        wave.beats.register_forward_hook(on_beats),
        wave.beats_ln.register_forward_hook(on_ln),
        wave.beats_proj.register_forward_hook(lambda _m, _i, output: towers.projected.append(output)),
    ]
    try:
        with patch.object(wave_module, "last_tokens", recording):
            yield record
    finally:
        for hook in hooks:
            hook.remove()
