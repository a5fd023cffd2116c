"""Work without an index: texts, files and clips to vectors, and answers about a clip."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, overload

import numpy as np

from wave_search.arguments import names_of
from wave_search.errors import UsageError, shown
from wave_search.query.encode import Encoder, similarity
from wave_search.query.encode_items import encode_items
from wave_search.query.in_memory import is_in_memory, read_memory
from wave_search.query.terms import check_range, parse_media, split_range
from wave_search.types import Clip, MediaRef, Modality, ModalityName, Role, parse_modality

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from wave_search.models import ModelSpec
    from wave_search.models.session import ModelSession
    from wave_search.query.encode import Embeddable
    from wave_search.query.encode_items import Encoded, OnError
    from wave_search.query.in_memory import InMemory, MemoryMedia
    from wave_search.reports import ProgressCallback


@dataclass(frozen=True, slots=True)
class Answer:
    """One of the choices, with its score."""

    rank: int
    """From 1."""
    text: str
    score: float
    """Cosine similarity with the clip embedded with the question. Not a probability."""


class MediaEmbedder:
    """Embeds texts, files and clips without an index. Created by `load_embedder`; a context manager.

    Args:
        session: the model and its decoder process.
    """

    def __init__(self, session: ModelSession) -> None:
        self._session = session
        self._encoder = Encoder(session.decoders, session.model)

    @property
    def spec(self) -> ModelSpec:
        """The model that computes the vectors."""
        return self._session.model().spec

    @overload
    def encode(
        self,
        items: Embeddable | Iterable[Embeddable],
        instruction: str | None = None,
        *,
        role: Role = "query",
        batch_size: int | None = None,
        progress: ProgressCallback | None = None,
        errors: Literal["raise"] = "raise",
    ) -> NDArray[np.float32]: ...
    @overload
    def encode(
        self,
        items: Iterable[Embeddable],
        instruction: str | None = None,
        *,
        role: Role = "query",
        batch_size: int | None = None,
        progress: ProgressCallback | None = None,
        errors: Literal["skip"],
    ) -> Encoded: ...
    def encode(
        self,
        items: Embeddable | Iterable[Embeddable],
        instruction: str | None = None,
        *,
        role: Role = "query",
        batch_size: int | None = None,
        progress: ProgressCallback | None = None,
        errors: OnError = "raise",
    ) -> NDArray[np.float32] | Encoded:
        """Embed items, each as one clip of any length.

        Args:
            items: any mixture of texts, references to files (see `Audio`, `Video`, `Image`, `AV`) and media in memory,
                as for `Index.search`; or a single one of these. Bytes, open files and clips are embedded as the most of
                audio and picture that they have.
            instruction: replaces the prompt of media; text is embedded without a prompt and ignores it.
            role: "query" or "document": what an index does with what is searched for, or with what it searches; some
                models embed the two differently.
            batch_size: maximum number of clips that the model gets at once, 32 by default; they are decoded as they
                are needed, so that `items` may be a generator of any length.
            progress: called after each batch, see `wave_search.progress`; items are counted as files.
            errors: "raise" for the first item that cannot be embedded, or "skip" to go on without it.

        Returns:
            (n, dim) float32 of unit norm, in the order of the items; (dim,) for a single item. With `errors="skip"` an
            `Encoded`, which also has the errors.

        Raises:
            MediaError: a file cannot be read.
            UsageError: a file lacks the modality of the reference, for example audio; or a text is empty.
        """
        is_single = isinstance(items, str | MediaRef) or is_in_memory(items) or not isinstance(items, Iterable)
        several: Any = [items] if is_single else items
        found = encode_items(
            self._encoder, several, instruction, role=role, batch_size=batch_size, progress=progress, errors=errors
        )
        if errors == "skip":
            return found
        return found.vectors[0] if is_single else found.vectors

    def ask(
        self,
        clip: str | os.PathLike[str] | MediaRef | InMemory,
        question: str,
        choices: Sequence[str],
        *,
        modality: Modality | ModalityName | None = None,
    ) -> list[Answer]:
        """Answer a question about a clip by choosing among texts, as WAVE does (arXiv:2509.21990).

        The clip is embedded with the question as its prompt, the choices as texts, and the nearest one is the answer.

        Args:
            clip: a file with an optional range ("clip.mp4@12.5-20"), of which both audio and frames are used if it has
                them; or an `Audio`, `Video`, `Image` or `AV`; or media in memory. It is embedded as one clip of any
                length.
            question: the prompt of the clip.
            choices: two or more possible answers, all different.
            modality: modality of the file to ask about: "audio", "video", "av" or "image".

        Returns:
            The choices, nearest first; equal ones in the given order.

        Raises:
            UsageError: the question is empty, there are fewer than two choices or a choice is repeated, there is no
                such file, or it is text.
            MediaError: the file cannot be read.
        """
        return choose_answer(self._encoder, clip, question, choices, modality)

    @staticmethod
    def similarity(a: ArrayLike, b: ArrayLike) -> NDArray[np.float32]:
        """Return the cosine similarity of each row of `a` (n, dim) with each row of `b` (m, dim): (n, m) float32."""
        return similarity(a, b)

    def close(self) -> None:
        """Stop the decoder process and release the model."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def choose_answer(
    encoder: Encoder,
    clip: str | os.PathLike[str] | MediaRef | InMemory,
    question: str,
    choices: Sequence[str],
    modality: str | None = None,
) -> list[Answer]:
    """Answer a question about a clip with a given encoder. See `MediaEmbedder.ask`."""
    choices = check_question(question, choices)
    (vector,) = encode_items(encoder, [_clip_of(encoder, clip, modality)], question).vectors
    scores = encode_items(encoder, choices, role="document").vectors @ vector
    order = np.argsort(-scores, kind="stable")
    return [Answer(rank, choices[place], float(scores[place])) for rank, place in enumerate(order, start=1)]


def check_question(question: str, choices: Sequence[str]) -> Sequence[str]:
    """Check a question, and return the choices of its answer. Raises UsageError."""
    if not isinstance(question, str):
        raise UsageError(f"{shown(question)} is not a question", "It must be a string.")
    if not question.strip():
        raise UsageError("the question is empty")
    choices = [] if isinstance(choices, str) else names_of(choices, "the choices")
    if len(choices) < 2 or len(set(choices)) < len(choices):
        raise UsageError("there must be two or more choices, all different", "List each choice once.")
    return choices


def _clip_of(encoder: Encoder, clip: Any, modality: str | None) -> MediaRef | MemoryMedia:
    """Return the clip of a question: with audio and frames, as far as it has both."""
    if is_in_memory(clip):
        media = read_memory(clip, None if modality is None else parse_modality(modality))
        if isinstance(media.content, Clip) and media.content.text is not None:
            raise _about_text("the clip")
        return media
    if modality is not None:
        ref = parse_media(clip, parse_modality(modality))
    elif isinstance(clip, MediaRef):
        ref = clip
    else:
        path, start_s, stop_s = split_range(clip)
        check_range(path, start_s, stop_s)
        ref = MediaRef(path, encoder.choose(encoder.identify(path).modalities), start_s, stop_s)
    if ref.modality == Modality.TEXT:
        raise _about_text(str(ref.path))
    return ref


def _about_text(what: str) -> UsageError:
    return UsageError(f"{what}: text is embedded without the question", "Ask about audio, video or images.")
