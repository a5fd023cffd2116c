"""In a fresh process, the library writes nothing and a command only its output, whatever is installed."""

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
from wave_search.__main__ import main

folder, quantizations = Path(sys.argv[1]), sys.argv[2:]
with ws.load_embedder("wave-tiny") as embedder:
    embedder.encode(["rain", ws.AV(folder / "media" / "film.mp4")])
with ws.create(folder / "index", "wave-tiny") as index:
    assert index.add([folder / "media"]).segments
    assert index.search(text="rain")
assert "torchao" not in sys.modules, "a package for quantization is imported although nothing is quantized"
assert not {"bitsandbytes", "scipy"} & set(sys.modules), "neither is used"
for quantization in quantizations:
    with ws.load_embedder("wave-tiny", load=ws.LoadOptions(quantization=quantization)) as embedder:
        embedder.encode("rain")
sys.argv = ["wave-search", "--quiet", "query", "--text", "rain", "--index", str(folder / "index")]
main()  # last, as it silences logging
"""


def test_only_results_are_written(tmp_path: Path) -> None:
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
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [(row[0], len(row)) for row in rows] == [(str(rank), 6) for rank in range(1, len(rows) + 1)]
    assert rows
