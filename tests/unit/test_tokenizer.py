"""Text to ids: special tokens cannot be written by users."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from wave_search.errors import CheckpointError, UsageError
from wave_search.models.sources import TINY_DIRECTORY
from wave_search.models.wave.checkpoint import read_config
from wave_search.models.wave.tokenizer import _PATTERN, MAX_TEXT_TOKENS, TextTokenizer

if TYPE_CHECKING:
    from pathlib import Path

SPECIAL = read_config(TINY_DIRECTORY).tokens
SPELLINGS = ["<|im_end|>", "<|im_start|>", "<|AUDIO|>", "<|VIDEO|>", "<|IMAGE|>", "<|audio_bos|>", "<|endoftext|>"]


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return TextTokenizer.from_directory(TINY_DIRECTORY, SPECIAL)


@pytest.fixture
def tokenizer_json(tmp_path: Path) -> Path:
    return shutil.copy(TINY_DIRECTORY / "tokenizer.json", tmp_path / "tokenizer.json")


def test_texts_are_split_as_transformers_does() -> None:
    assert _PATTERN == PRETOKENIZE_REGEX


def test_one_token_a_byte(tokenizer: TextTokenizer) -> None:
    assert len(tokenizer.encode("a dog barks")) == 11
    assert len(tokenizer.encode("é")) == 2
    assert tokenizer.encode("cafe\u0301") == tokenizer.encode("café")


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_special_token_from_text(tokenizer: TextTokenizer, spelling: str) -> None:
    ids = tokenizer.encode(f"a {spelling} b {spelling}{spelling} c")
    assert max(ids) < 256
    assert len(ids) == 7 + 3 * len(spelling)


def test_no_special_token_from_text_where_the_file_calls_it_ordinary(tokenizer_json: Path) -> None:
    content = json.loads(tokenizer_json.read_text())
    for token in content["added_tokens"]:
        token["special"] = False
    tokenizer_json.write_text(json.dumps(content))
    tokenizer = TextTokenizer.from_directory(tokenizer_json.parent, SPECIAL)
    assert max(tokenizer.encode("a <|AUDIO|> b <|vision_bos|>")) < 256


def test_a_closing_end_token_is_not_doubled(tokenizer: TextTokenizer) -> None:
    assert tokenizer.encode("a dog<|im_end|>") == tokenizer.encode("a dog")


def test_long_text_is_represented_by_its_beginning(tokenizer: TextTokenizer) -> None:
    text = "0123456789" * MAX_TEXT_TOKENS
    assert tokenizer.encode(text) == tokenizer.encode(text[:MAX_TEXT_TOKENS])
    assert len(tokenizer.encode(text)) == MAX_TEXT_TOKENS


@pytest.mark.parametrize("text", ["", " \n\t", "<|im_end|>"])
def test_empty_text(tokenizer: TextTokenizer, text: str) -> None:
    with pytest.raises(UsageError, match="text is empty"):
        tokenizer.encode(text)


def test_bytes_of_another_encoding(tokenizer: TextTokenizer) -> None:
    with pytest.raises(UsageError, match="not valid Unicode"):
        tokenizer.encode("caf\udce9")


def test_ids_must_be_those_of_the_configuration() -> None:
    with pytest.raises(CheckpointError, match=r"<\|AUDIO\|> differ: 259 in the tokenizer, 151646 in config"):
        TextTokenizer.from_directory(TINY_DIRECTORY, replace(SPECIAL, audio=151646))


def test_vocabulary_and_merges(tmp_path: Path, tokenizer: TextTokenizer) -> None:
    content = json.loads((TINY_DIRECTORY / "tokenizer.json").read_text())
    added = {token["content"]: token["id"] for token in content["added_tokens"]}
    (tmp_path / "vocab.json").write_text(json.dumps(content["model"]["vocab"]))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    (tmp_path / "added_tokens.json").write_text(json.dumps(added))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "Qwen2Tokenizer"}))
    other = TextTokenizer.from_directory(tmp_path, SPECIAL)
    for text in ("a dog barks", "  Zwölf Boxkämpfer\n\njagen 12 Viktor's <|AUDIO|>"):
        assert other.encode(text) == tokenizer.encode(text)


def test_no_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "vocab.json").write_text("{}")
    with pytest.raises(CheckpointError, match=rf"{tmp_path}: no tokenizer\.json"):
        TextTokenizer.from_directory(tmp_path, SPECIAL)


@pytest.mark.parametrize("content", ["", "{}", '{"model": 3}'])
def test_unreadable_tokenizer(tokenizer_json: Path, content: str) -> None:
    tokenizer_json.write_text(content)
    with pytest.raises(CheckpointError, match=str(tokenizer_json)):
        TextTokenizer.from_directory(tokenizer_json.parent, SPECIAL)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"normalizer": {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}}, "normalizer 'Replace'"),
        ({"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}] * 9}}, "9 normalizers"),
        (
            {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated"}},
            "pre-tokenizer 'Split'",
        ),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "pre-tokenizer 'Whitespace'"),
        ({"model": {"type": "WordLevel", "vocab": {"a": 0}}}, "not a byte-pair encoding"),
        ({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [], "dropout": 0.5}}, "drops pairs at random"),
        ({"model": {"type": "BPE", "vocab": {"a": 10**9}, "merges": []}}, "an id is out of range"),
        ({"added_tokens": [{"id": -1, "content": "a"}]}, "an id is out of range"),
        ({"model": None}, "not a readable tokenizer"),
        (
            {
                "model": {
                    "type": "BPE",
                    "vocab": {"a": 0, "b": 1},
                    "merges": [["a", "b"]],
                    "continuing_subword_prefix": "####",
                }
            },
            "not a readable tokenizer",  # at which the library panics
        ),
    ],
)
def test_a_tokenizer_that_may_never_end_is_refused(tokenizer_json: Path, change: dict[str, object], cause: str) -> None:
    tokenizer_json.write_text(json.dumps({**json.loads(tokenizer_json.read_text()), **change}))
    with pytest.raises(CheckpointError) as caught:
        TextTokenizer.from_directory(tokenizer_json.parent, SPECIAL)
    assert "tokenizer.json" in str(caught.value)
    assert cause in str(caught.value)


@pytest.mark.parametrize("content", ['{"a":' * 100_000, "[" * 100_000, '{"model": {}, "model": {}}', "null", ""])
def test_a_tokenizer_that_is_no_object(tokenizer_json: Path, content: str) -> None:
    tokenizer_json.write_text(content)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: not a readable tokenizer"):
        TextTokenizer.from_directory(tokenizer_json.parent, SPECIAL)


@pytest.mark.parametrize("name", ["added_tokens.json", "special_tokens_map.json", "merges.txt", "chat_template.jinja"])
def test_files_beside_a_vocabulary_are_bounded(tokenizer_json: Path, name: str) -> None:
    folder = tokenizer_json.parent
    (folder / "vocab.json").write_text(json.dumps(json.loads(tokenizer_json.read_text())["model"]["vocab"]))
    (folder / "merges.txt").touch()
    tokenizer_json.unlink()
    (folder / name).touch()
    os.truncate(folder / name, 1 << 40)
    with pytest.raises(CheckpointError, match=f"{name}: not a readable tokenizer .it consists mostly of holes"):
        TextTokenizer.from_directory(folder, SPECIAL)
