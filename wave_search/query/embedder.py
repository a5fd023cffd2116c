"""Embedding of texts, files and clips without an index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from wave_search.query.answers import answer
from wave_search.query.encode import Encoder, similarity

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence
    from types import TracebackType

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from wave_search.models import ModelSpec
    from wave_search.models.session import ModelSession
    from wave_search.query.answers import Answer
    from wave_search.query.encode import Embeddable
    from wave_search.types import Clip, MediaRef


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

    def encode(self, items: Embeddable | Iterable[Embeddable], instruction: str | None = None) -> NDArray[np.float32]:
        """Embed items, each as one clip of any length.

        Args:
            items: any mixture of texts, references to files (see `Audio`, `Video`, `Image`, `AV`) and decoded clips; or
                a single one of these.
            instruction: replaces the prompt of media; text is embedded without a prompt and ignores it.

        Returns:
            (n, dim) float32 of unit norm, in the order of the items; (dim,) for a single item.

        Raises:
            MediaError: a file cannot be read.
            UsageError: a file lacks the modality of the reference, for example audio; or a text is empty.
        """
        return self._encoder.encode(items, instruction)

    def ask(
        self,
        clip: str | os.PathLike[str] | MediaRef | Clip,
        question: str,
        choices: Sequence[str],
        *,
        modality: str | None = None,
    ) -> list[Answer]:
        """Answer a question about a clip by choosing among texts, as WAVE does (arXiv:2509.21990).

        Args:
            clip: a file with an optional range ("clip.mp4@12.5-20"), of which both audio and frames are used if it has
                them; or an `Audio`, `Video`, `Image` or `AV`; or a decoded clip. It is embedded as one clip of any
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
        return answer(self._encoder, clip, question, choices, modality)

    @staticmethod
    def similarity(a: ArrayLike, b: ArrayLike) -> NDArray[np.float32]:
        """Return the cosine similarity of each row of `a` (n, dim) with each row of `b` (m, dim): (n, m) float32."""
        return similarity(a, b)

    def close(self) -> None:
        """Stop the decoder process and release the model."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
