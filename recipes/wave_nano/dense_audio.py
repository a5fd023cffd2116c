"""The two encoders of sound on batches of sounds of one length. See `dense`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name

from recipes.wave_nano.dense import attention, short
from wave_search.models.wave.beats import relative_buckets

if TYPE_CHECKING:
    from wave_search.models.wave.beats import Beats


def audio_tower(tower: Any, mel: torch.Tensor) -> torch.Tensor:
    """The audio tower. It hears a sound in chunks that do not know of each other.

    Args:
        tower: transformers' encoder.
        mel: (sounds, frames, bins)

    Returns:
        (sounds, tokens, hidden)
    """
    size = 2 * tower.n_window
    whole = mel.shape[1] // size * size
    chunks = mel[:, :whole].reshape(-1, size, mel.shape[-1]), mel[:, whole:]
    heard = [_chunk(tower, chunk) for chunk in chunks if chunk.numel()]
    return torch.cat([tokens.reshape(len(mel), -1, tokens.shape[-1]) for tokens in heard], dim=1)


def _chunk(tower: Any, mel: torch.Tensor) -> torch.Tensor:
    hidden = F.gelu(tower.conv2(F.gelu(tower.conv1(mel.transpose(1, 2))))).transpose(1, 2)
    hidden = hidden + tower.positional_embedding.positional_embedding[: hidden.shape[1]]
    for layer in tower.layers:
        hidden = hidden + _attend(layer.self_attn, short(layer.self_attn_layer_norm(hidden)))
        hidden = hidden + layer.fc2(F.gelu(layer.fc1(layer.final_layer_norm(hidden))))
    pairs = hidden[:, : hidden.shape[1] // 2 * 2].unflatten(1, (-1, 2)).mean(2)
    return cast("torch.Tensor", tower.proj(tower.ln_post(pairs)))


def _attend(part: Any, hidden: torch.Tensor) -> torch.Tensor:
    heads = (
        project(hidden).unflatten(-1, (part.num_heads, -1)).transpose(1, 2)
        for project in (part.q_proj, part.k_proj, part.v_proj)
    )
    return cast("torch.Tensor", part.out_proj(attention(*heads).transpose(1, 2).flatten(2)))


def beats_tokens(beats: Beats, fbank: torch.Tensor) -> torch.Tensor:
    """BEATs.

    Args:
        beats: the encoder.
        fbank: (sounds, frames, bins)

    Returns:
        (sounds, tokens, dim)
    """
    tokens = beats.patch_embedding(fbank[:, None]).flatten(2).transpose(1, 2)
    hidden = beats.post_extract_proj(beats.layer_norm(tokens))
    encoder = cast("Any", beats.encoder)
    hidden = encoder.layer_norm(hidden + _placed(encoder.pos_conv[0], hidden))
    spots = torch.arange(hidden.shape[1])
    buckets = relative_buckets(spots[None] - spots[:, None], encoder.num_buckets, encoder.max_distance)
    bias = encoder.layers[0].self_attn.relative_attention_bias(buckets).permute(2, 0, 1)
    for layer in encoder.layers:
        hidden = layer.self_attn_layer_norm(layer.residual_scale * hidden + _gated(layer.self_attn, hidden, bias))
        hidden = layer.final_layer_norm(layer.residual_scale * hidden + layer.fc2(F.gelu(layer.fc1(hidden))))
    return cast("torch.Tensor", hidden)


def _placed(convolution: Any, hidden: torch.Tensor) -> torch.Tensor:
    kernel = convolution.weight_v.shape[-1]
    norm = torch.linalg.vector_norm(convolution.weight_v, dim=(0, 1), keepdim=True)
    weight = convolution.weight_v * (convolution.weight_g / norm)
    mixed = F.conv1d(hidden.transpose(1, 2), weight, convolution.bias, padding=kernel // 2, groups=convolution.groups)
    return F.gelu(mixed.transpose(1, 2)[:, : hidden.shape[1]])


def _gated(part: Any, hidden: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Attention with a relative bias, (heads, tokens, tokens), that each query scales by a gate of its own."""
    states = short(hidden)
    query, key, value = (
        project(states).unflatten(-1, (part.heads, -1)).transpose(1, 2)
        for project in (part.q_proj, part.k_proj, part.v_proj)
    )
    first, second = part.grep_linear(query).unflatten(-1, (2, 4)).sum(-1).sigmoid().split(1, dim=-1)
    gate = first * (second * part.grep_a[0] - 1) + 2
    mixed = attention(query, key, value, gate.to(query.dtype) * bias.to(query.dtype))
    return cast("torch.Tensor", part.out_proj(mixed.transpose(1, 2).flatten(2)))
