"""Models as a stranger may send them: configurations with absurd numbers, weights that lie, links and pipes."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path
from random import Random
from typing import Any

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


def damage_model(model: Path, home: Path, chance: Random) -> str:
    """Change a model, and return what was done."""
    damage = chance.choice(
        (absurd_sizes, absurd_sizes, forged_json, forged_json, lying_weights, lying_weights, broken, replaced)
    )
    return f"{damage.__name__}: {damage(model, home, chance)}"


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
                uses.use("search", lambda: created.search(text="rain"))
        return uses.outcome, uses.violations

    ending = sandbox.run(work)
    return judgement(number, f"model, {what}", ending.result, ending.failure, ending.violations), ending.peak_bytes
