"""Render the scenes of the demo library: pictograms of a style that wave-nano was not trained on, with held-out sounds.

python scripts/make_scenes.py demo/media/scenes
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
import soundfile

from recipes.wave_nano.scenes import DURATION_S, FRAMES, Scene, render

if TYPE_CHECKING:
    from numpy.typing import NDArray

DATA = Path(__file__).resolve().parents[1] / "tests" / "data" / "nano"
RATE_HZ = 16_000
SIZE = (224, 224)
PLAIN_DOGS = (0, 1, 3)
"""The others are in harness: small, and hard to tell at this size."""

SCENES = {
    "dog": (Scene("dog", "right", None, "grass"), "dog"),
    "dog-in-the-rain": (Scene("dog", "left", None, "day"), "rain"),
    "two-dogs": (Scene("dog", "left", "yellow", "wall", count=2), None),
    "rooster": (Scene("rooster", "left", None, "dawn"), "rooster"),
    "rooster-turning": (Scene("rooster", "spin", "blue", "wall"), None),
    "rain-cloud": (Scene("rain cloud", "right", None, "day"), "rain"),
    "rain-cloud-near": (Scene("rain cloud", "near", "pink", "wall"), None),
    "wave": (Scene("wave", "left", None, "sand"), "sea_waves"),
    "wave-rising": (Scene("wave", "up", "orange", "wall"), None),
    "baby": (Scene("baby", "near", "green", "wall"), "crying_baby"),
    "clock": (Scene("clock", "up", "grey", "wall"), "clock_tick"),
    "clock-turning": (Scene("clock", "spin", None, "plain"), None),
    "sneezing-face": (Scene("sneezing face", "right", "purple", "wall"), "sneezing"),
    "helicopter": (Scene("helicopter", "right", None, "day"), "helicopter"),
    "helicopter-landing": (Scene("helicopter", "down", None, "night"), None),
    "saw": (Scene("saw", "down", "red", "wall"), "chainsaw"),
    "fire": (Scene("fire", "up", None, "night"), "crackling_fire"),
    "fire-going": (Scene("fire", "far", "green", "wall"), None),
}
"""File -> scene, and label of its sound. A silent scene has no audio track."""


def main() -> None:
    """Write every scene, deterministically except for the version of the encoder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    with np.load(DATA / "twemoji.npz") as drawings:
        sprites = {thing: drawings[thing] for thing in drawings.files}
    sprites["dog"] = sprites["dog"][list(PLAIN_DOGS)]
    recordings = {path.stem.rpartition("-")[2]: path for path in (DATA / "sounds").glob("*.flac")}
    for seed, (name, (scene, heard)) in enumerate(SCENES.items()):
        frames = render(np.random.default_rng(seed), scene, sprites, SIZE)
        sound = None
        if heard:
            samples, _ = soundfile.read(recordings[heard], dtype="float32")
            sound = samples[: round(DURATION_S * RATE_HZ)]
        write(folder / f"{name}.mp4", frames, sound)


def write(path: Path, frames: NDArray[np.uint8], sound: NDArray[np.float32] | None) -> None:
    """Write H.264 video, and AAC audio if there is sound."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=round(FRAMES / DURATION_S), options={"crf": "24"})
        video.height, video.width = SIZE
        video.pix_fmt = "yuv420p"
        audio = container.add_stream("aac", rate=RATE_HZ, layout="mono") if sound is not None else None
        for pixels in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels)))
        container.mux(video.encode())
        if sound is not None and audio is not None:
            frame = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
            frame.sample_rate = RATE_HZ
            container.mux(audio.encode(frame))
            container.mux(audio.encode())


if __name__ == "__main__":
    main()
