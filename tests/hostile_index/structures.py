"""Shards and codebooks with sizes, names and numbers that cannot be meant."""

from __future__ import annotations

import json
import struct
import zlib
from typing import TYPE_CHECKING, Any

from tests.hostile_index.edits import DEEP, FAR, content, edit_manifest, found
from wave_search.files import digest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.hostile_index.edits import Builder


def _meta(**changes: Any) -> Builder:
    """Change meta.json of the shard, and sign the manifest again."""

    def build(index: Path, _home: Path) -> None:
        path = found(index, "shards/audio/0*/meta.json")
        content = json.loads(path.read_bytes())
        for name, value in changes.items():
            content[name] = {**content[name], **value} if isinstance(value, dict) else value
        path.write_text(json.dumps(content))
        signature = digest(path.read_bytes())
        edit_manifest(index, lambda state: state["shards"][0].update(digest=signature))

    return build


def _signed(folder: str, name: str, change: Callable[[bytes], bytes]) -> Builder:
    """Change a file of the shard or codebook, and all checksums above it."""

    def build(index: Path, _home: Path) -> None:
        path = found(index, f"shards/audio/{folder}/{name}")
        path.write_bytes(change(path.read_bytes()))
        meta = path.with_name("meta.json")
        content = json.loads(meta.read_bytes())
        content["checksums"][name] = zlib.crc32(path.read_bytes())
        meta.write_text(json.dumps(content))
        signature = digest(meta.read_bytes())
        kind = "codebooks" if folder.startswith("codebook") else "shards"
        edit_manifest(index, lambda state: state[kind][0].update(digest=signature))

    return build


def _at(offset: int, kind: str, *values: float) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        changed = bytearray(data)
        struct.pack_into(kind, changed, offset, *values)
        return bytes(changed)

    return change


def _shard(**entries: Any) -> Builder:
    return lambda index, _home: edit_manifest(index, lambda state: state["shards"][0].update(entries))


STRUCTURES: dict[str, Builder] = {
    "a shard with .. in its name": _shard(name=FAR + "audio/holiday"),
    "a shard with an absolute name": _shard(name="/etc"),
    "a shard with a backslash in its name": _shard(name="..\\..\\home"),
    "a shard with a null character in its name": _shard(name="a\0b"),
    "a shard of 10^18 vectors": _meta(facts={"count": 10**18}),
    "a shard of a negative number of vectors": _meta(facts={"count": -5}),
    "a shard whose numbers are texts": _meta(facts={"count": "many", "dim": None}),
    "a shard with checksums of files elsewhere": _meta(checksums={FAR + "notes.txt": 1}),
    "a shard of an absurd meta.json": content("shards/audio/0*/meta.json", DEEP),
    "a list of codes that has no end": _signed("0*", "codes.faiss", _at(36, "<Q", 2**60)),
    "codes of 2^40 lists": _signed("0*", "codes.faiss", _at(4, "<Q", 2**40)),
    "codes of a position far outside": _signed("0*", "codes.faiss", _at(44, "<q", 2**50)),
    "codes of a negative position": _signed("0*", "codes.faiss", _at(44, "<q", -7)),
    "codes that are cut": _signed("0*", "codes.faiss", lambda data: data[:100]),
    "codes that are empty": _signed("0*", "codes.faiss", lambda _: b""),
    "ids that do not ascend": _signed("0*", "ids.npy", _at(128, "<q", 2**60)),
    "ids of a header that never ends": _signed("0*", "ids.npy", _at(8, "<H", 65535)),
    "vectors that are not numbers": _signed("0*", "vectors.f16", lambda data: b"\xff" * len(data)),
    "a rotation that is not a number": _signed("codebook-*", "rotation.npy", _at(128, "<f", float("nan"))),
    "a rotation of one dimension": _signed(
        "codebook-*", "rotation.npy", lambda data: data.replace(b"(16, 16)", b"(256,)  ")
    ),
    "a rotation of 10^16 rows": _signed(
        "codebook-*",
        "rotation.npy",
        lambda data: data.replace(b"(16, 16), }" + b" " * 15, b"(10000000000000000, 16), }"),
    ),
    "a rotation of no header": _signed("codebook-*", "rotation.npy", lambda data: data.replace(b"}", b"(")),
    "centroids of another size": _signed(
        "codebook-*", "centroids.npy", lambda data: data.replace(b"(1, 16)", b"(16, 1)")
    ),
    "quantisers of objects": _signed("codebook-*", "quantisers.npy", lambda data: data.replace(b"'<f4'", b"'|O' ")),
}
