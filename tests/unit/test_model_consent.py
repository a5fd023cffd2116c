"""An index never makes the tool download a model: only its user does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import huggingface_hub
import huggingface_hub.constants
import pytest

from wave_search.errors import ModelDownloadError, ModelNotFoundError
from wave_search.models import LoadOptions, ModelSpec
from wave_search.models.session import ModelSession
from wave_search.models.wave.clips import SAMPLING
from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAME = "someone/model@0123456789abcdef0123456789abcdef01234567"
PINNED = ModelSpec(NAME, "0123456789abcdef0123456789abcdef01234567", 8, tuple(Modality), SAMPLING, {})


@pytest.fixture
def contacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that the hub is asked for, beside an empty cache; it answers that it cannot be reached."""
    asked: list[str] = []

    def refuse(_self: object, repo_id: str, **_options: object) -> None:
        asked.append(repo_id)
        raise ConnectionError("no network")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", refuse)
    return asked


def session(name: str, may_download: Callable[[str], bool] | None = None) -> ModelSession:
    return ModelSession.for_index(name, LoadOptions(device="cpu"), PINNED, may_download=may_download)


def test_the_model_that_an_index_names_is_not_downloaded(contacts: list[str]) -> None:
    with pytest.raises(ModelDownloadError, match=f"the model {NAME} is not on this machine.*--model {NAME}"):
        session("auto").model()
    assert contacts == []


def test_it_is_downloaded_once_its_user_names_it(contacts: list[str]) -> None:
    with pytest.raises(ModelNotFoundError, match="the hub cannot be reached"):
        session("someone/model").model()
    assert contacts == ["someone/model"]


@pytest.mark.parametrize("agreed", [False, True])
def test_it_is_downloaded_if_its_user_agrees(contacts: list[str], agreed: bool) -> None:
    questions: list[str] = []

    def answer(name: str) -> bool:
        questions.append(name)
        return agreed

    with pytest.raises(ModelNotFoundError) as caught:
        session("auto", answer).model()
    assert isinstance(caught.value, ModelDownloadError) is not agreed
    assert questions == [NAME]
    assert contacts == (["someone/model"] if agreed else [])
