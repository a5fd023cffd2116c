"""Where an instruction acts: on the query if that is media, on what is searched, or nowhere."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from wave_search.errors import UsageError
from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wave_search.types import PartitionKey

MAX_CHARS = 2_000
"""Longer ones are a mistake: they would leave a model no room for the media."""


def check_instruction(text: str) -> str:
    """Give the instruction back.

    Raises:
        UsageError: it is empty, too long, or not valid Unicode.
    """
    if not text.strip():
        raise UsageError("the instruction is empty", 'Say what to look for, for example "What animal is heard?"')
    if len(text) > MAX_CHARS:
        raise UsageError(f"the instruction has {len(text):,} characters", f"Make it shorter than {MAX_CHARS:,}.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError("the instruction is not valid Unicode", "It may hold bytes of another encoding.") from None
    return text


def check_instructions(texts: str | Iterable[str]) -> tuple[str, ...]:
    """Check several instructions, or a single one, which is meant as such and not as the letters of it."""
    return tuple(check_instruction(text) for text in ([texts] if isinstance(texts, str) else texts))


def check_effect(
    instruction: str | None, rerank: int | None, keys: Sequence[PartitionKey], *, query_takes_it: bool
) -> None:
    """Check that an instruction changes something, and that `rerank` does.

    Args:
        instruction: of the query.
        rerank: how many candidates are to be embedded again with it.
        keys: what is searched.
        query_takes_it: the query is embedded with it, because it is media.

    Raises:
        UsageError: it changes nothing.
    """
    if rerank is not None and rerank < 1:
        raise UsageError(f"rerank {rerank} makes no sense", "Let at least one candidate be embedded again.")
    if instruction is None:
        if rerank is not None:
            raise UsageError(
                "rerank changes nothing without an instruction: the candidates would be embedded as they are already",
                "Say with an instruction what to look for in them, or leave rerank out.",
            )
        return
    check_instruction(instruction)
    searched_as_is = all(key.modality is Modality.TEXT for key in keys)
    if searched_as_is and (rerank is not None or not query_takes_it):
        raise UsageError(
            "an instruction changes nothing in texts: they are embedded as they are",
            "Leave it out, or search sound or pictures with it.",
        )
    if query_takes_it or rerank is not None or any(key.instruction for key in keys):
        return
    raise UsageError(
        "an instruction changes nothing in this query, and what it searches is not embedded with that instruction",
        "Embed the best candidates again (--rerank 50, or rerank=50), or everything once "
        f"(wave-search index --instruction {shlex.quote(instruction)} PATH).",
    )
