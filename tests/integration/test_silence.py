"""The library writes nothing to stdout and stderr, whatever optional packages are installed."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from tests.libraries import PACKAGE_PARENT
from tests.media_factory import write_image, write_sound, write_video

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = """
import sys
from pathlib import Path
import wave_search as ws

folder, quantizations = Path(sys.argv[1]), sys.argv[2:]
with ws.load_embedder("wave-tiny") as embedder:
    embedder.encode(["rain", ws.AV(folder / "media" / "film.mp4")])
with ws.create(folder / "index", "wave-tiny") as index:
    assert index.add([folder / "media"]).segments
    assert index.search(text="rain")
assert "torchao" not in sys.modules, "a package for quantization is imported although nothing is quantized"
assert "bitsandbytes" not in sys.modules
for quantization in quantizations:
    with ws.load_embedder("wave-tiny", load=ws.LoadOptions(quantization=quantization)) as embedder:
        embedder.encode("rain")
"""


def test_nothing_is_written(tmp_path: Path) -> None:
    write_image(tmp_path / "media" / "picture.png", seed=1)
    write_sound(tmp_path / "media" / "tone.flac", 2, 300)
    write_video(tmp_path / "media" / "film.mp4", 2, seed=2, hz=900)
    quantizations = [
        name for name, package in (("int8", "torchao"), ("4bit", "bitsandbytes")) if find_spec(package) is not None
    ]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), *quantizations],
        cwd=PACKAGE_PARENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("", "")
    assert done.returncode == 0
