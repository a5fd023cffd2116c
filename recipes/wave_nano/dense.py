"""Passes for training: dense batches with gradients, where inference has packs and overwrites what it can.

Attention is written out. In bfloat16 on a CPU that is three to eight times as fast as PyTorch's fused kernels, with
gradients, for sequences as short as these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from transformers.vision_utils import get_vision_position_ids

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wave_search.models.wave.network import Wave
    from wave_search.models.wave.sequences import TokenSequence

Rotary = tuple[torch.Tensor, torch.Tensor]


def embed_text(wave: Wave, sequences: Sequence[TokenSequence]) -> torch.Tensor:
    """`Wave.embed_text` with gradients."""
    return _last_tokens(wave, sequences)[-1]


def embed_media(wave: Wave, sequences: Sequence[TokenSequence]) -> torch.Tensor:
    """`Wave.embed_media` with gradients, for clips with one prompt each."""
    return cast("torch.Tensor", wave.classify_linear(torch.cat(_last_tokens(wave, sequences), dim=-1)))


def _last_tokens(wave: Wave, sequences: Sequence[TokenSequence]) -> list[torch.Tensor]:
    """For each layer (sequences, hidden); of the last layer after the final norm."""
    hidden, positions = _padded(wave, sequences)
    rotary = wave.model.rotary_emb(hidden, positions)
    spots = torch.arange(hidden.shape[1])
    last = torch.arange(len(sequences)), torch.tensor([len(sequence) - 1 for sequence in sequences])
    ahead = _hidden_where(spots[None] > spots[:, None])
    kept = []
    for layer in wave.model.layers[:-1]:
        mixed = _self_attention(layer.self_attn, short(layer.input_layernorm(hidden)), rotary, ahead)
        hidden = _fed_forward(layer, hidden + mixed)
        kept.append(hidden[last])
    # Of the last layer nothing but the last tokens is read.
    final = wave.model.layers[-1]
    behind = _hidden_where(spots[None] > last[1][:, None])[:, None, None]
    mixed = _self_attention(final.self_attn, short(final.input_layernorm(hidden)), rotary, behind, last)
    return [*kept, wave.model.norm(_fed_forward(final, hidden[last] + mixed[:, 0]))]


def _fed_forward(layer: Any, hidden: torch.Tensor) -> torch.Tensor:
    return cast("torch.Tensor", hidden + layer.mlp(short(layer.post_attention_layernorm(hidden))))


def _hidden_where(condition: torch.Tensor) -> torch.Tensor:
    return torch.zeros(condition.shape).masked_fill(condition, -torch.inf)


def _padded(wave: Wave, sequences: Sequence[TokenSequence]) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings, (sequences, tokens, hidden), and positions, (3, sequences, tokens).

    Padding is behind, where attention that looks back does not see it: no mask is needed.
    """
    length = max(map(len, sequences))
    ids = np.zeros((len(sequences), length), np.int64)
    positions = np.zeros((3, len(sequences), length), np.int64)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = sequence.token_ids
        positions[:, row, : len(sequence)] = sequence.position_ids
    embeddings = wave.model.embed_tokens(torch.from_numpy(ids))
    features = [
        (row * length + feature.indices, feature.rows)
        for row, sequence in enumerate(sequences)
        for feature in sequence.features
    ]
    if features:
        places = torch.from_numpy(np.concatenate([at for at, _ in features]))
        rows = torch.cat([rows for _, rows in features]).to(embeddings)
        embeddings = embeddings.flatten(0, 1).index_copy(0, places, rows).view_as(embeddings)
    return embeddings, torch.from_numpy(positions)


def _self_attention(
    part: Any,
    hidden: torch.Tensor,
    rotary: Rotary,
    bias: torch.Tensor,
    asking: tuple[torch.Tensor, torch.Tensor] | None = None,
) -> torch.Tensor:
    """What all tokens, or one of each sequence that `asking` names, take from the others."""
    cosine, sine = (angles.to(hidden.dtype)[:, :, None] for angles in rotary)
    key, value = (project(hidden).unflatten(-1, (-1, part.head_dim)) for project in (part.k_proj, part.v_proj))
    key = _turned(key, cosine, sine)
    if asking is not None:
        hidden, cosine, sine = (states[asking][:, None] for states in (hidden, cosine, sine))
    query = _turned(part.q_proj(hidden).unflatten(-1, (-1, part.head_dim)), cosine, sine)
    groups = query.shape[2] // key.shape[2]
    query, key, value = (states.transpose(1, 2) for states in (query, key, value))
    mixed = attention(query, key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1), bias)
    return cast("torch.Tensor", part.o_proj(mixed.transpose(1, 2).flatten(2)))


def short(values: torch.Tensor) -> torch.Tensor:
    """In the type of autocast, once: it would convert them again for each of the products that take them."""
    return values.to(torch.get_autocast_dtype("cpu")) if torch.is_autocast_enabled("cpu") else values


def attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor | None = None
) -> torch.Tensor:
    """Attention, (batch, heads, tokens, width) each; `bias` is added to the scores."""
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    if bias is not None:
        scores = scores + bias.to(scores.dtype)
    return F.softmax(scores, dim=-1, dtype=scores.dtype) @ value


def look_at(visual: Any, rows: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """The vision tower on moments of one size. Windows make no difference where every layer sees everything.

    Args:
        visual: the tower.
        rows: (moments, patches, values), normalised.
        height: of the grid, in patches.
        width: of the grid, in patches.

    Returns:
        (moments, tokens, hidden)
    """
    hidden = visual.patch_embed(rows)
    places = get_vision_position_ids(torch.tensor([[1, height, width]]), visual.spatial_merge_size)
    rotary = visual.rotary_pos_emb(hidden, places)
    for block in visual.blocks:
        hidden = hidden + _look_around(block.attn, short(block.norm1(hidden)), rotary)
        hidden = hidden + block.mlp(short(block.norm2(hidden)))
    merged = visual.merger(hidden)
    return cast("torch.Tensor", merged.view(len(rows), -1, merged.shape[-1]))


def _look_around(part: Any, hidden: torch.Tensor, rotary: Rotary) -> torch.Tensor:
    query, key, value = (project(hidden).unflatten(-1, (part.num_heads, -1)) for project in (part.q, part.k, part.v))
    cosine, sine = (angles.to(query.dtype)[:, None] for angles in rotary)
    query, key = (_turned(states, cosine, sine) for states in (query, key))
    mixed = attention(*(states.transpose(1, 2) for states in (query, key, value)))
    return cast("torch.Tensor", part.proj(mixed.transpose(1, 2).flatten(2)))


def _turned(states: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    first, second = states.chunk(2, dim=-1)
    return states * cosine + torch.cat([-second, first], dim=-1) * sine
