"""Tokenization of text, which cannot produce special tokens."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from wave_search.errors import CheckpointError, is_panic
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

_MAX_BYTES = 32 << 20
"""Maximum size of a file; the tokenizer.json of WAVE-7B has 11 MB."""
_MAX_IDS = 1_000_000
_NORMALIZERS = frozenset({"NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents"})
_MAX_PARTS = 8

_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""What Qwen2's tokenizer splits texts into before it looks for pairs of bytes."""
_COPY_AGAIN = "Use the tokenizer files that the checkpoint was published with."
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
        try:
            ids: list[int] = self._tokenizer.encode(words, add_special_tokens=False).ids
        except BaseException as error:  # the tokenizers library raises a plain Exception, or panics
            if not (isinstance(error, Exception) or is_panic(error)):
                raise
            raise CheckpointError(f"the tokenizer of the model cannot encode a text ({error})", _COPY_AGAIN) from error
        return ids[:MAX_TEXT_TOKENS]


def _read(directory: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    path = directory / "tokenizer.json"
    try:
        if path.is_file():
            data = read_bounded(path, _MAX_BYTES, follow_links=True)
            _check(json.loads(data, object_pairs_hook=_object))
            return Tokenizer.from_buffer(data)
        path = directory / "vocab.json"
        if path.is_file() and (directory / "merges.txt").is_file():
            for path in sorted(directory.iterdir()):  # transformers reads further files, of any size
                if path.suffix in (".json", ".txt", ".jinja"):
                    read_bounded(path, _MAX_BYTES, follow_links=True)
            path = directory / "vocab.json"
            from transformers import Qwen2Tokenizer

            tokenizer: Tokenizer = Qwen2Tokenizer.from_pretrained(directory, local_files_only=True).backend_tokenizer
            return tokenizer
    except BaseException as error:  # for a file that it cannot parse, the library raises a plain Exception, or panics
        if not (isinstance(error, Exception) or is_panic(error)):
            raise
        cause = (error.strerror if isinstance(error, OSError) else "") or str(error)
        raise CheckpointError(f"{path}: not a readable tokenizer ({cause})", _COPY_AGAIN) from error
    raise CheckpointError(
        f"{directory}: no tokenizer.json, and not both of vocab.json and merges.txt",
        "Copy the tokenizer files of the checkpoint there.",
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an entry occurs twice")
    return found


def _check(content: Any) -> None:
    """Check that a tokenizer is of the kind of Qwen2: others may never end, or change a text into one without end.

    Raises:
        ValueError: it is not, or has an id beyond those of any vocabulary.
        TypeError, KeyError, AttributeError: it is no tokenizer.
    """
    model = content["model"]
    if model.get("type", "BPE") != "BPE" or model.get("dropout"):
        raise ValueError("it is not a byte-pair encoding, or one that drops pairs at random")
    for part in _parts(content.get("normalizer"), "normalizers"):
        if part["type"] not in _NORMALIZERS:
            raise ValueError(f"the normalizer {str(part['type'])[:80]!r} is not supported")
    for part in _parts(content.get("pre_tokenizer"), "pretokenizers"):
        if part["type"] != "ByteLevel" and not (part["type"] == "Split" and part["pattern"] == {"Regex": _PATTERN}):
            raise ValueError(f"the pre-tokenizer {str(part['type'])[:80]!r}, or its pattern, is not that of Qwen2")
    ids = [*model["vocab"].values(), *(token["id"] for token in content.get("added_tokens") or ())]
    if not all(isinstance(number, int) and 0 <= number < _MAX_IDS for number in ids):
        raise ValueError("an id is out of range")


def _parts(component: Any, key: str) -> list[dict[str, Any]]:
    if component is None:
        return []
    parts = component[key] if component["type"] == "Sequence" else [component]
    if len(parts) > _MAX_PARTS:
        raise ValueError(f"it has {len(parts):,} {key}")
    return list(parts)
