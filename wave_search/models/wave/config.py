"""The settings of a checkpoint's config.json that determine the architecture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from wave_search.errors import CheckpointError
from wave_search.media.sampling import policy_of
from wave_search.models.wave.clips import SAMPLING

if TYPE_CHECKING:
    from transformers import Qwen2_5OmniThinkerConfig

    from wave_search.types import Sampling

# The only BEATs variant that WAVE uses. Other values would need another architecture.
_BEATS_FIXED = {
    "activation_fn": "gelu",
    "layer_norm_first": False,
    "relative_position_embedding": True,
    "gru_rel_pos": True,
}


_MAX_LAYERS = 128
"""WAVE-7B has 32 in its largest tower."""
_LAYER_COUNTS = frozenset({"num_hidden_layers", "encoder_layers", "depth"})
_MAX_IDS = 1_000_000
"""Number of tokens of a vocabulary."""
_IDS = ("vocab_size", "_id", "_ids", "_index", "_indexes", "_pixels")
_MAX_SIZE = 65_536
_MAX_FLOAT = 1e9
_MAX_DEPTH, _MAX_ENTRIES = 16, 1_000
_CLASSIFIER, _SOUND_CLASSIFIER, _MAX_REGIONS = "efficientnet_lite0", "yamnet", 7
"""A frame of 224 pixels has seven features along each side."""
_INTACT = "Is this the config.json of a WAVE checkpoint? Get it from its publisher."


@dataclass(frozen=True, slots=True)
class BeatsConfig:
    """Sizes of the BEATs encoder. The defaults are those of the published `BEATs_iter3_plus_AS2M`."""

    encoder_layers: int = 12
    encoder_embed_dim: int = 768
    encoder_ffn_embed_dim: int = 3072
    encoder_attention_heads: int = 12
    embed_dim: int = 512
    """Width of a patch before it is projected to `encoder_embed_dim`."""
    input_patch_size: int = 16
    conv_bias: bool = False
    """Patch size of the patch convolution."""
    conv_pos: int = 128
    """Kernel size of the positional convolution."""
    conv_pos_groups: int = 16
    num_buckets: int = 320
    max_distance: int = 800
    deep_norm: bool = True

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BeatsConfig:
        """Parse the settings of a BEATs configuration; unknown ones are ignored.

        Raises:
            CheckpointError: it describes a variant of BEATs that WAVE does not use.
        """
        _check_sizes(values)
        for key, expected in _BEATS_FIXED.items():
            if values.get(key, expected) != expected:
                raise CheckpointError(f"The BEATs setting {key}={values[key]!r} is not supported, only {expected!r}")
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})


@dataclass(frozen=True, slots=True)
class ClassifierConfig:
    """Sizes of the classifier of frames, which small models have beside their vision tower; WAVE-7B has none."""

    labels: int
    regions: int
    """Rows and columns of the regions of a frame that get a token each, besides that of the whole frame."""

    @property
    def tokens(self) -> int:
        """Number of tokens for each step of the temporal grid."""
        return 1 + self.regions**2

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ClassifierConfig:
        """Parse the settings of a classifier.

        Raises:
            CheckpointError: it is not of the one kind that is supported, or its sizes are missing or out of range.
        """
        return cls(**_classifier_sizes(values, _CLASSIFIER, {"labels": _MAX_SIZE, "regions": _MAX_REGIONS}))


@dataclass(frozen=True, slots=True)
class SoundClassifierConfig:
    """Sizes of the classifier of sounds, which small models have in place of BEATs; WAVE-7B has none."""

    labels: int

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SoundClassifierConfig:
        """Parse the settings of a classifier of sounds.

        Raises:
            CheckpointError: it is not of the one kind that is supported, or its size is missing or out of range.
        """
        return cls(**_classifier_sizes(values, _SOUND_CLASSIFIER, {"labels": _MAX_SIZE}))


def _classifier_sizes(values: Mapping[str, Any], kind: str, limits: Mapping[str, int]) -> dict[str, int]:
    _check_sizes(values)
    if values.get("model_type") != kind:
        raise CheckpointError(f"The classifier {values.get('model_type')!r} is not supported, only {kind!r}", _INTACT)
    sizes = {name: values.get(name) for name in limits}
    for name, most in limits.items():
        size = sizes[name]
        if not isinstance(size, int) or not 1 <= size <= most:
            raise CheckpointError(f"The setting {name}={size!r} is out of range: 1 to {most:,}", _INTACT)
    return cast("dict[str, int]", sizes)


@dataclass(frozen=True, slots=True)
class DecoderConfig:
    """Sizes of the decoder. The defaults are those of Qwen2.5-Omni 7B, which a config.json may leave out."""

    vocab_size: int = 152_064
    hidden_size: int = 3584
    intermediate_size: int = 18_944
    num_hidden_layers: int = 28
    num_attention_heads: int = 28
    num_key_value_heads: int = 4
    head_dim: int = 128
    max_position_embeddings: int = 32_768
    rms_norm_eps: float = 1e-6
    rope_theta: float = 1e6
    mrope_section: tuple[int, ...] = (16, 24, 24)
    """Frequencies that turn by the position in time, in height and in width: half of `head_dim` together."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DecoderConfig:
        """Parse the settings of the decoder; those that do not affect embeddings are ignored.

        Raises:
            CheckpointError: a size is not a positive number, or the decoder is of a variant that is not supported.
        """
        rope = values.get("rope_parameters") or values.get("rope_scaling") or {}
        kind, activation = rope.get("rope_type", rope.get("type", "default")), values.get("hidden_act", "silu")
        if kind not in _ROPE_TYPES or activation != "silu":
            raise CheckpointError(f"The decoder has {kind=} and {activation=}; only default and silu are supported")
        given = {**values, "rope_theta": rope.get("rope_theta", values.get("rope_theta"))}
        made = cls(**{field.name: given[field.name] for field in fields(cls)[:-1] if given.get(field.name) is not None})
        for field in fields(cls)[:-1]:
            size = getattr(made, field.name)
            if not isinstance(size, int if field.type == "int" else int | float) or size <= 0:
                raise CheckpointError(f"The setting {field.name}={size!r} is not a positive number", _INTACT)
        if values.get("head_dim") is None:
            made = replace(made, head_dim=made.hidden_size // made.num_attention_heads)
        if values.get("num_key_value_heads", 0) is None:
            made = replace(made, num_key_value_heads=made.num_attention_heads)
        return replace(made, mrope_section=tuple(rope.get("mrope_section", cls().mrope_section)))


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """Ids of the special tokens."""

    pad: int
    end: int
    """`<|im_end|>`: ends every sequence; the embedding is read there."""
    audio: int
    """Placeholder of one audio token; likewise `image` and `video`."""
    image: int
    video: int
    audio_start: int
    audio_end: int
    vision_start: int
    vision_end: int


_ROPE_TYPES = frozenset({"default", "mrope"})
_TOKEN_KEYS = {
    "pad": "pad_token_id",
    "end": "eos_token_id",
    "audio": "audio_token_index",
    "image": "image_token_index",
    "video": "video_token_index",
    "audio_start": "audio_start_token_id",
    "audio_end": "audio_end_token_id",
    "vision_start": "vision_start_token_id",
    "vision_end": "vision_end_token_id",
}
_TOKEN_IDS = {
    "audio_token_index": 151_646,
    "image_token_index": 151_655,
    "video_token_index": 151_656,
    "audio_start_token_id": 151_647,
    "audio_end_token_id": 151_648,
}
"""Those of Qwen2.5-Omni, which a config.json may leave out."""


@dataclass(frozen=True)
class WaveConfig:
    """The architecture of one checkpoint."""

    decoder: DecoderConfig
    beats: BeatsConfig | None
    """None if the model has a classifier of sounds in its place."""
    classifier: ClassifierConfig | None
    sound_classifier: SoundClassifierConfig | None
    tokens: SpecialTokens
    sampling: Sampling
    """Sampling of media: numbers under `wave_search.sampling` in config.json override those of WAVE."""
    compute_dtype: str | None
    """`wave_search.compute_dtype`: precision to compute in, if it differs from that of the stored weights."""
    source: Mapping[str, Any]
    """The content of config.json."""

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> WaveConfig:
        """Parse the content of a config.json.

        The thinker's settings are at the top level or under `thinker_config`, those of BEATs under `beats_config`
        (the published BEATs by default), those of a classifier of frames, if there is one, under `classifier_config`,
        those of a classifier of sounds, which replaces BEATs, under `sound_classifier_config`, those of the head under
        `classify` or at the top level.

        Raises:
            CheckpointError: a setting is missing or not supported.
        """
        _check_sizes(config)
        thinker = config.get("thinker_config", config)
        head = config.get("classify", config).get("classify_type", "all_layer")
        if head != "all_layer":
            raise CheckpointError(f"The fusion head {head!r} is not supported, only 'all_layer'")
        own = config.get("wave_search", {})
        classifier, sounds = config.get("classifier_config"), config.get("sound_classifier_config")
        return cls(
            decoder=DecoderConfig.from_dict(thinker.get("text_config") or {}),
            beats=BeatsConfig.from_dict(config.get("beats_config", {})) if sounds is None else None,
            classifier=ClassifierConfig.from_dict(classifier) if classifier is not None else None,
            sound_classifier=SoundClassifierConfig.from_dict(sounds) if sounds is not None else None,
            tokens=_special_tokens(thinker),
            sampling=_sampling(own.get("sampling", {})),
            compute_dtype=own.get("compute_dtype"),
            source=config,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the content of config.json, unchanged."""
        return dict(self.source)

    @cached_property
    def thinker(self) -> Qwen2_5OmniThinkerConfig:
        """The configuration of the towers, for transformers. Only they need it, and its import takes seconds.

        Raises:
            CheckpointError: transformers does not accept it.
        """
        from transformers import Qwen2_5OmniThinkerConfig

        try:
            return Qwen2_5OmniThinkerConfig(**_without_implementations(self.source.get("thinker_config", self.source)))
        except Exception as error:  # transformers raises its own exceptions for invalid settings
            raise CheckpointError(f"The settings of the towers are not those of WAVE ({error})", _INTACT) from error

    @property
    def hidden_size(self) -> int:
        """Width of the decoder and of an embedding."""
        return self.decoder.hidden_size

    @property
    def frame_tokens(self) -> int:
        """Number of tokens of a step of the temporal grid that precede those of the vision tower."""
        return self.classifier.tokens if self.classifier else 0

    @property
    def spatial_merge_size(self) -> int:
        """Patches per token of the vision tower, along both height and width."""
        return int(self.thinker.vision_config.spatial_merge_size)

    @property
    def patch_size(self) -> int:
        """Side of a patch in pixels."""
        return int(self.thinker.vision_config.patch_size)

    @property
    def temporal_patch_size(self) -> int:
        """Number of frames in a patch."""
        return int(self.thinker.vision_config.temporal_patch_size)

    @property
    def mel_bins(self) -> int:
        """Number of mel bins of the audio tower's input."""
        return int(self.thinker.audio_config.num_mel_bins)

    @property
    def positions_per_second(self) -> int:
        """Increase of a video's position ids on the time axis per second."""
        return int(self.thinker.position_id_per_seconds)


def _check_sizes(settings: Any, name: str = "", depth: int = 0) -> None:
    """Check all numbers before anything is built from them: a checkpoint may come from anyone.

    Raises:
        CheckpointError: a number is not finite, or no model has so many layers or such sizes.
    """
    if depth > _MAX_DEPTH:
        raise CheckpointError(f"The settings are nested more than {_MAX_DEPTH} levels deep", _INTACT)
    if isinstance(settings, Mapping):
        for key, value in settings.items():
            _check_sizes(value, str(key), depth + 1)
    elif isinstance(settings, list):
        if len(settings) > _MAX_ENTRIES:
            raise CheckpointError(f"The setting {name} has {len(settings):,} entries", _INTACT)
        for value in settings:
            _check_sizes(value, name, depth + 1)
    elif isinstance(settings, int | float) and not isinstance(settings, bool):
        is_count = name in _LAYER_COUNTS
        most: float = _MAX_LAYERS if is_count else _MAX_IDS if name.endswith(_IDS) else _MAX_SIZE
        if isinstance(settings, float):
            most = _MAX_FLOAT
        if not -most <= settings <= most:  # NaN is in no range
            raise CheckpointError(f"The setting {name}={settings!r} is out of range: at most {most:,}", _INTACT)


def _without_implementations(settings: Any) -> Any:
    """Return settings without the names of functions to compute them with.

    Of `attn_implementation` and its like, transformers takes "owner/name" as code to download from the hub and run.
    """
    if isinstance(settings, Mapping):
        kept = {key: value for key, value in settings.items() if "implementation" not in str(key)}
        return {key: _without_implementations(value) for key, value in kept.items()}
    return settings


def _special_tokens(thinker: Mapping[str, Any]) -> SpecialTokens:
    ids: dict[str, Any] = {name: thinker.get(key, _TOKEN_IDS.get(key)) for name, key in _TOKEN_KEYS.items()}
    missing = [_TOKEN_KEYS[name] for name, value in ids.items() if not isinstance(value, int)]
    if missing:
        raise CheckpointError(
            f"The model's configuration lacks {', '.join(missing)}", "Is this the config.json of a WAVE checkpoint?"
        )
    return SpecialTokens(**ids)


def _sampling(numbers: Mapping[str, float]) -> Sampling:
    sampling = replace(SAMPLING, numbers={**SAMPLING.numbers, **numbers})
    policy_of(sampling)
    return sampling
