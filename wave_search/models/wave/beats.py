"""BEATs: the encoder of non-speech audio.

Source: "BEATs: Audio Pre-Training with Acoustic Tokenizers", arXiv:2212.09058; DeepNorm residuals from
arXiv:2203.00555; gated relative positions from "WavLM", arXiv:2110.13900.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import nn

if TYPE_CHECKING:
    from wave_search.models.wave.config import BeatsConfig

# The largest array is the bias of a block of queries: heads x queries x keys. Bounds it for minutes of audio.
_MAX_BIAS_ELEMENTS = 2**25


class Beats(nn.Module):
    """A transformer over patches of the filterbank.

    Runs in the dtype of its parameters. Loaders keep these, 1 % of the model, in float32 even if the rest is bfloat16:
    the release runs BEATs in half precision, which changes the features by 0.1 % rms, while bfloat16 changes them by 1
    % (measured on a small model).
    """

    def __init__(self, config: BeatsConfig) -> None:
        super().__init__()
        size = config.input_patch_size
        self.patch_embedding = nn.Conv2d(1, config.embed_dim, size, stride=size, bias=config.conv_bias)
        self.layer_norm = nn.LayerNorm(config.embed_dim)
        projected = config.embed_dim != config.encoder_embed_dim
        self.post_extract_proj = nn.Linear(config.embed_dim, config.encoder_embed_dim) if projected else nn.Identity()
        self.encoder = Encoder(config)

    def forward(self, fbank: torch.Tensor) -> torch.Tensor:
        """Encode one audio clip.

        Args:
            fbank: (frames, 128) normalised filterbank, at least 16 frames.

        Returns:
            (tokens, dim): 8 tokens for each 16 frames, from low to high frequencies.
        """
        patches = self.patch_embedding(fbank[None, None].to(self.patch_embedding.weight.dtype))
        # (1, dim, time, frequency) -> (time x frequency, dim)
        tokens = patches[0].flatten(1).T
        return cast("torch.Tensor", self.encoder(self.post_extract_proj(self.layer_norm(tokens))))


class Encoder(nn.Module):
    """The transformer, preceded by a convolution for absolute positions."""

    def __init__(self, config: BeatsConfig) -> None:
        super().__init__()
        self.num_buckets, self.max_distance = config.num_buckets, config.max_distance
        # A Sequential, because the released keys are named `pos_conv.0`.
        self.pos_conv = nn.Sequential(PositionalConv(config))
        layers = [Layer(config) for _ in range(config.encoder_layers)]
        # One table under the keys of every layer, as released.
        for layer in layers[1:]:
            layer.self_attn.relative_attention_bias = layers[0].self_attn.relative_attention_bias
        self.layers = nn.ModuleList(layers)
        self.layer_norm = nn.LayerNorm(config.encoder_embed_dim)
        self.register_load_state_dict_pre_hook(_fill_in_bias_aliases)  # type: ignore[no-untyped-call]

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Encode (tokens, dim)."""
        hidden = self.layer_norm(hidden + self.pos_conv(hidden))
        length = len(hidden)
        offsets = torch.arange(1 - length, length, device=hidden.device)
        table = cast("Layer", self.layers[0]).self_attn.relative_attention_bias
        bias = table(relative_buckets(offsets, self.num_buckets, self.max_distance)).T
        for layer in self.layers:
            hidden = layer(hidden, bias)
        return hidden


class PositionalConv(nn.Module):
    """Grouped convolution whose weight is normalised per kernel position, not per output channel."""

    def __init__(self, config: BeatsConfig) -> None:
        super().__init__()
        dim, kernel, self.groups = config.encoder_embed_dim, config.conv_pos, config.conv_pos_groups
        self.weight_g = nn.Parameter(torch.ones(1, 1, kernel))
        self.weight_v = nn.Parameter(torch.randn(dim, dim // self.groups, kernel))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Map (tokens, dim) to the same shape."""
        kernel = self.weight_v.shape[-1]
        norm = torch.linalg.vector_norm(self.weight_v, dim=(0, 1), keepdim=True)
        weight = self.weight_v * (self.weight_g / norm)
        mixed = F.conv1d(hidden.T[None], weight, self.bias, padding=kernel // 2, groups=self.groups)
        # An even kernel yields one output too many.
        return F.gelu(mixed[0].T[: len(hidden)])


class Layer(nn.Module):
    """Attention and feed-forward, each with a scaled residual and followed by a norm."""

    def __init__(self, config: BeatsConfig) -> None:
        super().__init__()
        dim = config.encoder_embed_dim
        self.self_attn = Attention(config)
        self.self_attn_layer_norm = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, config.encoder_ffn_embed_dim)
        self.fc2 = nn.Linear(config.encoder_ffn_embed_dim, dim)
        self.final_layer_norm = nn.LayerNorm(dim)
        self.residual_scale = (2 * config.encoder_layers) ** 0.25 if config.deep_norm else 1.0

    def forward(self, hidden: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """Map (tokens, dim) to the same shape; `bias` is (heads, 2 x tokens - 1), by key minus query."""
        hidden = self.self_attn_layer_norm(self.residual_scale * hidden + self.self_attn(hidden, bias))
        mixed = self.fc2(F.gelu(self.fc1(hidden)))
        return cast("torch.Tensor", self.final_layer_norm(self.residual_scale * hidden + mixed))


class Attention(nn.Module):
    """Self-attention with a relative position bias that each query scales by its own gate."""

    def __init__(self, config: BeatsConfig) -> None:
        super().__init__()
        dim, self.heads = config.encoder_embed_dim, config.encoder_attention_heads
        self.q_proj = nn.Linear(dim, dim)
        self.k_proj = nn.Linear(dim, dim)
        self.v_proj = nn.Linear(dim, dim)
        self.out_proj = nn.Linear(dim, dim)
        self.relative_attention_bias = nn.Embedding(config.num_buckets, self.heads)
        self.grep_linear = nn.Linear(dim // self.heads, 8)
        self.grep_a = nn.Parameter(torch.ones(1, self.heads, 1, 1))

    def forward(self, hidden: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """Map (tokens, dim) to the same shape; `bias` is (heads, 2 x tokens - 1), by key minus query."""
        length = len(hidden)
        query, key, value = (self._split(project(hidden)) for project in (self.q_proj, self.k_proj, self.v_proj))
        gate = self._gate(query)
        # Window w of the bias holds what query (length - 1 - w) adds to all keys.
        windows = bias.unfold(1, length, 1)
        block = max(1, _MAX_BIAS_ELEMENTS // (self.heads * length))
        mixed = []
        for start in range(0, length, block):
            stop = min(start + block, length)
            mask = windows[:, length - stop : length - start].flip(1) * gate[:, start:stop]
            mixed.append(F.scaled_dot_product_attention(query[None, :, start:stop], key[None], value[None], mask[None]))
        return cast("torch.Tensor", self.out_proj(torch.cat(mixed, dim=2)[0].transpose(0, 1).flatten(1)))

    def _split(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden.view(len(hidden), self.heads, -1).transpose(0, 1)

    def _gate(self, query: torch.Tensor) -> torch.Tensor:
        """Return the gate (heads, tokens, 1) of the unscaled queries."""
        halves = self.grep_linear(query).unflatten(-1, (2, 4)).sum(-1).sigmoid()
        first, second = halves.split(1, dim=-1)
        return cast("torch.Tensor", first * (second * self.grep_a[0] - 1) + 2)


def relative_buckets(offsets: torch.Tensor, num_buckets: int, max_distance: int) -> torch.Tensor:
    """Return the buckets of key minus query: half of them for each sign, of which half are exact and half logarithmic.

    Source: "T5", arXiv:1910.10683.
    """
    half = num_buckets // 2
    exact = half // 2
    distance = offsets.abs()
    scaled = torch.log(distance.clamp(min=1).float() / exact) / math.log(max_distance / exact) * (half - exact)
    far = (exact + scaled.long()).clamp(max=half - 1)
    return torch.where(distance < exact, distance, far) + half * (offsets > 0)


def _fill_in_bias_aliases(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Accept checkpoints that contain the shared table once, because writers of safetensors drop its aliases."""
    name = "layers.{}.self_attn.relative_attention_bias.weight"
    table = state.get(prefix + name.format(0))
    if table is not None:
        for index in range(1, len(cast("Encoder", module).layers)):
            state[prefix + name.format(index)] = table
