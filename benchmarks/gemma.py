"""EmbeddingGemma 2 of its true size, with random weights, compared with wave-nano: time and memory on a CPU.

    python benchmarks/gemma.py [--threads 2] [--clock cpu] [--dtype float32]

Each model is opened in a process of its own; it then embeds a text, a picture, five seconds of sound, and eight frames.
The first time of each is left out. 3 GB of disk are needed, and freed again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from benchmarks.peak import peak_bytes, private_bytes
from tests.sentence_models import write_gemma
from wave_search.media.sampling import policy_of, resize_to
from wave_search.models import LoadOptions, load
from wave_search.types import Clip, Frames, Modality, Waveform

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
SOUND_S = 5
FRAMES = 8


def measure(name: str, clock: str, dtype: str) -> None:
    """Open a model, embed a clip of each modality, and print what that took."""
    now, random = CLOCKS[clock], np.random.default_rng(0)
    began = now()
    model = load(name, LoadOptions(device="cpu", dtype=dtype))
    opened = now() - began
    policy = policy_of(model.spec.sampling)
    frames = random.integers(0, 256, (FRAMES, 360, 640, 3), np.uint8)
    sound = random.normal(scale=0.1, size=SOUND_S * model.spec.sampling.sample_rate_hz).astype(np.float32)
    clip = Clip(
        "a dog barks at the sea",
        policy.resize_image(frames[0]),
        Frames(np.stack([resize_to(frame, policy.frame_size(360, 640)) for frame in frames]), FRAMES),
        Waveform(sound, model.spec.sampling.sample_rate_hz),
    )
    print(f"{name}, {dtype}: opening {opened:.1f} s", end="", flush=True)
    for modality in Modality:
        for _ in range(2):
            began = now()
            model.embed([clip], [modality])
            took = now() - began
        print(f", {modality} {took:.2f} s", end="", flush=True)
    gigabytes = f"{private_bytes() / 1e9:.1f} GB of its own, at most {peak_bytes() / 1e9:.1f} GB with its files"
    print(f"; {gigabytes}", flush=True)


def main() -> None:
    """Write the model, and measure each model in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: on a machine that others use, too")
    parser.add_argument("--dtype", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--model", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.model:
        measure(arguments.model, arguments.clock, arguments.dtype)
        return
    with TemporaryDirectory() as folder:
        for model in ("wave-nano", str(write_gemma(Path(folder), is_tiny=False))):
            subprocess.run([sys.executable, __file__, *sys.argv[1:], "--model", model], check=True)


if __name__ == "__main__":
    main()
