"""Label probabilities in place of photographs, and texts for them.

The classifier's weights are published, so the decoder needs no photographs: it learns from probabilities as the
classifier computes them, and from what WordNet says about its labels. Classes with similar weights are confused with
each other, as in photographs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recipes.wave_nano.captions import pick, plural, with_article
from wave_search.errors import UsageError
from wave_search.vectors import normalize

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

_LABELS = Path(__file__).parent / "labels.txt"
"""Ids in WordNet 3.0, in the order of the classifier's outputs."""
_WIDEST = 125
"""Kinds of more labels, such as "device" or "animal", are left out, except that there are 118 breeds of dogs."""
TEMPLATES = ("{}", "{}", "{}", "a photo of {}", "a picture of {}", "a photograph of {}", "an image of {}")
_KINDS_SHARE = 0.5
_KINDS_WEIGHT = 0.9
"""Of a label's meaning; with more, everyday words find more, and words for what is absent find more, too."""
_STRENGTH, _CONFUSION, _CLOSEST = (6.5, 14.0), 2.3, 0.9
"""Logit of the right label; factor for similar ones, and its limit: probabilities are spread as in photographs."""


@dataclass(frozen=True, slots=True)
class Synset:
    """A meaning of WordNet."""

    words: tuple[str, ...]
    kinds: tuple[str, ...]
    """Ids of the more general meanings."""


def read_wordnet(path: Path) -> dict[str, Synset]:
    """Read `data.noun` of WordNet 3.0.

    Returns:
        Id, such as "n02123045" -> meaning.

    Raises:
        UsageError: there is no such file.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file", "Name data.noun of WordNet 3.0 (Debian: wordnet-base).")
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith(" "):  # the licence
            continue
        fields = line.partition("|")[0].split()
        words, pointers = int(fields[3], 16), 4 + 2 * int(fields[3], 16)
        kinds = [
            f"n{target}"
            for kind, target in zip(fields[pointers + 1 :: 4], fields[pointers + 2 :: 4], strict=False)
            if kind in ("@", "@i")
        ]
        found[f"n{fields[0]}"] = Synset(
            tuple(fields[4 + 2 * place].replace("_", " ") for place in range(words)), tuple(kinds)
        )
    return found


@dataclass(frozen=True, slots=True)
class Wording:
    """A name of a label or of a kind of them."""

    text: str
    labels: NDArray[np.bool_]
    """(labels,) that it is true of."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What the labels of the classifier mean."""

    ids: tuple[str, ...]
    names: tuple[tuple[Wording, ...], ...]
    """For each label its names."""
    kinds: tuple[tuple[tuple[Wording, ...], ...], ...]
    """For each label the names of the kinds that it belongs to, one tuple for each kind."""

    def texts(self) -> list[str]:
        """Return all names."""
        groups = [*self.names, *(group for kinds in self.kinds for group in kinds)]
        return sorted({wording.text for group in groups for wording in group})

    def kinds_named(self, word: str) -> NDArray[np.bool_]:
        """Return (labels,), whether a label belongs to a kind of this name."""
        return np.array(
            [any(wording.text == word for group in kinds for wording in group) for kinds in self.kinds], dtype=bool
        )

    def draw(self, rng: np.random.Generator, label: int) -> tuple[str, NDArray[np.bool_]]:
        """Draw a text that is true of a label.

        Returns:
            The text, and (labels,) that it is true of.
        """
        kinds = self.kinds[label]
        group = kinds[int(rng.integers(len(kinds)))] if kinds and rng.random() < _KINDS_SHARE else self.names[label]
        wording = group[int(rng.integers(len(group)))]
        forms = (with_article(wording.text), with_article(wording.text), wording.text, plural(wording.text))
        return pick(rng, TEMPLATES).format(pick(rng, forms)), wording.labels


def read_labels(wordnet: Mapping[str, Synset]) -> Labels:
    """Collect the names of all labels and of their kinds."""
    ids = tuple(_LABELS.read_text(encoding="ascii").split())
    above = [_kinds(wordnet, one) for one in ids]
    covered: dict[str, NDArray[np.bool_]] = {}
    for place, kinds in enumerate(above):
        for kind in (ids[place], *kinds):
            covered.setdefault(kind, np.zeros(len(ids), dtype=bool))[place] = True

    def wordings(one: str) -> tuple[Wording, ...]:
        return tuple(Wording(word.lower(), covered[one]) for word in wordnet[one].words)

    return Labels(
        ids,
        tuple(map(wordings, ids)),
        tuple(tuple(wordings(kind) for kind in kinds if covered[kind].sum() <= _WIDEST) for kinds in above),
    )


def _kinds(wordnet: Mapping[str, Synset], one: str) -> list[str]:
    found: dict[str, None] = {}
    waiting = list(wordnet[one].kinds)
    while waiting:
        kind = waiting.pop()
        if kind not in found:
            found[kind] = None
            waiting += wordnet[kind].kinds
    return sorted(found)


class Simulator:
    """Draws probabilities of labels as the classifier computes them for photographs."""

    def __init__(self, weights: NDArray[np.float32], regions: int) -> None:
        """Prepare.

        Args:
            weights: (labels, features) of the classifier.
            regions: rows and columns of the regions of a frame.
        """
        rows = normalize(weights - weights.mean(axis=0))
        similar = rows @ rows.T
        self._similarity = np.where(np.eye(len(rows), dtype=bool), similar, np.minimum(_CONFUSION * similar, _CLOSEST))
        self._tokens = 1 + regions**2

    def draw(self, rng: np.random.Generator, labels: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float32]:
        """Draw one photograph for each label.

        Returns:
            (photographs, tokens, labels): the whole frame, then its regions, each of which shows the subject, a part of
            it, or something else.
        """
        count, width = len(labels), len(self._similarity)
        shown = np.repeat(np.asarray(labels)[:, None], self._tokens, axis=1)
        other = rng.random(shown.shape) < 0.2
        other[:, 0] = False
        shown[other] = rng.integers(width, size=int(other.sum()))
        strength = rng.uniform(*_STRENGTH, (count, 1)) * rng.uniform(0.8, 1.1, shown.shape)
        noise = rng.standard_normal((*shown.shape, width), dtype=np.float32)
        logits = strength[..., None] * self._similarity[shown] + noise
        logits -= logits.max(axis=-1, keepdims=True)
        odds = np.exp(logits, dtype=np.float64)
        return np.asarray(odds / odds.sum(axis=-1, keepdims=True), np.float32)


def label_meanings(names: Iterable[NDArray[np.float32]], kinds: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Combine the vectors of names and of kinds of each label.

    With kinds together nearly as heavy as the name, the right one of a thousand photographs is still found by its
    name, and "a musical instrument" finds guitars.

    Args:
        names: for each label (names, dim).
        kinds: for each label (kinds, dim), possibly none.

    Returns:
        (labels, dim) of unit norm.
    """
    rows = []
    for own, general in zip(names, kinds, strict=True):
        row = normalize(own.mean(axis=0, keepdims=True))[0]
        rows.append(row + _KINDS_WEIGHT * normalize(general.sum(axis=0, keepdims=True))[0] if len(general) else row)
    return np.asarray(normalize(np.stack(rows)), np.float32)
