"""A forward pass of the decoder that computes only what the embeddings need."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch.utils.checkpoint import checkpoint

from wave_search.models.wave.batch import FEED_FORWARD_ROWS
from wave_search.models.wave.transformers_imports import apply_rotary_pos_emb

if TYPE_CHECKING:
    from collections.abc import Callable

    from wave_search.models.wave.batch import Pack, Run
    from wave_search.models.wave.transformers_imports import Qwen2_5OmniThinkerTextModel


def last_tokens(model: Qwen2_5OmniThinkerTextModel, pack: Pack) -> list[torch.Tensor]:
    """Run the decoder, and keep only those rows of each layer where embeddings are read.

    Nothing else is kept beyond its layer: no cache, no hidden states. The last layer computes keys and values of all
    tokens, and everything else only for the tokens that are read.

    With gradients enabled, no layer modifies its input. With `model.gradient_checkpointing`, only the input of a layer
    is kept, and the backward pass recomputes the rest.

    Args:
        model: transformers' decoder. Its submodules are used, but not its `forward`.
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


def _layer_for(model: Qwen2_5OmniThinkerTextModel) -> Callable[..., torch.Tensor]:
    if not torch.is_grad_enabled():
        return _layer
    return (
        partial(checkpoint, _layer_with_gradient, use_reentrant=False)
        if model.gradient_checkpointing
        else (_layer_with_gradient)
    )


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
    if asking is None:
        query, key = apply_rotary_pos_emb(query, key, cosine, sine)
    else:
        query, _ = apply_rotary_pos_emb(query, query, cosine[asking], sine[asking])
        key, _ = apply_rotary_pos_emb(key, key, cosine, sine)
    return query, key, value


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
