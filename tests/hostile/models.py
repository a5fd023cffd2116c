"""Models as a stranger may send them: configurations with absurd numbers, weights that lie, code, links and pipes."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors.torch import load_file

import wave_search as ws
from tests.hostile.damage import ANYWHERE
from tests.hostile.indexes import Uses, forge, judgement, replaced
from tests.hostile.library import Judgement
from tests.hostile.sandbox import Sandbox, Watch

BUNDLED = Path(ws.__file__).parent / "models" / "bundled" / "tiny"
SIZES = (
    "hidden_size",
    "num_hidden_layers",
    "depth",
    "intermediate_size",
    "vocab_size",
    "d_model",
    "encoder_layers",
    "patch_size",
    "max_position_embeddings",
)
COUNTS = (0, -1, 1, 3, 10**4, 10**7, 1 << 31, 1 << 63, 1e308, "64", None, [64], True, float("nan"))


LAYERS = ("num_hidden_layers", "depth", "encoder_layers")
TEXT = f"{'a' * 5000} rain"
"""Of letters in a row, on which patterns that backtrack never end."""


def damage_model(model: Path, home: Path, chance: Random) -> str:
    """Change a model, and return what was done."""
    damage = chance.choice(
        (
            *(absurd_sizes, absurd_sizes, millions_of_layers, forged_json, forged_json, named_code, hostile_tokenizer),
            *(lying_weights, lying_weights, growing_header, overlapping, pickled, broken, replaced),
        )
    )
    return f"{damage.__name__}: {damage(model, home, chance)}"


def millions_of_layers(model: Path, home: Path, chance: Random) -> str:
    path = model / "config.json"
    content = json.loads(path.read_bytes())
    part = chance.choice([part for part in content.values() if isinstance(part, dict) and {*LAYERS} & {*part}])
    key = chance.choice([key for key in LAYERS if key in part])
    part[key] = chance.choice((10_000, 10_000_000, 1 << 40))
    if chance.random() < 0.3:
        part["layer_types"] = ["full_attention"] * 1_000_000
    path.write_text(json.dumps(content))
    return f"{key} = {part[key]}"


def named_code(model: Path, home: Path, chance: Random) -> str:
    """Code beside the model, or on the hub, that the configuration asks for."""
    code = f"open({str(home / '.bashrc')!r}, 'a').write('owned')\n"
    for name in ("modeling_evil.py", "tokenization_evil.py", "configuration_evil.py", "kernel.py"):
        (model / name).write_text(code)
    path = model / chance.choice(("config.json", "config.json", "tokenizer_config.json"))
    content = json.loads(path.read_bytes()) if path.exists() else {}
    part = chance.choice([content, *(value for value in content.values() if isinstance(value, dict))])
    key, value = chance.choice(
        (
            *((f"{it}attn_implementation", "owner/name") for it in ("", "_")),
            ("_attn_implementation_internal", "owner/name:evil"),
            ("attn_implementation", {"": "owner/name", "text_config": "owner/name"}),
            ("experts_implementation", "owner/name"),
            ("auto_map", {"AutoConfig": "configuration_evil.Evil", "AutoModel": "owner/name--modeling_evil.Evil"}),
            ("auto_map", {"AutoTokenizer": ["tokenization_evil.Evil", None]}),
            ("custom_pipelines", {"evil": {"impl": "modeling_evil.Evil", "pt": ["AutoModel"]}}),
            ("quantization_config", {"quant_method": "bitsandbytes", "load_in_8bit": True, "modules": "owner/name"}),
            ("model_type", "evil"),
            ("tokenizer_class", "EvilTokenizer"),
            ("tokenizer_file", str(home / "notes.txt")),
            ("_name_or_path", "owner/name"),
            ("base_model_name_or_path", "owner/name"),
        )
    )
    part[key] = value
    path.write_text(json.dumps(content))
    return f"{path.name}, {key} = {value}"


def hostile_tokenizer(model: Path, home: Path, chance: Random) -> str:
    """A tokenizer that replaces letters by more letters, searches without end, or has absurd numbers of entries."""
    path = model / "tokenizer.json"
    content = json.loads(path.read_bytes())
    pattern = chance.choice(({"Regex": "(a+)+$"}, {"Regex": "(a|aa)*b"}, {"Regex": "(.*)*\\1{99}"}, {"String": "a"}))
    doubling = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa" * chance.choice((1, 10_000))}
    part, value = chance.choice(
        (
            ("normalizer", doubling),
            ("normalizer", {"type": "Sequence", "normalizers": [doubling] * 40}),
            ("normalizer", {"type": "Precompiled", "precompiled_charsmap": "AAAA" * 10_000}),
            ("normalizer", {"type": "Prepend", "prepend": "a" * 1_000_000}),
            ("pre_tokenizer", {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}),
            ("pre_tokenizer", {"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}] * 1000}),
            ("post_processor", {"type": "TemplateProcessing", "single": [], "pair": [], "special_tokens": {}}),
            ("decoder", {"type": "Replace", "pattern": pattern, "content": "a" * 100_000}),
            ("truncation", {"max_length": chance.choice((0, 1, -1, 1 << 63)), "stride": 1 << 62}),
            ("padding", {"strategy": {"Fixed": chance.choice((1 << 40, 10**9))}, "pad_id": 0, "pad_token": "a"}),
            ("added_tokens", [{"id": 10**6 - 1 - n, "content": f"{n}"} for n in range(chance.choice((10, 100_000)))]),
            ("added_tokens", [{"id": 300, "content": "a" * 5_000_000}]),
        )
    )
    chosen = chance.random()
    if chosen < 0.7:
        content[part] = value
    elif chosen < 0.85:
        part = "model.vocab"
        content["model"]["vocab"].update({f"{n}": chance.choice((10**9, n, -1, 1.5, "1")) for n in range(100_000)})
    else:
        part = "model.merges"
        names = [*content["model"]["vocab"]]
        content["model"]["merges"] = [[chance.choice(names), chance.choice(names)] for _ in range(100_000)]
    path.write_text(json.dumps(content))
    if chance.random() < 0.2:  # the older form of the same
        part += ", in two files"
        (model / "vocab.json").write_text(json.dumps(content["model"]["vocab"]))
        (model / "merges.txt").write_text("a a\n" * chance.choice((1, 1_000_000)))
        path.rename(model / chance.choice(("tokenizer_config.json", "added_tokens.json", "special_tokens_map.json")))
    return part


def absurd_sizes(model: Path, home: Path, chance: Random) -> str:
    """A configuration of ten million layers, or of none."""
    path = model / "config.json"
    content = json.loads(path.read_bytes())
    places: list[tuple[dict[str, Any], str]] = []

    def walk(value: dict[str, Any]) -> None:
        places.extend((value, key) for key in value if key in SIZES or "num" in key)
        for inner in value.values():
            if isinstance(inner, dict):
                walk(inner)

    walk(content)
    holder, key = chance.choice(places)
    holder[key] = chance.choice(COUNTS)
    path.write_text(json.dumps(content))
    return f"{key} = {holder[key]}"


def forged_json(model: Path, home: Path, chance: Random) -> str:
    path = model / chance.choice(("config.json", "config.json", "tokenizer.json"))
    if chance.random() < 0.15:
        path.write_bytes(
            chance.choice((b"[" * 200_000, b'{"a":' * 200_000, b"", b"null", b"{}", b'{"model_type": ' + b"9" * 5000))
        )
        return f"{path.name}, nested or no JSON"
    content = json.loads(path.read_bytes())
    where = forge(content, chance)
    path.write_text(json.dumps(content))
    return f"{path.name}, {where}"


def lying_weights(model: Path, home: Path, chance: Random) -> str:
    """A header of safetensors whose lengths, offsets, shapes, types or names are not those of the data."""
    path = model / "model.safetensors"
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header, rest = json.loads(data[8 : 8 + length]), data[8 + length :]
    what = chance.choice(("length", "entry", "entry", "cut", "names"))
    if what == "length":
        path.write_bytes(
            struct.pack("<Q", chance.choice((0, 1, 1 << 31, 1 << 62, (1 << 64) - 1, length - 1))) + data[8:]
        )
        return what
    if what == "cut":
        path.write_bytes(data[: chance.randrange(len(data))])
        return what
    tensors = [name for name in header if name != "__metadata__"]
    name = chance.choice(tensors)
    if what == "names":
        header[chance.choice(("x", "", "../x", chance.choice(tensors)))] = header.pop(name)
    else:
        key = chance.choice(("dtype", "shape", "data_offsets"))
        values: dict[str, tuple[Any, ...]] = {
            "dtype": ("F64", "I8", "BOOL", "F8_E4M3", "X", 7, None),
            "shape": ([], [0], [1 << 40, 1 << 40], [-1, 4], [1 << 62], None, ["a"], [3, 5]),
            "data_offsets": ([0, 0], [8, 4], [0, 1 << 62], [-8, 0], [len(rest), len(rest) + 64], [1.5, 2], None),
        }
        header[name][key] = chance.choice(values[key])
        what = f"{name} {key}"
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + rest)
    return what


def with_header(path: Path, change: Callable[[dict[str, Any], int], bytes]) -> None:
    """Replace the header of a file of safetensors by what is made of it and of the number of bytes behind it."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = change(json.loads(data[8 : 8 + length]), len(data) - 8 - length)
    path.write_bytes(struct.pack("<Q", len(header)) + header + data[8 + length :])


def growing_header(model: Path, home: Path, chance: Random) -> str:
    """A header of up to gigabytes: spaces, tensors without data, notes, or nested lists."""
    count = chance.choice((1_000, 50_000, 200_000))
    what = chance.choice(("spaces", "tensors", "notes", "nested", "hole"))

    def change(header: dict[str, Any], size_bytes: int) -> bytes:
        empty = {"dtype": "F32", "shape": [0], "data_offsets": [size_bytes, size_bytes]}
        if what == "tensors":
            header |= {f"x{number}": empty for number in range(count)}
        elif what == "notes":
            header["__metadata__"] = {f"x{number}": "y" * 100 for number in range(count)}
        elif what == "nested":
            return b'{"x": ' + b"[" * count + b"]" * count + b"}"
        return json.dumps(header).encode() + b" " * (100 * count if what == "spaces" else 0)

    path = model / "model.safetensors"
    with_header(path, change)
    if what == "hole":
        with path.open("r+b") as file:
            file.write(struct.pack("<Q", 1 << 33))
            file.truncate(1 << 34)
    return f"{what}, {count}"


def overlapping(model: Path, home: Path, chance: Random) -> str:
    """Tensors that share their data, leave some out, or are in another order than it."""
    what = chance.choice(("all at 0", "one on another", "one in another", "shifted", "swapped", "hole"))

    def change(header: dict[str, Any], size_bytes: int) -> bytes:
        tensors = [entry for name, entry in header.items() if name != "__metadata__"]
        one, other = chance.sample(tensors, 2)
        begin, end = one["data_offsets"]
        if what == "all at 0":
            for entry in tensors:
                start, stop = entry["data_offsets"]
                entry["data_offsets"] = [0, stop - start]
        elif what == "one on another":
            other["data_offsets"] = [begin, begin + other["data_offsets"][1] - other["data_offsets"][0]]
        elif what == "one in another":
            other.update(dtype="U8", shape=[max(end - begin - 2, 0)], data_offsets=[begin + 1, max(end - 1, begin + 1)])
        elif what == "shifted":
            one["data_offsets"] = [begin + 1, end + 1]
        elif what == "swapped":
            one["data_offsets"], other["data_offsets"] = other["data_offsets"], one["data_offsets"]
        else:
            one.update(dtype="U8", shape=[0], data_offsets=[begin, begin])
        return json.dumps(header).encode()

    with_header(model / "model.safetensors", change)
    return what


class Evil:
    """Is a shell command when it is read from a pickle."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        import os

        return os.system, (f"echo owned >> '{self.home}/.bashrc'",)


def pickled(model: Path, home: Path, chance: Random) -> str:
    """Weights as a pickle: with code, of entries that grow without end, compressed, larger than stored, or damaged."""
    path = model / "model.safetensors"
    weights: dict[Any, Any] = load_file(path)
    path.unlink()
    path = model / "pytorch_model.bin"
    name = chance.choice([*weights])
    what = chance.choice(
        ("code", "plain code", "tuples", "compressed", "strides", "other", "nested", "many", "damaged")
    )
    levels = chance.choice((20, 60))
    tuples = b"\x80\x02}q\x00K\x01q\x01" + b"h\x01\x86q\x01" * levels + b"K\x02s."
    if what == "code":
        weights[name] = Evil(home)
    elif what == "strides":
        weights[name] = torch.zeros(1).expand(chance.choice((weights[name].shape, (1 << 20, 1 << 20))))
    elif what == "other":
        weights[name] = chance.choice((None, [1], {"a": weights[name]}, "x", 1 << 70, torch.Size([1])))
    elif what == "nested":
        weights = {"model": weights if chance.random() < 0.5 else {"model": weights}}
    elif what == "many":
        weights |= {number: number for number in range(1_000_000)}
    torch.save(weights, path, _use_new_zipfile_serialization=chance.random() < 0.7)
    if what == "plain code":
        path.write_bytes(pickle.dumps(Evil(home)))
    elif what == "tuples":
        path.write_bytes(tuples if chance.random() < 0.5 else archive(tuples, zipfile.ZIP_STORED))
    elif what == "compressed":
        path.write_bytes(archive(b"\x80\x02}q\x00." + bytes(1 << 28), zipfile.ZIP_DEFLATED))
    elif what == "damaged":
        content = bytearray(path.read_bytes())
        chance.choice(ANYWHERE)(content, chance)
        path.write_bytes(content)
    if chance.random() < 0.2:
        path = path.rename(model / "BEATs_iter3_plus_AS2M.pt")
        shutil.copy(BUNDLED / "model.safetensors", model)
    return f"{path.name}, {what}"


def archive(content: bytes, compression: int) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", compression) as file:
        file.writestr("archive/data.pkl", content)
        file.writestr("archive/version", "3\n")
    return data.getvalue()


def broken(model: Path, home: Path, chance: Random) -> str:
    path = model / chance.choice(("config.json", "model.safetensors", "tokenizer.json"))
    content = bytearray(path.read_bytes())
    damage = chance.choice(ANYWHERE)
    damage(content, chance)
    path.write_bytes(content)
    return f"{path.name}, {damage.__name__}"


def try_model(sandbox: Sandbox, number: int, chance: Random) -> tuple[Judgement, int]:
    """Make and use a hostile model. Return the judgement and the peak of memory."""
    folder = sandbox.fresh()
    model = Path(shutil.copytree(BUNDLED, folder / "model"))
    what = damage_model(model, sandbox.home, chance)
    (folder / "note.txt").write_text("A dog barks at the door.")

    def work(watch: Watch) -> tuple[str, list[str]]:
        uses = Uses(watch)
        uses.use("load", lambda: ws.load_embedder(str(model)))
        created = uses.use("create", lambda: ws.create(folder / "index", str(model)))
        if created is not None:
            with created:
                uses.use("add", lambda: created.add([folder / "note.txt"]))
                uses.use("search", lambda: created.search(text=TEXT))
        return uses.outcome, uses.violations

    ending = sandbox.run(work)
    return judgement(number, f"model, {what}", ending.result, ending.failure, ending.violations), ending.peak_bytes
