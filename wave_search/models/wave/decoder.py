"""The decoder, that of Qwen2.5 with positions on three axes, and a forward pass for nothing but embeddings.

Its layers have the names and compute the values of those of transformers, whose import would take most of the time of a
text query.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import nn

from wave_search.models.wave.batch import FEED_FORWARD_ROWS

if TYPE_CHECKING:
    from collections.abc import Callable

    from wave_search.models.wave.batch import Pack, Run
    from wave_search.models.wave.config import DecoderConfig

_INITIAL_STD = 0.02


class Decoder(nn.Module):
    """The weights of the decoder; `last_tokens` computes it.

    Attributes:
        gradient_checkpointing: whether the backward pass computes what is within a layer again.

    Source: "Qwen2.5-Omni Technical Report", arXiv:2503.20215.
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        # The constructor of nn.Embedding draws normal numbers, for which torch imports its compiler on the meta device.
        table = torch.empty(config.vocab_size, config.hidden_size)
        self.embed_tokens: nn.Embedding = nn.Embedding.from_pretrained(table, freeze=False)  # type: ignore[no-untyped-call]
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = _RMSNorm(config)
        self.rotary_emb = Rotary(config)
        self.gradient_checkpointing = False
        if not table.is_meta:
            self.apply(_initialise)


class _Layer(nn.Module):
    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.self_attn = _Attention(config)
        self.mlp = _FeedForward(config)
        self.input_layernorm = _RMSNorm(config)
        self.post_attention_layernorm = _RMSNorm(config)


class _Attention(nn.Module):
    """The projections of an attention; `_project` and `_attend` compute it."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.head_dim = config.head_dim
        width, rows = config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim
        self.q_proj = nn.Linear(config.hidden_size, width)
        self.k_proj = nn.Linear(config.hidden_size, rows)
        self.v_proj = nn.Linear(config.hidden_size, rows)
        self.o_proj = nn.Linear(width, config.hidden_size, bias=False)


class _FeedForward(nn.Module):
    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return cast("torch.Tensor", self.down_proj(F.silu(self.gate_proj(hidden)) * self.up_proj(hidden)))


class _RMSNorm(nn.Module):
    """Division by the root mean square. nn.RMSNorm multiplies before it rounds, which changes values in bfloat16."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(config.hidden_size))
        self.eps = config.rms_norm_eps

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        exact = hidden.float()
        scaled = exact * torch.rsqrt(exact.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * scaled.to(hidden.dtype)


class Rotary(nn.Module):
    """The angles by which queries and keys are turned, by the position on one axis for each frequency."""

    inv_freq: torch.Tensor
    """(head_dim / 2,) float32, in no checkpoint."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        # On the CPU: it is no weight, and on the meta device torch imports its compiler for it.
        exponents = torch.arange(0, config.head_dim, 2, dtype=torch.float32, device="cpu") / config.head_dim
        self.register_buffer("inv_freq", 1.0 / config.rope_theta**exponents, persistent=False)
        self._section = config.mrope_section

    def forward(self, hidden: torch.Tensor, position_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map positions (3, batch, tokens) to cosines and sines (batch, tokens, head_dim), in the dtype of `hidden`."""
        angles = position_ids[..., None].float() * self.inv_freq
        parts = [part[axis % 3] for axis, part in enumerate(torch.split(angles, list(self._section), dim=-1))]
        chosen = torch.cat(parts * 2, dim=-1)
        return chosen.cos().to(hidden.dtype), chosen.sin().to(hidden.dtype)


def _initialise(module: nn.Module) -> None:
    """Set initial weights for training from the beginning, as transformers does."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=_INITIAL_STD)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


def last_tokens(model: Decoder, pack: Pack) -> list[torch.Tensor]:
    """Run the decoder, and keep only those rows of each layer where embeddings are read.

    Nothing else is kept beyond its layer: no cache, no hidden states. The last layer computes keys and values of all
    tokens, and everything else only for the tokens that are read.

    With gradients enabled, no layer modifies its input. With `model.gradient_checkpointing`, only the input of a layer
    is kept, and the backward pass recomputes the rest.

    Args:
        model: the decoder, whose layers may be quantized or have adapters.
        pack: sequences, which do not attend to each other. Its embeddings are overwritten.

    Returns:
        (endings, hidden) for each layer, in the order of the pack; for the last layer, after the final norm.
    """
    rotary = model.rotary_emb(pack.embeddings[None], pack.position_ids[:, None])
    hidden = pack.embeddings
    kept: list[torch.Tensor] = []
    run_layer = _layer_for(model)
    for layer in model.layers[:-1]:
        hidden = run_layer(layer, hidden, rotary, pack)
        kept.append(hidden[pack.last])
    final = _last_layer(model.layers[-1], hidden, rotary, pack)
    return [*kept, model.norm(final)]


def _layer_for(model: Decoder) -> Callable[..., torch.Tensor]:
    if not torch.is_grad_enabled():
        return _layer
    if not model.gradient_checkpointing:
        return _layer_with_gradient
    from torch.utils.checkpoint import checkpoint

    return partial(checkpoint, _layer_with_gradient, use_reentrant=False)


def _layer_with_gradient(
    layer: Any, hidden: torch.Tensor, rotary: tuple[torch.Tensor, torch.Tensor], pack: Pack
) -> torch.Tensor:
    """Map (tokens, hidden) to the same shape."""
    query, key, value = _project(layer, hidden, rotary)
    mixed = torch.cat([_attend(run, query, key, value) for run in pack.runs])
    hidden = hidden + layer.self_attn.o_proj(mixed.flatten(1))
    return cast("torch.Tensor", hidden + layer.mlp(layer.post_attention_layernorm(hidden)))


def _layer(layer: Any, hidden: torch.Tensor, rotary: tuple[torch.Tensor, torch.Tensor], pack: Pack) -> torch.Tensor:
    """Map (tokens, hidden) to the same shape, in place."""
    query, key, value = _project(layer, hidden, rotary)
    # The result overwrites the queries of the run, which are no longer needed.
    for run in pack.runs:
        query[run.rows] = _attend(run, query, key, value)
    del key, value
    hidden += layer.self_attn.o_proj(query.flatten(1))
    del query
    at_once = FEED_FORWARD_ROWS[hidden.device.type]
    for start in range(0, len(hidden), at_once):
        rows = hidden[start : start + at_once]
        rows += layer.mlp(layer.post_attention_layernorm(rows))
    return hidden


def _last_layer(
    layer: Any, hidden: torch.Tensor, rotary: tuple[torch.Tensor, torch.Tensor], pack: Pack
) -> torch.Tensor:
    """Map (tokens, hidden) to (endings, hidden)."""
    query, key, value = _project(layer, hidden, rotary, pack.last)
    start, mixed = 0, []
    for run in pack.runs:
        stop = start + run.count * len(run.last)
        mixed.append(_attend_last(run, query[start:stop], key, value))
        start = stop
    last = hidden[pack.last] + layer.self_attn.o_proj(torch.cat(mixed).flatten(1))
    return cast("torch.Tensor", last + layer.mlp(layer.post_attention_layernorm(last)))


def _project(
    layer: Any, hidden: torch.Tensor, rotary: tuple[torch.Tensor, torch.Tensor], asking: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return queries of the rows `asking` (None: all), keys and values of all rows: (rows, heads, head width) each."""
    part = layer.self_attn
    normed = layer.input_layernorm(hidden)
    cosine, sine = (angles[0] for angles in rotary)
    query = part.q_proj(normed if asking is None else normed[asking]).unflatten(-1, (-1, part.head_dim))
    key = part.k_proj(normed).unflatten(-1, (-1, part.head_dim))
    value = part.v_proj(normed).unflatten(-1, (-1, part.head_dim))
    rows = slice(None) if asking is None else asking
    return _turned(query, cosine[rows], sine[rows]), _turned(key, cosine, sine), value


def _turned(states: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    """Turn (rows, heads, head width) by angles (rows, head width): a pair is a value of each half."""
    first, second = states.chunk(2, dim=-1)
    return states * cosine[:, None] + torch.cat([-second, first], dim=-1) * sine[:, None]


def _attend(run: Run, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Return the attention of all tokens of a run: (rows, heads, head width)."""
    query, key, value = (_batched(run, states[run.rows]) for states in (query, key, value))
    mixed = F.scaled_dot_product_attention(
        query[:, :, : run.stem], key[:, :, : run.stem], value[:, :, : run.stem], is_causal=True, enable_gqa=True
    )
    if run.mask is not None:
        endings = F.scaled_dot_product_attention(query[:, :, run.stem :], key, value, run.mask, enable_gqa=True)
        mixed = torch.cat([mixed, endings], dim=2)
    return mixed.transpose(1, 2).flatten(0, 1)


def _attend_last(run: Run, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Return the attention of those tokens of a run that are read: (rows, heads, head width)."""
    key, value = (_batched(run, states[run.rows]) for states in (key, value))
    query = query.view(run.count, len(run.last), *query.shape[1:]).transpose(1, 2)
    mask = None if run.mask is None else run.mask[run.last - run.stem]
    mixed = F.scaled_dot_product_attention(query, key, value, mask, enable_gqa=True)
    return mixed.transpose(1, 2).flatten(0, 1)


def _batched(run: Run, states: torch.Tensor) -> torch.Tensor:
    """Map (rows, heads, width) to (sequences, heads, tokens, width)."""
    return states.view(run.count, run.length, *states.shape[1:]).transpose(1, 2)
