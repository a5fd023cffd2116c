"""Exactly one package of FAISS must be installed."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

import pytest

import wave_search as ws
from wave_search.ann.faiss_setup import check_faiss
from wave_search.errors import WaveSearchError

if TYPE_CHECKING:
    from pathlib import Path


def install(name: str, site: Path) -> None:
    """What a package manager leaves of a package: its metadata."""
    metadata = site / f"{name.replace('-', '_')}-1.0.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")


def test_one_is_enough() -> None:
    check_faiss()


def test_two_are_refused_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install("faiss-cpu", tmp_path)
    install("faiss-gpu-cu12", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(WaveSearchError, match="faiss-cpu and faiss-gpu-cu12 are installed together") as refusal:
        check_faiss()
    assert "pip uninstall faiss-cpu faiss-gpu-cu12" in refusal.value.remedy
    with pytest.raises(WaveSearchError, match="are installed together"):
        ws.create(tmp_path / "index", "wave-tiny")


def test_none_is_refused_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "faiss", raising=False)
    with pytest.raises(WaveSearchError, match="faiss is not installed") as refusal:
        check_faiss()
    command = f"uv pip install --python {sys.executable} faiss-cpu"
    assert refusal.value.remedy == f"Run: {command} (or faiss-gpu, for CUDA)."
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip" / "__init__.py").touch()
    importlib.invalidate_caches()
    with pytest.raises(WaveSearchError, match="faiss is not installed") as refusal:
        ws.create(tmp_path / "index", "wave-tiny")
    command = f"{sys.executable} -m pip install faiss-cpu"
    assert refusal.value.remedy == f"Run: {command} (or faiss-gpu, for CUDA)."
