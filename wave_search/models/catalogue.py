"""The models that are known by name: what each needs, and what it is good at. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

from wave_search.types import Modality

_ALL = tuple(Modality)


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model that is known by name."""

    name: str
    description: str
    """What it is, and what it is good at."""
    family: str
    """Name of the `Family` that loads it."""
    modalities: tuple[Modality, ...]
    dim: int
    parameters: int
    licence: str
    """Of its weights, as SPDX names it; "" if it has to be looked up at its publisher."""
    commercial: bool | None
    """Whether the licence allows commercial use; None if it has to be looked up."""
    hub_id: str | None = None
    """Where it is published; None if it is part of this package."""
    revision: str = "main"
    """Commit on the hub; "main" for the newest at the time of the download."""
    download_bytes: int = 0
    memory_bytes: int = 1 << 30
    """Memory of the machine that it needs on a CPU."""
    gpu_bytes: int = 0
    """Memory of a GPU that holds it."""
    slow_on_cpu: bool = False
    """Whether it is slow without such a GPU."""
    extra: str = ""
    """Optional dependencies of this package that it needs."""

    @property
    def line(self) -> str:
        """One line for lists of names."""
        if self.hub_id is None:
            return f"{self.description} (in the package)"
        commit = "" if self.revision == "main" else f" at {self.revision[:8]}"
        return f"{self.description}, {self.hub_id}{commit} ({gigabytes(self.download_bytes)})"


WAVE_7B = KnownModel(
    "WAVE-7B",
    "the published model, for descriptions in detail",
    "wave",
    _ALL,
    dim=3584,
    parameters=9_400_000_000,
    licence="",
    commercial=None,
    hub_id="tsinghua-ee/WAVE-7B",
    revision="7d51cdaecfaabb9c529a447249cd4c2a6df8ce5b",
    download_bytes=19_000_000_000,
    memory_bytes=16 << 30,
    gpu_bytes=22 << 30,
    slow_on_cpu=True,
)
EMBEDDING_GEMMA = KnownModel(
    "EmbeddingGemma-2",
    "100 languages and all media",
    "sentence-transformers",
    _ALL,
    dim=768,
    parameters=744_000_000,
    licence="Apache-2.0",
    commercial=True,
    hub_id="google/embeddinggemma-2",
    revision="914f7f89142e33e77833254d9c9b90c3cef7303b",
    download_bytes=1_530_000_000,
    memory_bytes=6 << 30,
    gpu_bytes=6 << 30,
    slow_on_cpu=True,
    extra="models",
)
LCO_OMNI_3B = KnownModel(
    "LCO-Omni-3B",
    "all media through a language model",
    "sentence-transformers",
    _ALL,
    dim=2048,
    parameters=4_700_000_000,
    licence="",
    commercial=None,
    hub_id="LCO-Embedding/LCO-Embedding-Omni-3B-2605",
    # Which commit is the first with the files of sentence-transformers, could not be looked up.
    download_bytes=9_400_000_000,
    memory_bytes=14 << 30,
    gpu_bytes=12 << 30,
    slow_on_cpu=True,
    extra="models",
)
NANO = KnownModel(
    "wave-nano",
    "small, for everyday objects and sounds by name",
    "wave",
    _ALL,
    dim=192,
    parameters=15_000_000,
    licence="Apache-2.0",
    commercial=True,
)
TINY = KnownModel(
    "wave-tiny",
    "tiny and untrained, for tests",
    "wave",
    _ALL,
    dim=64,
    parameters=436_000,
    licence="Apache-2.0",
    commercial=True,
)
CATALOGUE = (WAVE_7B, EMBEDDING_GEMMA, LCO_OMNI_3B, NANO, TINY)


def find_model(name: str) -> KnownModel | None:
    """Return the model of a name, None if there is none."""
    return next((model for model in CATALOGUE if model.name == name), None)


def gigabytes(count: int) -> str:
    """Return a size as people read it: "19 GB", "1.5 GB"."""
    return f"{count / 1e9:.2g} GB"
