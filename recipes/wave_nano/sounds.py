"""Recorded sounds with labels and captions, and their augmentation."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recipes.wave_nano import classes, esc50
from wave_search.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

RATE_HZ = 16_000
ESC10, ESC50 = "esc10", "esc50"
_WORDINGS = {**classes.SOUND_WORDS, **esc50.SOUND_WORDS}
_REDISTRIBUTABLE = ("CC0", "CC-BY-2", "CC-BY-3", "CC-BY-4", "Public domain")
_UNNAMED_VERSION = "CC-BY"
_SILENCE = 1e-4


@dataclass(frozen=True, slots=True)
class Sound:
    """A recording."""

    label: str
    """The class; the same in all collections."""
    wordings: tuple[str, ...]
    samples: NDArray[np.float32]
    """(samples,) mono, 16 kHz, in [-1, 1]."""
    collection: str
    path: str
    licence: str
    attribution: str


def load_sounds(media: Path, folds: Collection[int], collections: Collection[str] | None = None) -> list[Sound]:
    """Read those sounds of a folder whose licences permit publishing weights trained on them.

    Share-alike material, and material covered only by the licence of a code repository, is left out.

    Args:
        media: folder with `manifest.jsonl`, one JSON object a file: path, kind, label, caption, fold, licence,
            attribution, collection.
        folds: folds to read.
        collections: collections to read; None for all.

    Raises:
        UsageError: there is no manifest.
    """
    import soundfile

    manifest = media / "manifest.jsonl"
    if not manifest.is_file():
        raise UsageError(f"{manifest}: no such file", "Name the folder of sounds that contains it.")
    sounds = []
    for line in manifest.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        wanted = collections is None or row.get("collection") in collections
        if row["kind"] != "audio" or row["fold"] not in folds or not wanted or not _usable(row["licence"]):
            continue
        samples, rate_hz = soundfile.read(media / row["path"], dtype="float32")
        if rate_hz == RATE_HZ and samples.ndim == 1 and row.get("collection"):
            label = classes.SAME_SOUND.get(row["label"], row["label"])
            wordings = _WORDINGS.get(label, (row["caption"].rstrip(".").lower(),))
            sounds.append(
                Sound(label, wordings, samples, row["collection"], row["path"], row["licence"], row["attribution"])
            )
    return sounds


def _usable(licence: str) -> bool:
    named = licence.startswith(_REDISTRIBUTABLE) or licence == _UNNAMED_VERSION
    return named and "(repository" not in licence and "SA" not in licence


def trimmed(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Remove leading and trailing silence."""
    loud = np.flatnonzero(np.abs(samples) > _SILENCE)
    return samples[loud[0] : loud[-1] + 1] if len(loud) else samples


def excerpt(rng: np.random.Generator, samples: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """Crop, or pad with silence, at a random position, to `length` samples."""
    if len(samples) > length:
        start = int(rng.integers(len(samples) - length + 1))
        return samples[start : start + length]
    before = int(rng.integers(length - len(samples) + 1)) if rng.random() < 0.5 else 0
    return np.pad(samples, (before, length - len(samples) - before))


def augmented(rng: np.random.Generator, sound: Sound, length: int) -> NDArray[np.float32]:
    """Randomly change speed, equalisation, loudness, noise and position in time."""
    samples = trimmed(sound.samples)
    speed = float(np.exp(rng.uniform(-0.18, 0.18)))
    places = np.arange(0, len(samples) - 1, speed)
    samples = np.interp(places, np.arange(len(samples)), samples).astype(np.float32)
    samples = excerpt(rng, samples, length)
    if rng.random() < 0.6:
        samples = _coloured(rng, samples)
    if rng.random() < 0.4:
        level = float(np.sqrt(np.mean(samples**2))) * 10 ** rng.uniform(-2.5, -0.7)
        samples = samples + level * rng.standard_normal(length, dtype=np.float32)
    peak = float(np.abs(samples).max()) or 1.0
    return np.asarray(samples / peak * 10 ** rng.uniform(-1.0, 0), np.float32)


def _coloured(rng: np.random.Generator, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Apply a random smooth equaliser of +-8 dB."""
    spectrum = np.fft.rfft(samples)
    gains_db = rng.uniform(-8, 8, 6)
    places = np.linspace(0, len(gains_db) - 1, len(spectrum))
    return np.fft.irfft(spectrum * 10 ** (np.interp(places, range(6), gains_db) / 20), len(samples)).astype(np.float32)


def mixed(rng: np.random.Generator, first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mix two sounds at about the same loudness."""
    loudness = [float(np.sqrt(np.mean(samples**2))) + 1e-6 for samples in (first, second)]
    both = first / loudness[0] + second / loudness[1] * 10 ** rng.uniform(-0.25, 0.25)
    return np.asarray(both / (np.abs(both).max() + 1e-6) * 0.9, np.float32)


def by_label(sounds: Sequence[Sound]) -> dict[str, list[Sound]]:
    """Group sounds by label."""
    groups: dict[str, list[Sound]] = {}
    for sound in sounds:
        groups.setdefault(sound.label, []).append(sound)
    return groups
