"""The bundled model is what its script makes."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from wave_search.models.sources import TINY_DIRECTORY

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "make_tiny.py"


def test_the_script_makes_the_same_bytes(tmp_path: Path) -> None:
    spec = spec_from_file_location("make_tiny", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = module_from_spec(spec)
    spec.loader.exec_module(script)
    script.main(tmp_path)
    made = sorted(path.name for path in tmp_path.iterdir())
    assert made == ["config.json", "model.safetensors", "tokenizer.json"]
    for name in made:
        assert (tmp_path / name).read_bytes() == (TINY_DIRECTORY / name).read_bytes(), name


def test_it_is_small() -> None:
    assert sum(path.stat().st_size for path in TINY_DIRECTORY.iterdir()) < 3_000_000
