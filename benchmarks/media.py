"""Decoding and sampling: this package against decord, PyAV, torchcodec and the ffmpeg command line.

    python benchmarks/media.py [--source VIDEO] [--seconds 20] [--rounds 3] [--out FOLDER]

Each engine does the same work on the same file: two video frames per second, resized as for WAVE, and mono audio at 16
kHz. Every run is a separate process, so that its peak memory can be measured; the time is measured inside it, without
imports. Engines that are not installed, and files that an engine cannot read, are marked. For torchcodec and the ffmpeg
command, FFmpeg has to be installed on the system.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.peak import peak_bytes as own_peak_bytes
from wave_search.media import DecoderPool, Segmentation
from wave_search.media.sampling import policy_of, resize_to
from wave_search.models.wave.clips import SAMPLING
from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Callable

POLICY = policy_of(SAMPLING)
SOURCE = Path(__file__).resolve().parents[1] / "demo" / "media" / "videos" / "toy_monster.mp4"
WIDTH, HEIGHT, FPS = 1280, 720, 25
X265 = "log-level=none"
PICTURES: dict[str, tuple[str, dict[str, str]]] = {
    "h264.mp4": ("libx264", {"preset": "veryfast"}),
    "h264.mkv": ("libx264", {"preset": "veryfast"}),
    "h264.ts": ("libx264", {"preset": "veryfast"}),
    "hevc.mp4": ("libx265", {"preset": "ultrafast", "x265-params": X265}),
    "vp9.webm": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
    "av1.mkv": ("libsvtav1", {"preset": "12"}),
    "mpeg4.avi": ("mpeg4", {}),
    "mjpeg.mov": ("mjpeg", {}),
}
SOUNDS = {
    "pcm.wav": "pcm_s16le",
    "flac.flac": "flac",
    "mp3.mp3": "libmp3lame",
    "opus.opus": "libopus",
    "aac.m4a": "aac",
}
"""File name -> encoder; the picture's encoders have options too."""


def ours(path: Path, modality: Modality, decoders: DecoderPool) -> int:
    """One decoder process, as the indexer uses it, which is running already."""
    info = decoders.identify(path)
    segments = decoders.segments(path, info, Segmentation.parse("none"), [modality])
    clips = [segment.clip for segment in segments]
    return sum(len(clip.frames.pixels) if clip.frames else len(clip.waveform.samples) for clip in clips)


def decord_picture(path: Path) -> int:
    """Batches of the wanted frames, resized while decoding; one thread, without which VP9 fails."""
    import decord

    reader = decord.VideoReader(str(path), num_threads=1)
    first = reader[0].shape
    height, width = POLICY.frame_size(first[0], first[1])
    reader = decord.VideoReader(str(path), num_threads=1, width=width, height=height)
    indices, _ = POLICY.frame_indices(len(reader), reader.get_avg_fps())
    return len(reader.get_batch(list(indices)).asnumpy())


def av_picture(path: Path) -> int:
    """Every frame decoded, the wanted ones converted and resized."""
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        fps = float(stream.average_rate)
        count = stream.frames or round(float(container.duration) / av.time_base * fps)
        wanted = {int(index) for index in POLICY.frame_indices(count, fps)[0]}
        size = POLICY.frame_size(stream.height, stream.width)
        frames = enumerate(container.decode(stream))
        return len([resize_to(frame.to_ndarray(format="rgb24"), size) for at, frame in frames if at in wanted])


def torchcodec_picture(path: Path) -> int:
    """Frames by index in approximate mode, which does not scan the file first."""
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(str(path), dimension_order="NHWC", seek_mode="approximate")
    about = decoder.metadata
    size = POLICY.frame_size(about.height, about.width)
    indices, _ = POLICY.frame_indices(about.num_frames, about.average_fps)
    return len([resize_to(frame, size) for frame in decoder.get_frames_at(list(map(int, indices))).data.numpy()])


def ffmpeg_picture(path: Path) -> int:
    """The command, sampling and resizing by its own filters, raw frames through a pipe."""
    height, width = POLICY.frame_size(HEIGHT, WIDTH)
    rate = 1 / SAMPLING.numbers["frame_interval_s"]
    wanted = ["-vf", f"fps={rate},scale={width}:{height}:flags=bicubic", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(path), *wanted], check=True, capture_output=True, stdin=subprocess.DEVNULL
    )
    return len(np.frombuffer(done.stdout, np.uint8).reshape(-1, height, width, 3))


def decord_sound(path: Path) -> int:
    """Mixed down and resampled by its FFmpeg."""
    import decord

    return decord.AudioReader(str(path), sample_rate=SAMPLING.sample_rate_hz, mono=True)[:].asnumpy().size


def av_sound(path: Path) -> int:
    """Mixed down and resampled by its FFmpeg."""
    import av

    resampler = av.AudioResampler("flt", "mono", SAMPLING.sample_rate_hz)
    with av.open(str(path)) as container:
        frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
        return sum(part.samples for part in frames + resampler.resample(None))


def torchcodec_sound(path: Path) -> int:
    """Mixed down and resampled by its FFmpeg."""
    from torchcodec.decoders import AudioDecoder

    decoder = AudioDecoder(str(path), sample_rate=SAMPLING.sample_rate_hz, num_channels=1)
    return decoder.get_all_samples().data.numel()


def ffmpeg_sound(path: Path) -> int:
    """The command, raw samples through a pipe."""
    wanted = ["-ac", "1", "-ar", str(SAMPLING.sample_rate_hz), "-f", "f32le", "-"]
    done = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(path), *wanted], check=True, capture_output=True, stdin=subprocess.DEVNULL
    )
    return len(done.stdout) // 4


PEERS: dict[str, dict[str, Callable[[Path], int]]] = {
    "picture": {
        "decord": decord_picture,
        "PyAV": av_picture,
        "torchcodec": torchcodec_picture,
        "ffmpeg": ffmpeg_picture,
    },
    "sound": {
        "decord": decord_sound,
        "PyAV": av_sound,
        "torchcodec": torchcodec_sound,
        "ffmpeg": ffmpeg_sound,
    },
}
OURS = "wave-search"
NEEDS = {"torchcodec": "torchcodec.decoders", "decord": "decord", "PyAV": "av"}


def child(kind: str, engine: str, path: Path) -> None:
    """Measure one run and print it as JSON."""
    if engine == OURS:
        modality = Modality.VIDEO if kind == "picture" else Modality.AUDIO
        with DecoderPool(1, SAMPLING) as decoders:
            decoders.identify(path)
            started_s = time.perf_counter()
            amount = ours(path, modality, decoders)
            elapsed_s = time.perf_counter() - started_s
            peak_bytes = decoders.peak_memory_bytes()
    else:
        if engine in NEEDS:
            __import__(NEEDS[engine])
        started_s = time.perf_counter()
        amount = PEERS[kind][engine](path)
        elapsed_s = time.perf_counter() - started_s
        peak_bytes = own_peak_bytes() if engine != "ffmpeg" else _child_peak_bytes()
    print(json.dumps({"amount": amount, "seconds": elapsed_s, "peak_bytes": peak_bytes}))


def _child_peak_bytes() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss


def measure(kind: str, engine: str, path: Path) -> dict[str, Any] | None:
    """Run one engine on one file in a process of its own; None if it cannot."""
    command = [sys.executable, __file__, "--child", kind, engine, str(path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    lines = done.stdout.splitlines()
    return json.loads(lines[-1]) if done.returncode == 0 and lines else None


def write_library(source: Path, seconds: int, folder: Path) -> dict[str, list[Path]]:
    """Encode the source, repeated as often as needed, in every format."""
    import av

    with av.open(str(source)) as container:
        graph = [frame.reformat(WIDTH, HEIGHT, "yuv420p") for frame in container.decode(video=0)]
    files: dict[str, list[Path]] = {"picture": [], "sound": []}
    for name, (codec, options) in PICTURES.items():
        path = folder / name
        with av.open(str(path), "w") as output:
            stream = output.add_stream(codec, rate=FPS, options=options)
            stream.width, stream.height, stream.gop_size = WIDTH, HEIGHT, 2 * FPS
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            for number in range(seconds * FPS):
                frame = graph[number % len(graph)]
                frame = frame.reformat(format=stream.pix_fmt)
                frame.pts, frame.time_base = number, Fraction(1, FPS)
                output.mux(stream.encode(frame))
            output.mux(stream.encode())
        files["picture"].append(path)
    samples = _music(seconds)
    for name, codec in SOUNDS.items():
        path = folder / name
        with av.open(str(path), "w") as output:
            stream = output.add_stream(codec, rate=48_000, layout="stereo")
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
            frame.sample_rate = 48_000
            resampler = av.AudioResampler(stream.format, "stereo", 48_000, stream.frame_size or None)
            for part in resampler.resample(frame) + resampler.resample(None):
                output.mux(stream.encode(part))
            output.mux(stream.encode())
        files["sound"].append(path)
    return files


def _music(seconds: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Chords with some noise: (2, samples) at 48 kHz."""
    t = np.arange(seconds * 48_000) / 48_000
    chords = sum(np.sin(2 * np.pi * hz * t * (1 + 0.001 * np.sin(t))) for hz in (220, 277, 330, 1500))
    noise = np.random.default_rng(0).normal(0, 0.1, (2, len(t)))
    return (0.1 * (chords + noise)).astype(np.float32)


def main() -> None:
    """Measure, print tables, write RESULTS.md and a JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, default=SOURCE)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        kind, engine, path = options.child
        child(kind, engine, Path(path))
        return
    runs: dict[tuple[str, str, str], list[dict[str, Any] | None]] = defaultdict(list)
    with TemporaryDirectory() as folder:
        files = write_library(options.source, options.seconds, Path(folder))
        for _ in range(options.rounds):
            for kind, engines in PEERS.items():
                for path in files[kind]:
                    for engine in (OURS, *engines):
                        missing = engine == "ffmpeg" and shutil.which("ffmpeg") is None
                        runs[kind, path.name, engine].append(None if missing else measure(kind, engine, path))
    report(options.out, options.seconds, runs)


def report(out: Path, seconds: int, runs: dict[tuple[str, str, str], list[dict[str, Any] | None]]) -> None:
    """Print and write what was measured."""
    # Imported here, because the measured processes import this file and must not load torch.
    from benchmarks.results import Table, machine, publish

    tables, record = [], []
    for kind, engines in PEERS.items():
        for title, of in (("times real time", _speed(seconds)), ("peak memory, MB", _peak)):
            names = dict.fromkeys(name for known, name, _ in runs if known == kind)
            rows = [(name, *(of(runs[kind, name, engine]) for engine in (OURS, *engines))) for name in names]
            tables.append(Table(f"{kind.capitalize()}: {title}", ("file", OURS, *engines), rows))
    for (kind, name, engine), results in runs.items():
        record.append({"kind": kind, "file": name, "engine": engine, "runs": results})
    about = {
        **machine(2, "wall"),
        "picture": f"{seconds} s of {WIDTH} x {HEIGHT} at {FPS} frames a second",
        "sound": f"{seconds} s, 48 kHz, stereo",
        "work": "wave-search also digests the file, checks it for damage and hands the result to another process; "
        "its memory is that of the decoder process",
    }
    publish(out / "RESULTS.md", "Decoding", about, tables, "-: not installed, or the engine cannot read the file.")
    (out / "media.json").write_text(json.dumps({"about": about, "runs": record}, indent=1) + "\n")


def _speed(seconds: int) -> Callable[[list[dict[str, Any] | None]], str]:
    def cell(results: list[dict[str, Any] | None]) -> str:
        known = [run for run in results if run is not None]
        return f"{seconds / median(run['seconds'] for run in known):.0f}" if known else "-"

    return cell


def _peak(results: list[dict[str, Any] | None]) -> str:
    known = [run for run in results if run is not None]
    return f"{median(run['peak_bytes'] for run in known) / 1e6:.0f}" if known else "-"


if __name__ == "__main__":
    main()
