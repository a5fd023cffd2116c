"""Models of sentence-transformers: what they embed, how they are told apart, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from PIL import Image

import wave_search as ws
from tests.conftest import Called
from tests.film_numbers import OPTIONS, RECORDED, numbers
from tests.media_decoding import KeptDecoders
from tests.media_factory import write_sound, write_video
from wave_search.errors import CheckpointError, IndexMismatchError, ModelError, UsageError
from wave_search.models import LoadOptions, load
from wave_search.models.catalogue import EMBEDDING_GEMMA
from wave_search.models.sentence_transformers import family
from wave_search.models.sentence_transformers.embedder import open_model
from wave_search.models.sentence_transformers.inputs import Inputs
from wave_search.models.sources import resolve
from wave_search.types import Clip, Frames, Modality, Waveform

TEXT, IMAGE, AUDIO, VIDEO, AV = Modality
CPU = LoadOptions(device="cpu")
SAMPLES = np.random.default_rng(0).normal(size=8_000).astype(np.float32)
FRAMES = np.random.default_rng(0).integers(0, 256, (2, 90, 124, 3), np.uint8)
CLIP = Clip("red", FRAMES[0], Frames(FRAMES, 2.0), Waveform(SAMPLES, 16_000))
OTHER = Clip("longer", FRAMES[0, :50], Frames(FRAMES[:1, :, :80], 1.0), Waveform(SAMPLES[:3_000], 16_000))


@pytest.fixture(autouse=True, scope="module")
def decoders(kept_decoders: KeptDecoders) -> Iterator[None]:
    with kept_decoders.in_use():
        yield


@pytest.fixture(scope="module")
def models() -> ModuleType:
    """What writes models. Imported when it is needed: it takes as long as the imports of all other tests together."""
    from tests import sentence_models

    return sentence_models


def their(folder: Path) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu")


@pytest.fixture(scope="module")
def clip(models: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(models.write_clip(tmp_path_factory.mktemp("clip")))


@pytest.fixture(scope="module")
def clap(models: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(models.write_clap(tmp_path_factory.mktemp("clap")))


@pytest.fixture(scope="module")
def text(models: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(models.write_text(tmp_path_factory.mktemp("text")))


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    for seed, name in enumerate(("red", "green", "blue")):
        pixels = np.random.default_rng(seed).integers(0, 255, (40, 56, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
        (folder / f"{name}.txt").write_text(name)
    write_sound(folder / "tone.wav")
    return folder


@pytest.fixture(scope="module")
def gemma(models: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(models.write_gemma(tmp_path_factory.mktemp("gemma")))


def test_films_are_prepared_without_torchvision_as_with_it() -> None:
    from wave_search.models.sentence_transformers import films

    for name, recorded in json.loads(RECORDED.read_text()).items():
        made = numbers(getattr(films, name)(**OPTIONS[name]))
        assert made.keys() == recorded.keys()
        for key, value in made.items():
            assert value["shape"] == recorded[key]["shape"], (name, key)
            assert value["mean"] == pytest.approx(recorded[key]["mean"], abs=1e-4), (name, key)
            assert value["values"] == pytest.approx(recorded[key]["values"], abs=1e-4), (name, key)


def test_embedding_gemma_2(gemma: Path, tmp_path: Path) -> None:
    film, tone = write_video(tmp_path / "media" / "film.mp4", hz=440), write_sound(tmp_path / "media" / "tone.wav")
    Image.new("RGB", (50, 30), "red").save(tmp_path / "media" / "red.png")
    (tmp_path / "media" / "red.txt").write_text("red")
    with ws.create(tmp_path / "index", str(gemma), load=CPU) as index:
        report = index.add([tmp_path / "media"])
        assert (report.indexed, len(report.skipped)) == (4, 0)
        assert index.model.modalities == (TEXT, IMAGE, AUDIO, VIDEO, AV)
        assert index.model.sampling.numbers["max_frames"] == 32
        assert index.model.sampling.numbers["max_pixels"] == 512**2
        assert [hit.path for hit in index.search(av=film, target="av")] == [film]
        assert {hit.path for hit in index.search(audio=tone, target="audio")} == {film, tone}


def test_embedding_gemma_2_by_its_name(gemma: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    copy = tmp_path / "models--google--embeddinggemma-2" / "snapshots" / EMBEDDING_GEMMA.revision
    config = (shutil.copytree(gemma, copy) / "config.json").read_text()
    (copy / "config.json").write_text(config.replace('"float32"', '"float16"'))
    opened = open_model(resolve("EmbeddingGemma-2", None), torch.device("cpu"), None)
    assert opened.dtype == torch.float32, "its numbers exceed the range of float16"
    model = load("EmbeddingGemma-2", replace(CPU, download=False))
    assert (model.spec.name, model.spec.revision) == (EMBEDDING_GEMMA.hub_id, EMBEDDING_GEMMA.revision)
    assert model.spec.modalities == EMBEDDING_GEMMA.modalities
    (first, _), (alone,) = model.embed([CLIP, OTHER]), model.embed([CLIP])
    assert min(first[modality] @ alone[modality] for modality in Modality) > 1 - 1e-5, "whatever else is in the call"
    (query,) = model.embed([replace(CLIP, role="query")], [IMAGE, AUDIO])
    assert max(query[modality] @ first[modality] for modality in query) < 0.999, "media have the prompts too"
    model.embed([Clip("<|video|> of <|image|>"), Clip(waveform=Waveform(SAMPLES[:9], 16_000))])


def test_qwen_2_5_omni(models: ModuleType, tmp_path: Path) -> None:
    model = load(str(models.write_qwen(tmp_path)), CPU)
    assert model.spec.modalities == (TEXT, IMAGE, AUDIO, VIDEO, AV)
    assert (model.spec.sampling.numbers["frame_interval_s"], model.spec.sampling.numbers["max_frames"]) == (0.5, 32)
    (first, other), (alone,) = model.embed([CLIP, OTHER]), model.embed([CLIP])
    assert min(first[modality] @ alone[modality] for modality in Modality) > 1 - 1e-5, "whatever else is in the call"
    assert max(first[modality] @ other[modality] for modality in Modality) < 1 - 1e-5
    model.embed([Clip("<|VIDEO|>"), Clip(image=FRAMES[0, :1].repeat(5, axis=1))])


def test_texts_and_pictures(clip: Path, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = their(clip)
    with Image.open(media / "red.png") as picture:
        items = [[{"image": picture.convert("RGB")}], [{"text": "red.png"}]]
        expected = np.concatenate([theirs.encode(each, normalize_embeddings=True) for each in items])
    monkeypatch.chdir(media)  # where a file of the name of the text is
    with ws.load_embedder(str(clip), load=CPU) as ours:
        assert ours.spec.modalities == (TEXT, IMAGE)
        assert not ours.spec.has_roles
        assert np.einsum("nd,nd->n", ours.encode([ws.Image(media / "red.png"), "red.png"]), expected).min() > 1 - 1e-5
        with pytest.raises(UsageError, match=r"does not embed audio\. It embeds text, image"):
            ours.encode(ws.Audio(media / "tone.wav"))
        with pytest.raises(UsageError, match="takes no instructions"):
            ours.encode(ws.Image(media / "red.png"), "Which colour?")
        with pytest.raises(UsageError, match='role must be "query" or "document"'):
            ours.encode("red", role="answer")  # type: ignore[call-overload]
    with ws.create(tmp_path / "index", str(clip), load=CPU) as index:
        report = index.add([media])
        assert (report.indexed, len(report.skipped)) == (6, 0)
        assert index.search(image=media / "blue.png", target="image", k=1)[0].path.name == "blue.png"


def test_a_long_sound_is_the_mean_of_what_the_model_takes_at_once(clap: Path) -> None:
    theirs = their(clap)
    samples = np.random.default_rng(0).normal(scale=0.1, size=32_000).astype(np.float32)
    parts = [{"audio": {"array": part, "sampling_rate": 16_000}} for part in np.split(samples, 2)]
    expected = theirs.encode(parts, normalize_embeddings=True).sum(axis=0)
    model = load(str(clap), CPU)
    assert model.spec.modalities == (TEXT, AUDIO)
    assert model.spec.sampling.sample_rate_hz == 16_000
    (found,) = model.embed([Clip(waveform=Waveform(samples, 16_000))])
    assert found[AUDIO] @ expected / np.linalg.norm(expected) == pytest.approx(1, abs=1e-5)
    with pytest.raises(UsageError, match="does not embed image"):
        model.embed([Clip(image=np.zeros((32, 32, 3), np.uint8))])


def test_queries_and_documents(models: ModuleType, text: Path, media: Path, tmp_path: Path) -> None:
    theirs = their(text)
    query = theirs.encode([models.PROMPTS["query"] + "red"], normalize_embeddings=True)[0]
    document = theirs.encode([models.PROMPTS["document"] + "red"], normalize_embeddings=True)[0]
    with ws.load_embedder(str(text), load=CPU) as ours:
        assert ours.spec.has_roles
        assert ours.encode("red") @ query == pytest.approx(1, abs=1e-5)
        assert ours.encode("red", role="document") @ document == pytest.approx(1, abs=1e-5)
    with ws.create(tmp_path / "index", str(text), load=CPU) as index:
        index.add([media / "red.txt"])
        (hit,) = index.search(text="red")
        assert hit.score == pytest.approx(query @ document, abs=1e-3)


def test_an_evaluation_embeds_queries_as_queries(text: Path, tmp_path: Path) -> None:
    texts = [{"_id": word, "text": word} for word in ("red", "blue")]
    for name in ("queries.jsonl", "corpus.jsonl"):
        (tmp_path / name).write_text("".join(f"{json.dumps(row)}\n" for row in texts))
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nred\tred\t1\nblue\tblue\t1\n")
    assert ws.evaluate(tmp_path, str(text), load=CPU).embedded == 4
    assert ws.evaluate(tmp_path, "wave-tiny", load=CPU).embedded == 2, "where the role is of no importance"


def test_dimensions_are_kept_by_an_index(clip: Path, media: Path, tmp_path: Path, called: Called) -> None:
    options = ("--model", clip, "--device", "cpu", "--index", tmp_path / "index")
    run = called("index", media / "red.png", media / "red.txt", "--dim", "8", *options)
    assert run.returncode == 0, run.stderr
    with ws.open(tmp_path / "index", load=CPU) as index:
        assert (index.model.dim, dict(index.model.options)) == (8, {"dim": "8"})
        whole = load(str(clip), CPU).embed([Clip(text="red")])[0][TEXT][:8]
        (hit,) = index.search(vector=whole, target="text", k=1)
        assert hit.score == pytest.approx(1, abs=1e-3)
    run = called("index", media / "red.png", "--dim", "6", *options)
    assert run.returncode == 1
    assert "was made with the options {'dim': '8'}, not with dim='6'" in run.stderr
    for dim in ("0", "25", "x"):
        with pytest.raises(UsageError, match=f"the model has 24 dimensions, of which {dim} cannot be kept"):
            load(str(clip), LoadOptions(device="cpu", family={"dim": dim}))
    with pytest.raises(UsageError, match="have no option 'pooling'"):
        load(str(clip), LoadOptions(device="cpu", family={"pooling": "mean"}))
    with pytest.raises(UsageError, match="WAVE has no option 'dim'"):
        load("wave-tiny", LoadOptions(device="cpu", family={"dim": "8"}))


def test_a_model_is_known_by_every_file_that_changes_a_vector(text: Path, tmp_path: Path, media: Path) -> None:
    copy = Path(shutil.copytree(text, tmp_path / "copy"))
    device = torch.device("cpu")
    original = resolve(str(copy), device).revision
    (copy / "README.md").write_text("Another description.")
    assert resolve(str(copy), device).revision == original
    for name in ("1_Pooling/config.json", "config_sentence_transformers.json", "tokenizer.json", "config.json"):
        content = (copy / name).read_bytes()
        (copy / name).write_bytes(content + b"\n")
        assert resolve(str(copy), device).revision != original, name
        (copy / name).write_bytes(content)
    assert resolve(str(copy), device).revision == original
    with ws.create(tmp_path / "index", str(copy), load=CPU) as index:
        index.add([media / "red.txt"])
    (copy / "1_Pooling" / "config.json").write_bytes((copy / "1_Pooling" / "config.json").read_bytes() + b"\n")
    with ws.open(tmp_path / "index", load=CPU) as index, pytest.raises(IndexMismatchError):
        index.search(text="red")


def test_code_and_pickles_of_publishers_are_refused(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copied(name: str) -> Path:
        return Path(shutil.copytree(text, tmp_path / name))

    modules = json.loads((text / "modules.json").read_text())
    for number, (module, message) in enumerate(
        (
            ({"type": "their_code.Transformer", "path": ""}, "their_code.Transformer is code of its publisher"),
            ({"type": "os.system", "path": ""}, "os.system is code of its publisher"),
            ({**modules[0], "path": "../elsewhere"}, "elsewhere is outside of the model"),
        )
    ):
        folder = copied(f"modules-{number}")
        (folder / "modules.json").write_text(json.dumps([module, *modules[1:]]))
        with pytest.raises(CheckpointError, match=message):
            load(str(folder), CPU)
    for content in (b"{", b"[]", b"[" * 10_000):
        (folder / "modules.json").write_bytes(content)
        with pytest.raises(CheckpointError, match=r"modules\.json"):
            load(str(folder), CPU)
    folder = copied("pickled")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="its weights are pickled, which could run code"):
        load(str(folder), CPU)
    folder = copied("remote")
    config = json.loads((folder / "config.json").read_text())
    config = {**config, "model_type": "theirs", "auto_map": {"AutoConfig": "c.C", "AutoModel": "c.M"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "c.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(CheckpointError, match="it cannot be loaded"):
        load(str(folder), CPU)
    assert not (tmp_path / "ran").exists()
    folder = copied("shards")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=r"model-00001-of-00002\.safetensors: it is missing"):
        load(str(folder), CPU)
    with pytest.raises(UsageError, match="cannot be quantized"):
        load(str(text), LoadOptions(device="cpu", quantization="8bit"))
    monkeypatch.setattr(family, "find_spec", lambda _name: None)
    with pytest.raises(ModelError, match=r"pip install 'wave-search\[models\]'"):
        load(str(text), CPU)


def test_films_are_sampled_as_the_processor_says_and_not_again() -> None:
    video = SimpleNamespace(fps=2, num_frames=None, max_frames=16)
    by_rate = Inputs(SimpleNamespace(video_processor=video, feature_extractor=SimpleNamespace(sampling_rate=16_000)))
    assert by_rate.sampling.numbers["frame_interval_s"] == 0.5
    assert by_rate.sampling.numbers["max_frames"] == 16
    assert by_rate.arguments["video"]["do_sample_frames"] is False
    by_number = Inputs(SimpleNamespace(video_processor=SimpleNamespace(fps=None, num_frames=8)))
    assert by_number.sampling.numbers["max_frames"] == 8
    frames = Frames(np.zeros((8, 32, 32, 3), np.uint8), 4.0)
    sound = Waveform(np.zeros(16_000 * 40, np.float32), 16_000)
    (film,) = by_number.parts(Clip(frames=frames), VIDEO)
    assert film["video"]["video_metadata"]["fps"] == 2
    assert [*film["video"]["video_metadata"]["frames_indices"]] == [*range(8)]
    assert [len(part["audio"]["array"]) for part in by_number.parts(Clip(waveform=sound), AUDIO)] == [320_000] * 2
    (both,) = by_number.parts(Clip(frames=frames, waveform=sound), AV)
    assert {*both} == {"video", "audio"}
