"""Models that are not part of the package: given as objects, and offered by installed packages."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import wave_search as ws
from tests.conftest import Called
from tests.media_decoding import KeptDecoders
from tests.media_factory import write_sound, write_video
from wave_search.models import ENTRY_POINTS, LoadOptions

TEXT, IMAGE, AUDIO, VIDEO, AV = ws.Modality
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


class ColourModel(ws.Embedder):
    """Texts and media become their mean colour; a sound its loudness as red."""

    spec = ws.ModelSpec("colours", "1", 3, (TEXT, IMAGE, AUDIO, VIDEO), ws.Sampling.uniform(max_pixels=64 * 64))

    def __init__(self, **spec: Any) -> None:
        if spec:
            fields = {name: getattr(self.spec, name) for name in ("name", "revision", "dim", "modalities", "sampling")}
            self.spec = ws.ModelSpec(**{**fields, **spec})
        self.instructions: list[str | None] = []

    def embed(
        self,
        clips: Sequence[ws.Clip],
        modalities: Sequence[ws.Modality] | None = None,
        instruction: str | None = None,
    ) -> list[dict[ws.Modality, Any]]:
        self.instructions.append(instruction)
        return [
            {modality: self.colour(clip, modality) for modality in modalities or () if modality in clip.modalities}
            for clip in clips
        ]

    def colour(self, clip: ws.Clip, modality: ws.Modality) -> Any:
        if modality is TEXT:
            return np.array(COLOURS.get(str(clip.text), (1, 1, 1))) + 1
        if modality is AUDIO:
            assert clip.waveform is not None
            return [1 + np.abs(clip.waveform.samples).max(), 1, 1]
        pixels = clip.image if modality is IMAGE else clip.frames.pixels  # type: ignore[union-attr]
        assert pixels is not None
        return pixels.reshape(-1, 3).mean(axis=0) + 1


def broken(result: Any) -> ColourModel:
    """A model whose vectors are wrong, or that raises an error."""

    class Broken(ColourModel):
        def colour(self, clip: ws.Clip, modality: ws.Modality) -> Any:
            if isinstance(result, Exception):
                raise result
            return result

    return Broken()


@pytest.fixture(autouse=True, scope="module")
def decoders(kept_decoders: KeptDecoders) -> Iterator[None]:
    with kept_decoders.in_use():
        yield


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    for name, colour in COLOURS.items():
        Image.new("RGB", (40, 30), colour).save(folder / f"{name}.png")
        (folder / f"{name}.txt").write_text(name)
    write_sound(folder / "tone.wav")
    return folder


@pytest.fixture(scope="module")
def colours(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("colours") / "index"
    with ws.create(folder, embedder=ColourModel()) as index:
        report = index.add([media])
        assert (report.indexed, report.skipped) == (7, ())
    return folder


def test_an_index_of_your_own_model_finds_by_it(colours: Path, media: Path) -> None:
    with ws.open(colours, embedder=ColourModel()) as index:
        assert index.model.is_own
        assert index.info().modalities == (TEXT, IMAGE, AUDIO, VIDEO)
        for name in COLOURS:
            (hit,) = index.search(text=name, target="image", k=1)
            assert hit.path.name == f"{name}.png"
            assert hit.score == pytest.approx(1, abs=1e-3)  # vectors of any norm are scaled
        assert index.search(image=media / "red.png", target="text", k=1)[0].text == "red"
        assert index.add([media]).unchanged == 7


def test_what_the_model_does_not_do_is_named(colours: Path, media: Path, tmp_path: Path) -> None:
    film = write_video(tmp_path / "film.mp4", 1, hz=300)
    with ws.open(colours, embedder=ColourModel()) as index:
        with pytest.raises(ws.errors.UsageError, match=r"colours does not embed av.*It embeds text, image, audio"):
            index.search(av=film)
        pair = index.search(audio=media / "tone.wav", video=film, k=1)
        assert pair == index.search(audio=media / "tone.wav", video=[ws.Weighted(film)], k=1)
        with pytest.raises(ws.errors.UsageError, match="colours takes no instructions"):
            index.search(audio=media / "tone.wav", instruction="What is heard?")
        with pytest.raises(ws.errors.UsageError, match="takes no instructions"):
            index.add([media], instructions=["What is heard?"])
    with ws.load_embedder(embedder=ColourModel(modalities=("image", "audio"))) as embedder:
        with pytest.raises(ws.errors.UsageError, match="does not embed text"):
            embedder.encode("red")
        with pytest.raises(ws.errors.UsageError, match="takes no instructions"):
            embedder.ask(media / "tone.wav", "What?", ["a", "b"])
        assert embedder.encode(ws.Audio(film)).shape == (3,)


def test_a_model_of_media_only_can_be_indexed_with(media: Path, tmp_path: Path) -> None:
    sampling = ws.Sampling.uniform(max_pixels=np.int64(64 * 64), frame_interval_s=np.float32(0.5))  # type: ignore[arg-type]
    model = ColourModel(modalities=("image",), prompts={"image": "Describe it."}, dim=np.int64(3), sampling=sampling)
    with ws.create(tmp_path / "index", embedder=model) as index:
        report = index.add([media], instructions=["Which colour?"])
        assert (report.indexed, report.skipped) == (3, ())
        assert {"Which colour?", None} <= {*model.instructions}
        assert index.search(image=media / "blue.png", instruction="Which colour?", k=1)[0].path.name == "blue.png"
        with pytest.raises(ws.errors.UsageError, match="does not embed audio"):
            index.search(similar=media / "tone.wav")


def test_an_index_needs_the_same_model_again(colours: Path, called: Called) -> None:
    with ws.open(colours) as index:
        first = index.search(vector=[1.0, 1, 1], target="image")[0]
        assert index.search(like=first, target="image", k=1)  # needs no model
        with pytest.raises(ws.errors.ModelNotFoundError, match=r"which is the model of a program.*embedder=\.\.\."):
            index.search(text="red")
    with pytest.raises(
        ws.errors.IndexMismatchError, match=r"made with the model colours \(1\), not with colours \(2\)"
    ):
        ws.open(colours, embedder=ColourModel(revision="2"))
    with pytest.raises(ws.errors.IndexMismatchError, match=r"not with colours \(1\) of other prompts"):
        ws.open(colours, embedder=ColourModel(prompts={"image": "Describe it."}))
    ran = called("query", "red", "--index", str(colours))
    assert (ran.returncode, "which is the model of a program" in ran.stderr) == (1, True)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: 5, "5 is not an embedder. Subclass wave_search.Embedder"),
        (lambda: ColourModel, "the class ColourModel is not an embedder, but an object of it is"),
        (lambda: ColourModel(name=" "), "the name of the model must be a text that is not empty"),
        (lambda: ColourModel(name="wave-nano"), "wave-nano is the name of another model"),
        (lambda: ColourModel(revision=None), "the revision of the model must be a text"),
        (lambda: ColourModel(notice=5), "the spec of colours has a quantization, or a notice that is no text"),
        (lambda: ColourModel(dim=0), "dim must be an integer from 1 to 65,536, got 0"),
        (lambda: ColourModel(modalities=("smell",)), "'smell' is not a valid Modality. Modalities are text, image"),
        (lambda: ColourModel(modalities=()), "names no modalities"),
        (lambda: ColourModel(sampling=ws.Sampling("square", {}, 16_000)), "the policy 'square', which is unknown"),
    ],
)
def test_what_is_no_usable_model_creates_no_index(made: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ws.WaveSearchError, match=message):
        ws.create(tmp_path / "index", embedder=made())
    assert not ws.exists(tmp_path / "index")
    with pytest.raises(ws.errors.UsageError, match="an embedder is given, and a model to load"):
        ws.create(tmp_path / "index", "wave-tiny", embedder=ColourModel())


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ([1.0, 2.0], r"a vector as text has the shape \(2,\), not \(3,\)"),
        ([0.0, 0.0, 0.0], "a vector as text is 0 or not finite"),
        ([np.nan, 0, 0], "a vector as text is 0 or not finite"),
        ("abc", "a result has no vector as text"),
        (RuntimeError("out of memory"), r"the model colours failed \(RuntimeError: out of memory\)"),
    ],
)
def test_wrong_results_are_errors_of_the_model(result: Any, message: str) -> None:
    with (
        ws.load_embedder(embedder=broken(result)) as embedder,
        pytest.raises(ws.errors.ModelError, match=message),
    ):
        embedder.encode("red")


def test_a_file_that_the_model_fails_on_is_skipped_with_the_cause(media: Path, tmp_path: Path) -> None:
    class Particular(ColourModel):
        def colour(self, clip: ws.Clip, modality: ws.Modality) -> Any:
            if modality is IMAGE and clip.image is not None and clip.image[0, 0, 1] > 200:
                raise ValueError("green is not supported")
            return super().colour(clip, modality)

    with ws.create(tmp_path / "index", embedder=Particular()) as index:
        report = index.add([media])
        assert [(skipped.path.name, skipped.cause) for skipped in report.skipped] == [
            ("green.png", "the model colours failed (ValueError: green is not supported)")
        ]
    with ws.open(tmp_path / "index", embedder=ColourModel()) as index:
        assert index.add([media]).indexed == 1


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with models, in a folder that Python finds."""
    metadata = tmp_path / "colour_package-1.5.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: colour-package\nVersion: 1.5\n")
    (metadata / "entry_points.txt").write_text(
        f"[{ENTRY_POINTS}]\nmy-colours = colour_package:load\nwave-tiny = colour_package:load\n"
        "gone = colour_package:nothing\n"
    )
    (tmp_path / "colour_package.py").write_text(
        "from tests.integration.test_own_model import ColourModel\nseen = []\n"
        "def load(options):\n    seen.append(options)\n    return ColourModel()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "colour_package", raising=False)
    return tmp_path


def test_a_package_offers_a_model_by_name(package: Path, media: Path, called: Called) -> None:
    assert ws.known_models()["my-colours"] == "of the package colour-package 1.5"
    assert "my-colours" in called("models").stdout
    with ws.load_embedder("wave-tiny") as embedder:
        assert "not trained" in embedder.spec.notice
    assert "colour_package" not in sys.modules  # not asked for by name until now
    load = LoadOptions(device="cpu")
    with ws.create(package / "index", "my-colours", load=load) as index:
        index.add([media / "red.png", media / "blue.png"])
        assert (index.model.name, index.model.is_own) == ("my-colours", False)
    assert sys.modules["colour_package"].seen == [load]
    with ws.open(package / "index") as index:
        assert index.search(text="blue", k=1)[0].path.name == "blue.png"
    with pytest.raises(ws.errors.ModelError, match=r"gone of the package colour-package 1.5 cannot be loaded \(Attr"):
        ws.load_embedder("gone")


def test_two_packages_with_the_same_model(package: Path) -> None:
    other = package / "other-2.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 2\n")
    (other / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\nmy-colours = other:load\n")
    with pytest.raises(ws.errors.ModelError, match=r"several packages have a model my-colours: .*Uninstall all"):
        ws.load_embedder("my-colours")
