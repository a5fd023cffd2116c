from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wave_search.errors import UsageError
from wave_search.query import one_query
from wave_search.types import MediaRef, Modality


def test_a_text_is_taken_as_it_is() -> None:
    assert one_query(" two  words ", {}, None) == " two  words "


def test_a_file_becomes_a_reference(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.touch()
    media = {Modality.AUDIO: f"{path}@1-2", Modality.VIDEO: None}
    assert one_query(None, media, None) == MediaRef(path, Modality.AUDIO, 1, 2)


@pytest.mark.parametrize("vector", [[3.0, 4.0], [[3.0, 4.0]], np.array([3, 4], np.float16)])
def test_a_vector_gets_unit_norm(vector: object) -> None:
    rows = one_query(None, {}, vector)  # type: ignore[arg-type]
    assert isinstance(rows, np.ndarray)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, [[0.6, 0.8]])


@pytest.mark.parametrize(
    "vector", [[0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0], np.empty((0, 2)), np.ones((2, 2, 2)), ["a", "b"]]
)
def test_what_is_no_vector_is_refused(vector: object) -> None:
    with pytest.raises(UsageError, match="vector"):
        one_query(None, {}, vector)  # type: ignore[arg-type]


def test_exactly_one_thing_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.touch()
    with pytest.raises(UsageError, match="0 queries"):
        one_query(None, {}, None)
    with pytest.raises(UsageError, match="2 queries"):
        one_query("a", {Modality.AUDIO: path}, None)
    with pytest.raises(UsageError, match="2 queries"):
        one_query(None, {Modality.AUDIO: path, Modality.AV: path}, None)
