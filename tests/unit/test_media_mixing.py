"""Channels as one signal: averaged, except where the average would cancel them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.media_samples import chord
from wave_search.media.mixing import Mixed, aligning_signs, finite, with_channels

RATE_HZ = 8000


class Channels:
    """A source in memory that gives blocks of an odd size."""

    def __init__(self, samples: NDArray[np.float32]) -> None:
        self.samples = samples
        self.sample_rate_hz = RATE_HZ

    def blocks(self, first: int) -> Iterator[NDArray[np.float32]]:
        for start in range(first, len(self.samples), 1999):
            yield self.samples[start : start + 1999]


def mixed(samples: NDArray[np.float32], first: int = 0) -> NDArray[np.float32]:
    return np.concatenate(list(Mixed(Channels(samples)).blocks(first)))


def noise(seconds: float, channels: int, seed: int = 0) -> NDArray[np.float32]:
    return (0.1 * np.random.default_rng(seed).standard_normal((round(seconds * RATE_HZ), channels))).astype(np.float32)


def energy(samples: NDArray[np.float32]) -> float:
    return float((samples.astype(np.float64) ** 2).sum())


@pytest.mark.parametrize(
    "samples",
    [
        chord(3.3, RATE_HZ, 1),
        chord(3.3, RATE_HZ, 2),
        noise(3.3, 2),
        noise(3.3, 6),
        np.repeat(noise(3.3, 1), 2, axis=1) * np.array([1.0, 0.2], np.float32),
        np.concatenate([noise(1.1, 1), noise(1.1, 1) * np.float32(-0.2)], axis=1),  # a quiet opposite takes 20 %
        1e-5 * np.repeat(noise(1.1, 1), 2, axis=1) * np.array([1.0, -1.0], np.float32),  # noise of a converter
    ],
)
def test_ordinary_channels_are_averaged_bit_for_bit(samples: NDArray[np.float32]) -> None:
    assert np.array_equal(mixed(samples), samples.mean(axis=1, dtype=np.float32))


def test_opposite_channels_are_heard_as_one_of_them() -> None:
    left = noise(2.2, 1)
    assert np.allclose(mixed(np.concatenate([left, -left], axis=1)), left[:, 0], atol=1e-6)


def sine(hz: float, seconds: float = 3.0, strength: float = 0.3) -> NDArray[np.float32]:
    return (strength * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)).astype(np.float32)


def amplitude(samples: NDArray[np.float32], hz: float) -> float:
    """Of a sine in the middle of some sound."""
    inner = samples[RATE_HZ // 2 : -RATE_HZ // 2].astype(np.float64)
    return float(2 * np.abs(np.exp(-2j * np.pi * hz * np.arange(len(inner)) / RATE_HZ) @ inner) / len(inner))


@pytest.mark.parametrize(("shared_hz", "opposite_hz"), [(400, 1000), (1000, 400), (400, 440), (3000, 3200)])
@pytest.mark.parametrize("strength", [0.2, 0.3])
def test_opposite_sound_is_heard_beside_shared_sound(shared_hz: float, opposite_hz: float, strength: float) -> None:
    shared, opposite = sine(shared_hz), sine(opposite_hz, strength=strength)
    heard = mixed(np.stack([shared + opposite, shared - opposite], axis=1))
    assert amplitude(heard, shared_hz) == pytest.approx(0.3, rel=0.03)
    assert amplitude(heard, opposite_hz) == pytest.approx(strength, rel=0.03)


def test_a_voice_is_heard_beside_opposite_music() -> None:
    t = np.arange(3 * RATE_HZ) / RATE_HZ
    voice = (0.2 * np.sign(np.sin(2 * np.pi * 140 * t)) * (np.sin(2 * np.pi * 3 * t) > 0)).astype(np.float32)
    music = sum(sine(hz, strength=0.1) for hz in (523.25, 659.26, 783.99))
    heard = mixed(np.stack([voice + music, voice - music], axis=1))
    for hz in (523.25, 659.26, 783.99):
        assert amplitude(heard, hz) == pytest.approx(0.1, rel=0.15)
    assert amplitude(heard, 140) == pytest.approx(amplitude(voice, 140), rel=0.05)


def test_opposite_sound_fades_without_clicks_where_it_begins() -> None:
    shared, opposite = sine(200), sine(500)
    opposite[: RATE_HZ + 777] = 0.0
    heard = mixed(np.stack([shared + opposite, shared - opposite], axis=1))
    assert np.abs(heard[: RATE_HZ // 2] - shared[: RATE_HZ // 2]).max() < 1e-6
    assert amplitude(heard[3 * RATE_HZ // 2 :], 500) == pytest.approx(0.3, rel=0.03)
    assert np.abs(np.diff(heard)).max() < 0.18  # the steepest slopes add up to 0.165


def test_opposites_with_sound_of_their_own_keep_their_energy() -> None:
    shared, own = noise(2.0, 1), 0.2 * noise(2.0, 2, seed=1)
    samples = np.concatenate([shared, -shared], axis=1) + own
    assert energy(mixed(samples)) == pytest.approx(energy(samples) / 2, rel=0.1)
    assert energy(samples.mean(axis=1)) < 0.03 * energy(samples)


def test_opposites_among_six_channels_are_heard_beside_the_others() -> None:
    voice, hall = noise(2.0, 1), noise(2.0, 1, seed=1)
    quiet = np.zeros_like(voice)
    six = np.concatenate([hall, -hall, voice * 2, quiet, quiet, quiet], axis=1)
    heard = mixed(six)
    assert np.corrcoef(heard, hall[:, 0] + voice[:, 0])[0, 1] > 0.99
    assert energy(heard) == pytest.approx(energy((2 * hall + 2 * voice) / 6), rel=0.05)


def test_channels_that_belong_together_stay_together() -> None:
    a = noise(1.0, 1)
    channels = np.concatenate([a * 2, -a * 1.5, -a], axis=1)
    assert aligning_signs((channels.T @ channels)[..., None])[:, 0].tolist() == [1, -1, -1]


def test_a_change_of_signs_makes_no_click() -> None:
    t = np.arange(4 * RATE_HZ)[:, None] / RATE_HZ
    tone = 0.5 * np.sin(2 * np.pi * 100 * t + 1.0)
    louder = 0.6 + 0.4 * np.tanh(50 * (t - 2.0))  # from the left one to the right one
    heard = mixed(np.concatenate([tone * (1.2 - louder), -tone * louder], axis=1).astype(np.float32))
    assert heard[0] * heard[-RATE_HZ] < 0  # whole periods apart: the sign changes
    assert np.abs(np.diff(heard)).max() < 0.026  # the steepest slope is that of 0.6 times the tone: 0.0236


@pytest.mark.parametrize("first", [1, 3999, 4000, 4001, 15_000, 22_222])
def test_a_range_alone_is_the_same_as_within_the_stream(first: int) -> None:
    t = noise(3.0, 1)
    samples = np.concatenate([t, np.where(np.arange(len(t))[:, None] // 5000 % 2 == 0, t, -t)], axis=1)
    assert np.array_equal(mixed(samples, first), mixed(samples)[first:])


def test_a_change_of_the_number_of_channels_is_no_gap() -> None:
    class Changing(Channels):
        def blocks(self, first: int) -> Iterator[NDArray[np.float32]]:
            yield from (block[:, :1] if number % 2 else block for number, block in enumerate(super().blocks(first)))

    same = np.repeat(noise(2.0, 1), 2, axis=1)
    assert np.array_equal(np.concatenate(list(Mixed(Changing(same)).blocks(0))), same[:, 0])
    assert with_channels(np.array([[0.5, 0.25]], np.float32), 3).tolist() == [[0.375] * 3]


def test_what_is_no_sample_does_no_harm() -> None:
    wild = np.array([[np.nan, 0.5], [np.inf, -np.inf], [1e30, 1e30], [-3e38, -3e38]], np.float32)
    assert finite(wild).mean(axis=1).tolist() == [0.25, 0.0, 1.0, -1.0]
