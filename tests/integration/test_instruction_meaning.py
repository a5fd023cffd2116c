"""An instruction changes what is found, and for the better: shown with the small trained model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

import wave_search as ws
from recipes.wave_nano.scenes import DURATION_S, FRAME_SIZE, Scene, render
from tests.media_samples import write_av

DATA = Path(__file__).parent.parent / "data" / "nano"
SEEN_AND_HEARD = (("dog", "rain"), ("rooster", "sea_waves"), ("fire", "crying_baby"))
COLOURS = ("red", "orange", "purple", "pink")
"""Those that are alike."""
ASKED = "What colour is the wall?"
FPS = 4


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Something moves in front of a coloured wall, and something else is heard: each colour three times."""
    folder = tmp_path_factory.mktemp("scenes")
    sounds = {path.stem.rpartition("-")[2]: path for path in (DATA / "sounds").glob("*.flac")}
    with np.load(DATA / "twemoji.npz") as drawings:
        sprites = {thing: drawings[thing] for thing in drawings.files}
    rng = np.random.default_rng(0)
    for colour in COLOURS:
        for seen, heard in SEEN_AND_HEARD:
            frames = render(rng, Scene(seen, "right", colour, "plain"), sprites, FRAME_SIZE)
            samples, rate_hz = soundfile.read(sounds[heard], dtype="float32")
            sound = np.resize(samples, round(DURATION_S * rate_hz))[:, None]
            write_av(folder / f"{colour}-{seen}.mp4", frames.repeat(FPS, axis=0), FPS, sound, rate_hz)
    return folder


def found(index: ws.Index, **options: object) -> dict[str, list[str]]:
    """For each colour, the names of the first three hits."""
    return {
        colour: [hit.path.name for hit in index.search(text=f"a {colour} wall", k=3, **options)]  # type: ignore[arg-type]
        for colour in COLOURS
    }


def share(hits: dict[str, list[str]]) -> float:
    """Share of the clips with a wall of the colour."""
    return float(np.mean([name.startswith(colour) for colour, names in hits.items() for name in names]))


def test_a_question_finds_what_the_general_prompt_passes_over(media: Path, tmp_path: Path) -> None:
    with ws.create(tmp_path / "index", "wave-nano", modalities=["av"], workers=1) as index:
        index.add([media], instructions=[ASKED])
        general, indexed = found(index), found(index, instruction=ASKED)
    assert share(indexed) >= 0.85
    assert share(indexed) >= share(general) + 0.15
