"""Values of other types than documented are errors that name the value, whatever the argument."""

from __future__ import annotations

import inspect
import io
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wave_search as ws
from tests.libraries import CountingEmbedder
from tests.media_decoding import KeptDecoders

CLOSED = io.BytesIO(b"RIFF")
CLOSED.close()
ODD: dict[str, Any] = {
    "number": 5,
    "negative": -1.5,
    "nan": float("nan"),
    "none": None,
    "bool": True,
    "bytes": b"\xff",
    "text": "nonsense \udcff",
    "nul": "a\0b",
    "list": [[], {}],
    "dict": {"a": 1},
    "object": object(),
    "class": ws.Hit,
    "array": np.zeros((2, 3)),
    "strings": np.array(["a"]),
    "path": Path("/nowhere/at/all"),
    "function": len,
}


NEVER_VALID = ("nan", "bytes", "list", "object", "array")
"""Enough for what writes an index, which takes its time where a value is valid after all."""
WRITERS = ("add", "tag", "remove", "create", "optimize", "open", "import", "edit", "verify")


def calls(  # noqa: PLR0915 - a list
    index: ws.Index, embedder: ws.MediaEmbedder, folder: Path
) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    """Each argument of the public functions, as a call with a value for it."""
    request = ws.SearchRequest.build(text="a")
    hit = index.search(request)[0]
    for name in ws.SearchRequest.__dataclass_fields__ | dict.fromkeys(["audio", "video", "image", "av", "like"]):
        if name != "terms":
            yield f"search {name}", lambda odd, name=name: index.search(**{"text": "a", name: odd})  # type: ignore[misc]
    yield "search", index.search
    yield "text", lambda odd: index.search(text=odd)
    yield "vector", lambda odd: index.search(vector=odd)
    yield "similar", lambda odd: index.search(similar=odd)
    yield "Weighted", lambda odd: index.search(text=ws.Weighted("a", odd))
    yield "Weighted item", lambda odd: index.search(vector=ws.Weighted(odd, modality="text"))
    yield "Weighted modality", lambda odd: index.search(vector=ws.Weighted([1.0] * 64, modality=odd))
    yield "Audio", ws.Audio
    yield "Video range", lambda odd: ws.Video(__file__, odd, 1)
    yield "Vector", ws.Vector
    yield "Waveform", lambda odd: embedder.encode(ws.Waveform(odd, 16_000))
    yield "rate", lambda odd: embedder.encode(ws.Waveform(np.zeros(16_000, np.float32), odd))
    yield "Frames", lambda odd: embedder.encode(ws.Frames(odd, 1.0))
    yield "encode", embedder.encode
    yield "encode each", lambda odd: embedder.encode([odd])
    yield "closed file", lambda _: index.search(image=CLOSED)
    yield "encode progress", lambda odd: embedder.encode("a", progress=5 if callable(odd) else odd)  # type: ignore[arg-type]
    for name in ws.Clip.__dataclass_fields__:
        yield f"Clip {name}", lambda odd, name=name: embedder.encode(ws.Clip(**{name: odd}))  # type: ignore[misc]
    yield "instruction", lambda odd: embedder.encode("a", odd)
    yield "ask", lambda odd: embedder.ask(odd, "What?", ["a", "b"])
    yield "question", lambda odd: embedder.ask(np.zeros((30, 30), np.uint8), odd, ["a", "b"])
    yield "choices", lambda odd: embedder.ask(np.zeros((30, 30), np.uint8), "What?", odd)
    yield "similarity", lambda odd: ws.similarity(odd, [1.0])
    for method in ("files", "browse", "duplicates", "segment", "paths", "entries", "file", "metadata_values"):
        yield method, lambda odd, method=method: list(getattr(index, method)(odd) or [])  # type: ignore[misc]
    for name in ("columns", "where_timeout_s", "limit", "offset", "among"):
        yield f"browse {name}", lambda odd, name=name: index.browse(**{name: odd})  # type: ignore[misc]
    yield "files columns", lambda odd: [*index.files(columns=odd)]
    yield "segments", lambda odd: [*index.segments(odd)]
    yield "score_file", lambda odd: index.score_file(odd, hit.segment_id)
    yield "score_file id", lambda odd: index.score_file(request, odd)
    yield "index ask", lambda odd: index.ask(odd, "What?", ["a", "b"])
    yield "save_search", lambda odd: index.save_search(odd, request)
    yield "save_search request", lambda odd: index.save_search("a", odd, replace=True)
    yield "saved_request", index.saved_request
    yield "remove_search", index.remove_search
    yield "tag", lambda odd: index.tag(odd, target="text", min_z=99)
    yield "tag target", lambda odd: index.tag(["a"], target=odd, min_z=99)
    yield "tag column", lambda odd: index.tag(["a"], target="text", column=odd, min_z=99)
    yield "tag top", lambda odd: index.tag(["a"], target="text", min_z=odd, top=odd)
    yield "add", index.add
    for name in ("instructions", "exclude", "min_shard_rows", "recall", "max_duration_s", "unfinished"):
        yield f"add {name}", lambda odd, name=name: index.add([folder / "empty"], **{name: odd})  # type: ignore[misc]
    yield "remove", index.remove
    yield "plan_remove", index.plan_remove
    yield "relocate", lambda odd: index.relocate(odd, folder)
    yield "relocate to", lambda odd: index.relocate(folder, odd)
    yield "remove_metadata", index.remove_metadata
    yield "import_metadata", index.import_metadata
    yield "edit_metadata", index.edit_metadata
    yield "optimize", lambda odd: index.optimize(keep_versions_for_s=odd)
    yield "open", ws.open
    yield "exists", ws.exists
    yield "verify", ws.verify
    yield "open model", lambda odd: ws.open(index.path, odd)
    yield "open workers", lambda odd: ws.open(index.path, workers=odd)
    yield "open memory", lambda odd: ws.open(index.path, decoder_memory_bytes=odd)
    yield "open embedder", lambda odd: ws.open(index.path, embedder=odd)
    yield "create", ws.create
    for name in ("segment", "audio_track", "modalities", "workers", "load"):
        yield f"create {name}", lambda odd, name=name: ws.create(folder / f"{name} {id(odd)}", **{name: odd})  # type: ignore[misc]
    yield "LoadOptions", lambda odd: ws.LoadOptions(family=odd)
    yield "connect", ws.connect


def test_every_argument_refuses_what_it_is_not(
    kept: Path, kept_decoders: KeptDecoders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wave_search.models.load", CountingEmbedder().load)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    escaped = []
    with (
        kept_decoders.in_use(),
        ws.create(tmp_path / "index") as index,
        ws.load_embedder() as embedder,
    ):
        (tmp_path / "a.txt").write_text("a")
        index.add([tmp_path / "a.txt"])
        for name, call in calls(index, embedder, tmp_path):
            for kind in NEVER_VALID if name.startswith(WRITERS) else ODD:
                odd = ODD[kind]
                try:
                    found = call(odd)
                except ws.WaveSearchError as error:
                    if len(str(error)) > 800:
                        escaped.append(f"{name}({kind}): a message of {len(str(error))} characters")
                except OSError as error:  # as documented, of a file that is named
                    if "import_metadata" not in name:
                        escaped.append(f"{name}({kind}): {error!r}")
                except Exception as error:
                    frame = inspect.trace()[-1]
                    escaped.append(f"{name}({kind}): {error!r} ({Path(frame.filename).name}:{frame.lineno})")
                else:
                    if isinstance(found, ws.Index | ws.RemoteIndex):
                        with closing(found):
                            pass
    assert not escaped, "\n".join(escaped)
