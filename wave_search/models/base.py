"""The interface and the identity of models.

Importing this loads neither torch nor transformers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from wave_search.arguments import check_flags, check_type, check_whole
from wave_search.errors import UsageError
from wave_search.models.device import check_device
from wave_search.types import Clip, Dtype, Modality, Quantization, Sampling

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Identity of a model: everything besides the media that a vector depends on. An index is pinned to one."""

    name: str
    """Name as given by the user: a known name, a directory, or a hub id; of your own model, any text."""
    revision: str
    """Commit on the hub, or digest of the local files; of your own model, a text that changes with its vectors."""
    dim: int
    modalities: tuple[Modality, ...]
    sampling: Sampling
    """How media are decoded for it. `Sampling.uniform` makes one."""
    prompts: Mapping[Modality, str] = field(default_factory=dict)
    """The prompt of each modality; an instruction replaces it. Text is embedded without a prompt. A model without any
    takes no instructions."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Options of the model's family that change its vectors, with their values, including defaults."""
    notice: str = ""
    """What a user must know about this model, for example that it is not trained."""
    quantization: Quantization | None = None
    """Of the decoder's weights: "8bit", "4bit", "int8" or "fp8"; None for none."""
    has_roles: bool = False
    """Whether it embeds a query differently from a document: see `Clip.role`."""
    is_own: bool = False
    """Whether the model was given to `create` as an object, so that `open` needs it too; set by `create`."""

    def check_takes_instructions(self) -> None:
        """Raise UsageError if the model has no prompt that an instruction could replace."""
        if not self.prompts:
            raise UsageError(f"the model {self.name} takes no instructions", "Leave the instruction out.")

    def check_embeds(self, modality: Modality) -> None:
        """Raise UsageError if the model does not embed a modality."""
        if modality not in self.modalities:
            raise UsageError(
                f"the model {self.name} does not embed {modality}", f"It embeds {', '.join(self.modalities)}."
            )


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How to load a model.

    Raises:
        UsageError: there is no device of that form, the token budget is not an integer of at least 1, or something has
            the wrong type.
    """

    device: str = "auto"
    """"auto" (CUDA where there is one), "cpu", "cuda" (all visible devices), "cuda:N" or "mps" (Apple silicon)."""
    dtype: Dtype = "auto"
    """"auto" (as the checkpoint is stored), "float32" or "bfloat16"."""
    quantization: Quantization | None = None
    """Of the decoder's weights: "8bit" or "4bit" with bitsandbytes, "int8" or "fp8" with torchao."""
    token_budget: int | None = None
    """Maximum number of tokens that the decoder processes at once, but at least one clip; None to derive it from the
    free memory."""
    download: bool = True
    """Whether a model that is not on this machine may be downloaded."""
    family: Mapping[str, str] = field(default_factory=dict)
    """Options of the model's family by name. WAVE has "positions": "sequential" (default) as in its published
    evaluation, or "aligned" in time, as in its training. Models of sentence-transformers have "dim": how many of their
    dimensions to keep."""

    def __post_init__(self) -> None:
        check_device(self.device)
        check_type(self.dtype, str, "dtype")
        check_type(self.quantization, (str, type(None)), "quantization")
        if self.token_budget is not None:
            check_whole(self.token_budget, "token_budget", 1)
        check_flags(download=self.download)
        check_type(self.family, Mapping, "family", "Use a mapping of options to values.")


class Embedder(Protocol):
    """The interface through which the rest of the package uses a model, and the base class of your own models.

    A model of your own needs a `spec`, and `embed`; give it to `create`, `open` or `load_embedder` as `embedder`. It is
    called by one thread at a time.
    """

    if TYPE_CHECKING:  # as a property of this class, it could not be an attribute of the objects

        @property
        def spec(self) -> ModelSpec:
            """The identity of the model. An attribute of the class or the object will do."""

    def embed(
        self,
        clips: Sequence[Clip],
        modalities: Sequence[Modality] | None = None,
        instruction: str | None = None,
    ) -> list[dict[Modality, NDArray[np.float32]]]:
        """Embed each clip as each of `modalities` that it has.

        A result must not depend on the other clips in the call.

        Args:
            clips: decoded clips, sampled according to `spec.sampling`.
            modalities: modalities to embed; None for all.
            instruction: replaces the prompt of media; None keeps it. Text is embedded without a prompt and ignores it.

        Returns:
            For each clip, modality -> (dim,) float32 of unit norm, finite. The vectors of your own model may have any
            norm but 0.
        """

    def embed_each(
        self,
        clips: Sequence[Clip],
        instructions: Sequence[str | None],
        modalities: Sequence[Modality] | None = None,
    ) -> list[list[dict[Modality, NDArray[np.float32]]]]:
        """Embed each clip with each instruction. This implementation calls `embed` for each.

        A model that computes more efficiently what the instructions share may replace it.

        Args:
            clips: as for `embed`.
            instructions: as for `embed`, one or more.
            modalities: as for `embed`.

        Returns:
            For each clip, for each instruction, what `embed` returns.
        """
        each = [self.embed(clips, modalities, instruction) for instruction in instructions]
        return [[*of_clip] for of_clip in zip(*each, strict=True)]


def check_text(text: str, what: str = "text", remedy: str = "") -> None:
    """Check a text that is to be embedded.

    Args:
        text: to be checked.
        what: its name in errors.
        remedy: for an empty one.

    Raises:
        UsageError: it is empty but for white space, or not valid Unicode.
    """
    if not text.strip():
        raise UsageError(f"the {what} is empty", remedy)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"the {what} is not valid Unicode", "It may hold bytes of another encoding.") from None
