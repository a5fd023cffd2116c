"""A value of another type than documented is a UsageError that names it, for each argument of each public function.

The arguments come from the signatures, so that a new one is tested as well.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wave_search as ws
from tests.libraries import CountingEmbedder
from tests.media_decoding import KeptDecoders
from tests.signatures import NEVER_VALID, ODD, WRONG, Function, reading

WRITERS = {"add", "create", "edit_metadata", "open", "optimize", "tag", "MetadataChange", "MetadataEdit"}
SLOW = WRITERS | {"migrate", "search", "search_many", "model_directory", "pull_model", "remove_model"}
"""What takes time, or asks the hub, where an odd value is valid after all; they get those that never are."""
CALLED = {"progress", "warn", "skipped", "may_download"}


class Own(ws.Embedder):
    def __init__(self, spec: Any) -> None:
        self.spec = spec

    def embed(self, clips: Any, modalities: Any = None, instruction: Any = None) -> Any:
        raise AssertionError


def writing(index: ws.Index, folder: Path, request: ws.SearchRequest) -> Iterator[Function]:
    """The other methods of `Index`."""
    yield Function("add", index.add, {"paths": [folder / "empty"]})
    for name in ("plan_remove", "remove", "remove_metadata", "import_metadata", "restore_metadata", "remove_search"):
        yield Function(name, getattr(index, name))
    yield Function("edit_metadata", index.edit_metadata)
    yield Function("relocate", index.relocate, {"old": folder, "new": folder})
    yield Function("optimize", index.optimize)
    yield Function("plan_optimize", index.plan_optimize)
    yield Function("tag", index.tag, {"labels": ["a"], "target": "text", "min_z": 99})
    yield Function("segment_set", index.segment_set, {"modality": "text"})
    yield Function("save_search", index.save_search, {"name": "a", "request": request, "replace": True})
    yield Function("rename_search", index.rename_search, {"name": "a", "to": "b"})


def functions(index: ws.Index, embedder: ws.MediaEmbedder, folder: Path) -> Iterator[Function]:
    """All others of the package: those that take arguments, and the classes that users make objects of."""
    clip = {"clip": np.zeros((30, 30), np.uint8), "question": "What?", "choices": ["a", "b"]}
    numbers = iter(range(10_000))
    uniform = ws.Sampling.uniform()
    spec = {"name": "own", "revision": "1", "dim": 8, "modalities": ["text"], "sampling": uniform}
    samples, pixels = np.zeros(16_000, np.float32), np.zeros((2, 30, 30, 3), np.uint8)

    def own(**given: Any) -> Any:
        return ws.load_embedder(embedder=Own(ws.ModelSpec(**given)))

    def create(**given: Any) -> Any:
        return ws.create(**{"path": folder / f"new {next(numbers)}", "embedder": Own(ws.ModelSpec(**spec)), **given})

    yield Function("create", create, signature=ws.create)
    yield Function("open", ws.open, {"path": index.path})
    yield Function("exists", ws.exists)
    yield Function("verify", ws.verify)
    yield Function("plan_add", ws.plan_add, {"path": index.path, "paths": [folder / "empty"]})
    for name in ("model_directory", "pull_model", "remove_model"):
        yield Function(name, getattr(ws, name), {"name": "wave-nano"})
    yield Function("load_embedder", ws.load_embedder)
    yield Function("connect", ws.connect, {"address": "http://127.0.0.1:9"})
    yield Function("evaluate", ws.evaluate, {"dataset": folder / "no data"})
    yield Function("migrate", ws.migrate, {"path": index.path})
    compared = {"first": index, "second": index, "texts": ["a"], "target": "text"}
    yield Function("compare", ws.compare, compared)
    yield Function("similarity", ws.similarity, {"a": [1.0], "b": [1.0]})
    yield Function("MediaEmbedder.encode", embedder.encode, {"items": "a"})
    yield Function("MediaEmbedder.ask", embedder.ask, clip)
    yield Function("MediaEmbedder.similarity", embedder.similarity, {"a": [1.0], "b": [1.0]})
    texts = index.segment_set("text")
    yield Function("SegmentSet.matching", texts.matching, {"where": "true", "timeout_s": 9})
    yield Function("SegmentSet.file_values", texts.file_values)
    for name in ("Audio", "Video", "AV", "Image"):
        yield Function(name, getattr(ws, name), {"path": __file__})
    yield Function("Vector", ws.Vector, {"rows": [1.0] * 64})
    yield Function("Weighted", ws.Weighted, {"item": "a"}, any_value=("item",))
    yield Function("Not", ws.Not, {"item": "a"}, any_value=("item",))
    yield Function("Weighted item", lambda item: index.search(text=ws.Weighted(item)))
    yield Function("Weighted vector", lambda item: index.search(vector=ws.Weighted(item, modality="text")))
    yield Function("search in embedder", lambda item: embedder.encode([item]))
    yield Function(
        "Waveform",
        lambda **given: embedder.encode(ws.Waveform(**given)),
        {"samples": samples, "sample_rate_hz": 16_000},
        ws.Waveform,
    )
    yield Function(
        "Frames", lambda **given: embedder.encode(ws.Frames(**given)), {"pixels": pixels, "duration_s": 1}, ws.Frames
    )
    yield Function("Clip", lambda **given: embedder.encode(ws.Clip(**given)), {}, ws.Clip)
    place = {"path": __file__, "modality": ws.Modality.TEXT}
    yield Function("MediaRef", lambda **given: embedder.encode(ws.MediaRef(**given)), place, ws.MediaRef)
    yield Function("ModelSpec", own, spec, ws.ModelSpec, ("is_own",))
    yield Function(
        "Sampling",
        lambda **given: own(**{**spec, "sampling": ws.Sampling(**given)}),
        {"policy": "uniform", "numbers": uniform.numbers, "sample_rate_hz": 16_000},
        ws.Sampling,
    )
    yield Function(
        "Sampling.uniform",
        lambda **given: own(**{**spec, "sampling": ws.Sampling.uniform(**given)}),
        {},
        ws.Sampling.uniform,
    )
    yield Function("LoadOptions", ws.LoadOptions)
    yield Function(
        "EvaluationOptions",
        lambda **given: ws.evaluate(folder / "no data", options=ws.EvaluationOptions(**given)),
        {},
        ws.EvaluationOptions,
    )
    yield Function("SearchRequest", ws.SearchRequest, {"terms": (ws.Weighted("a"),), "instruction": "What?"})
    yield Function("SearchRequest.build", ws.SearchRequest.build, {"text": "a", "instruction": "What?"})
    edit = {"paths": [folder / "a.txt"]}
    yield Function(
        "MetadataEdit", lambda **given: index.edit_metadata([ws.MetadataEdit(**given)]), edit, ws.MetadataEdit
    )
    change = {"path": folder / "a.txt", "column": "tag", "type": "texts", "before": None, "after": None}
    yield Function(
        "MetadataChange",
        lambda **given: index.restore_metadata([ws.MetadataChange(**given)]),
        change,
        ws.MetadataChange,
    )


def faults(functions: Iterator[Function]) -> Iterator[str]:
    """What is raised or returned in place of a UsageError."""
    for function in functions:
        odd = {"wrong": WRONG, **{name: ODD[name] for name in (NEVER_VALID if function.name in SLOW else ODD)}}
        for argument, (kind, value) in product(function.arguments(), odd.items()):
            if argument not in CALLED or not callable(value):
                case = f"{function.name}({argument}={kind})"
                try:
                    found = function.with_one(argument, value)
                except ws.errors.UsageError as error:
                    if len(str(error)) > 800:
                        yield f"{case}: a message of {len(str(error))} characters"
                except OSError as error:  # as documented, of a file that is named
                    if function.name != "import_metadata":
                        yield f"{case}: {error!r}"
                except ws.WaveSearchError as error:
                    if value is WRONG and argument not in function.any_value:
                        yield f"{case}: {error!r}"
                except Exception as error:
                    frame = inspect.trace()[-1]
                    yield f"{case}: {error!r} ({Path(frame.filename).name}:{frame.lineno})"
                else:
                    if value is WRONG and argument not in function.any_value:
                        yield f"{case}: {found!r}"


def public_methods(kind: type) -> set[str]:
    return {name for name, member in vars(kind).items() if callable(member) and not name.startswith("_")}


def test_every_argument_refuses_what_it_is_not(
    kept_decoders: KeptDecoders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wave_search.models.load", CountingEmbedder().load)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").write_text("a")
    request = ws.SearchRequest.build(text="a")
    with (
        kept_decoders.in_use(),
        ws.create(tmp_path / "index") as index,
        ws.load_embedder() as embedder,
    ):
        index.add([tmp_path / "a.txt"])
        index.edit_metadata([ws.MetadataEdit([tmp_path / "a.txt"], add={"tag": ["a"]})])
        index.save_search("a", request)
        segment_id = index.search(request)[0].segment_id
        methods = [*reading(index, request, segment_id), *writing(index, tmp_path, request)]
        others = [*functions(index, embedder, tmp_path)]
        found = [*faults(iter([*methods, *others]))]
    assert not found, "\n".join(found)
    assert {method.name for method in methods} == public_methods(ws.Index) - {"close"}
    tested = {function.name for function in others}
    assert {f"MediaEmbedder.{name}" for name in public_methods(ws.MediaEmbedder) - {"close"}} <= tested
    plain = {name for name in ws.__all__ if inspect.isfunction(getattr(ws, name))}
    assert plain - {"known_models", "list_models"} <= tested
