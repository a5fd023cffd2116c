"""The data for comparing rules for composed queries: scenes and sounds with two attributes, embedded once."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import soundfile

from recipes.wave_nano.captions import with_article
from recipes.wave_nano.classes import SOUND_WORDS, SOURCES
from recipes.wave_nano.scenes import COLOURS, DURATION_S, FRAME_SIZE, MOTIONS, Scene, render
from recipes.wave_nano.sounds import ESC10, RATE_HZ, by_label, load_sounds, mixed, trimmed
from recipes.wave_nano.sprites import HELD_OUT_STYLE, load_sprites
from wave_search.types import Clip, Frames, Modality, Waveform

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from recipes.wave_nano.sprites import Sprites
    from wave_search.models import Embedder

    Vector = NDArray[np.float32]

Name = TypeVar("Name")
LABELS = list(SOUND_WORDS)
SOURCES_OF = [SOURCES[label] for label in LABELS]
_CLONE = Path(__file__).parent.parent
_QUERY_STYLE = "noto"
_COPIES = 4
_HELD_OUT_FOLD = 4


@dataclass(frozen=True, slots=True)
class Material:
    """Drawings and recordings; those of queries differ from those that are searched."""

    items: Sprites
    queries: Sprites
    items_heard: Mapping[str, Sequence[Vector]]
    queries_heard: Mapping[str, Sequence[Vector]]


def material(media: Path | None, icons: Path | None) -> Material:
    """Read drawings and recordings that the model was not trained on."""
    if media is None or icons is None:
        with np.load(_CLONE / "tests/data/nano/twemoji.npz") as drawings:
            sprites = {thing: drawings[thing] for thing in drawings.files}
        folders = _CLONE / "demo/media/sounds", _CLONE / "tests/data/nano/sounds"
        searched, asked = ({label: _read(folder, label) for label in LABELS} for folder in folders)
        return Material(sprites, sprites, {label: searched[label] or asked[label] for label in LABELS}, asked)
    with tempfile.TemporaryDirectory() as cache:
        items, queries = (load_sprites(icons, (style,), Path(cache)) for style in (HELD_OUT_STYLE, _QUERY_STYLE))
    sounds = by_label(load_sounds(media, (_HELD_OUT_FOLD,), (ESC10,)))
    heard = {label: [sound.samples for sound in sounds[label]] for label in LABELS}
    return Material(items, queries, {k: v[:4] for k, v in heard.items()}, {k: v[4:] for k, v in heard.items()})


def _read(folder: Path, label: str) -> list[Vector]:
    return [soundfile.read(path, dtype="float32")[0] for path in sorted(folder.glob("*.flac")) if label in path.stem]


@dataclass(frozen=True, slots=True)
class Asked:
    """Query vectors, (dim,) each; things, colours and sounds by name."""

    thing: dict[str, Vector]
    colour: dict[str, Vector]
    sound: dict[str, Vector]
    thing_and_colour: dict[tuple[str, str], Vector]
    """Both in one sentence; so the next."""
    thing_and_sound: dict[tuple[str, str], Vector]
    picture: dict[str, Vector]
    video: dict[str, Vector]
    recordings: list[tuple[str, Vector]]
    """With what is heard."""
    video_and_recording: dict[tuple[str, int], Vector]
    """Both as one clip, by thing and place in `recordings`; so the next."""
    picture_and_recording: dict[tuple[str, int], Vector]

    def cohorts(self) -> dict[str, Vector]:
        """(n, dim) of each kind of media query, by its name in the tasks."""
        return {
            "picture": np.stack(list(self.picture.values())),
            "video": np.stack(list(self.video.values())),
            "recording": np.stack([vector for _, vector in self.recordings]),
        }


class Collection:
    """What is searched: videos of (thing, colour), clips of (thing, sound, colour), sounds and blends of two."""

    def __init__(self, model: Embedder, material: Material) -> None:
        self._model, self._rng, self._material = model, np.random.default_rng(0), material
        self.things = list(material.items)
        self.video_of = [(thing, colour) for thing in self.things for colour in COLOURS for _ in range(2)]
        self.video = self._embed([Clip(frames=self._scene(*about)) for about in self.video_of], Modality.VIDEO)
        self.av_of = [
            (thing, label, str(self._rng.choice(COLOURS)))
            for thing in SOURCES_OF
            for label in LABELS
            for _ in range(_COPIES)
        ]
        clips = [Clip(frames=self._scene(t, c), waveform=_wave(self._one(label))) for t, label, c in self.av_of]
        self.av = self._embed(clips, Modality.AV)
        pairs = [(a, b) for place, a in enumerate(LABELS) for b in LABELS[place:]]
        self.audio_of = [pair for pair in pairs for _ in range(_COPIES)]
        self.audio = self._embed([Clip(waveform=_wave(self._blend(*pair))) for pair in self.audio_of], Modality.AUDIO)

    def _embed(self, clips: Sequence[Clip], modality: Modality) -> Vector:
        return np.stack([vectors[modality] for vectors in self._model.embed(clips, [modality])])

    def asked(self) -> Asked:
        """Embed the queries, from other drawings and recordings."""
        scenes = {thing: self._scene(thing, None, self._material.queries) for thing in self.things}
        stills = {t: Frames(np.repeat(f.pixels[:1], len(f.pixels), 0), f.duration_s) for t, f in scenes.items()}
        recordings = [(label, _wave(one)) for label in LABELS for one in self._material.queries_heard[label]]
        waves = [wave for _, wave in recordings]
        return Asked(
            thing=self.texts({thing: with_article(thing) for thing in self.things}),
            colour=self.texts({colour: f"a {colour} wall" for colour in COLOURS}),
            sound=self.texts({label: SOUND_WORDS[label][0] for label in LABELS}),
            thing_and_colour=self.texts(
                {(t, c): f"{with_article(t)} in front of a {c} wall" for t in self.things for c in COLOURS}
            ),
            thing_and_sound=self.texts(
                {(t, s): f"{with_article(t)} while {SOUND_WORDS[s][0]} is heard" for t in SOURCES_OF for s in LABELS}
            ),
            picture=self._of({thing: Clip(image=frames.pixels[0]) for thing, frames in scenes.items()}, Modality.IMAGE),
            video=self._of({thing: Clip(frames=frames) for thing, frames in scenes.items()}, Modality.VIDEO),
            recordings=list(zip([label for label, _ in recordings], self._heard(waves), strict=True)),
            video_and_recording=self._fused(scenes, waves),
            picture_and_recording=self._fused(stills, waves),
        )

    def texts(self, texts: Mapping[Name, str]) -> dict[Name, Vector]:
        """Embed texts, by name."""
        return self._of({name: Clip(text=text) for name, text in texts.items()}, Modality.TEXT)

    def _heard(self, waves: Sequence[Waveform]) -> Vector:
        return self._embed([Clip(waveform=wave) for wave in waves], Modality.AUDIO)

    def _fused(self, scenes: Mapping[str, Frames], waves: Sequence[Waveform]) -> dict[tuple[str, int], Vector]:
        clips = {
            (thing, place): Clip(frames=scenes[thing], waveform=wave)
            for thing in SOURCES_OF
            for place, wave in enumerate(waves)
        }
        return self._of(clips, Modality.AV)

    def _of(self, clips: Mapping[Name, Clip], modality: Modality) -> dict[Name, Vector]:
        return dict(zip(clips, self._embed(list(clips.values()), modality), strict=True))

    def _scene(self, thing: str, colour: str | None, sprites: Sprites | None = None) -> Frames:
        motion = str(self._rng.choice(list(MOTIONS)))
        scene = Scene(thing, motion, colour, "wall" if colour else "plain")
        return Frames(render(self._rng, scene, sprites or self._material.items, FRAME_SIZE), DURATION_S)

    def _one(self, label: str) -> Vector:
        recordings = self._material.items_heard[label]
        return recordings[int(self._rng.integers(len(recordings)))]

    def _blend(self, first: str, second: str) -> Vector:
        waves = [_wave(self._one(label)).samples for label in (first, second)]
        return waves[0] if first == second else mixed(self._rng, *waves)


def _wave(samples: Vector) -> Waveform:
    return Waveform(np.resize(trimmed(samples), round(DURATION_S * RATE_HZ)).astype(np.float32), RATE_HZ)
