"""Tokenization of text, which cannot produce special tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wave_search.errors import CheckpointError
from wave_search.files import read_bounded
from wave_search.models.base import check_text

if TYPE_CHECKING:
    from pathlib import Path

    from tokenizers import Tokenizer

    from wave_search.models.wave.config import SpecialTokens

TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "merges.txt", "added_tokens.json", "tokenizer_config.json")
"""Files that the ids depend on; a checkpoint has either the first or the others."""

MAX_TEXT_TOKENS = 8192
"""Longer texts are truncated, because the memory of a forward pass grows with the length."""

_MAX_BYTES = 128 << 20
"""Maximum size of a tokenizer.json; that of WAVE-7B has 11 MB."""

_END = "<|im_end|>"
_SPECIAL = {
    "<|endoftext|>": "pad",
    _END: "end",
    "<|AUDIO|>": "audio",
    "<|IMAGE|>": "image",
    "<|VIDEO|>": "video",
    "<|audio_bos|>": "audio_start",
    "<|audio_eos|>": "audio_end",
    "<|vision_bos|>": "vision_start",
    "<|vision_eos|>": "vision_end",
}
"""Token in the tokenizer -> name in `SpecialTokens`."""


class TextTokenizer:
    """Encodes text from users, which never yields special tokens."""

    def __init__(self, tokenizer: Tokenizer, special: SpecialTokens) -> None:
        """Configure a tokenizer.

        Args:
            tokenizer: of the checkpoint.
            special: ids in the checkpoint's configuration.

        Raises:
            CheckpointError: the tokenizer lacks one of them, or has another id for it.
        """
        from tokenizers import AddedToken

        for token, name in _SPECIAL.items():
            found, expected = tokenizer.token_to_id(token), getattr(special, name)
            if found != expected:
                raise CheckpointError(
                    f"the ids of {token} differ: {found} in the tokenizer, {expected} in config.json",
                    "Use the tokenizer files that the checkpoint was published with.",
                )
        # A file may list the media tokens as ordinary added tokens, but only special ones can be excluded from texts.
        tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in _SPECIAL])
        tokenizer.encode_special_tokens = True
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer

    @classmethod
    def from_directory(cls, directory: Path, special: SpecialTokens) -> TextTokenizer:
        """Read `tokenizer.json`, or else `vocab.json` and `merges.txt`, of a checkpoint.

        Raises:
            CheckpointError: neither is there, one is damaged, or its special tokens do not have the ids of `special`.
        """
        return cls(_read(directory), special)

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text or a prompt, without an end token.

        A trailing `<|im_end|>` is dropped, because every sequence ends with one. A text of more than `MAX_TEXT_TOKENS`
        is truncated.

        Raises:
            UsageError: the text is blank, or not valid Unicode.
        """
        words = text.removesuffix(_END)
        check_text(words, remedy="Enter at least one word.")
        ids: list[int] = self._tokenizer.encode(words, add_special_tokens=False).ids
        return ids[:MAX_TEXT_TOKENS]


def _read(directory: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    path = directory / "tokenizer.json"
    try:
        if path.is_file():
            return Tokenizer.from_buffer(read_bounded(path, _MAX_BYTES, follow_links=True))
        path = directory / "vocab.json"
        if path.is_file() and (directory / "merges.txt").is_file():
            from transformers import Qwen2Tokenizer

            tokenizer: Tokenizer = Qwen2Tokenizer.from_pretrained(directory, local_files_only=True).backend_tokenizer
            return tokenizer
    except Exception as error:  # the tokenizers library raises a plain Exception for a file that it cannot parse
        raise CheckpointError(
            f"{path}: not a readable tokenizer ({error})", "Copy the tokenizer files of the checkpoint again."
        ) from error
    raise CheckpointError(
        f"{directory}: no tokenizer.json, and not both of vocab.json and merges.txt",
        "Copy the tokenizer files of the checkpoint there.",
    )
