"""Worker processes: what a broken file costs, and how they end."""

from __future__ import annotations

import hashlib
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from tests.media_decoding import ALL, arrays, decode, workers, write_wav
from wave_search.errors import BrokenMediaError, DecodeLimitError, UsageError
from wave_search.media import DecoderPool, Segmentation
from wave_search.media import worker_pool as decoders_module
from wave_search.models.wave.clips import SAMPLING


@pytest.fixture(scope="module")
def decoders() -> Iterator[DecoderPool]:
    with DecoderPool(2, SAMPLING) as running:
        yield running


def test_identity_is_by_content(decoders: DecoderPool, tmp_path: Path) -> None:
    path = write_wav(tmp_path / "one.wav")
    copy = tmp_path / "copy.mp3"
    copy.write_bytes(path.read_bytes())
    one, other = decoders.identify(path), decoders.identify(copy)
    assert one == other
    assert one.digest == hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    assert one.size_bytes == path.stat().st_size


def test_errors_keep_the_worker(tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"")
    good = write_wav(tmp_path / "good.wav")
    with DecoderPool(1, SAMPLING) as decoders:
        decoders.identify(good)
        before = workers()
        for _ in range(3):
            with pytest.raises(BrokenMediaError):
                decoders.identify(tmp_path / "bad.mp4")
        decoders.identify(good)
        assert workers() == before


def test_a_crash_costs_one_file(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "long.wav", 120.0)
    before = workers()
    with DecoderPool(1, SAMPLING) as decoders:
        info = decoders.identify(path)
        segments = decoders.segments(path, info, Segmentation(), ALL)
        next(segments)
        (victim,) = workers() - before
        os.kill(victim, signal.SIGSEGV)
        with pytest.raises(DecodeLimitError, match=r"long\.wav: the decoder crashed \(SIGSEGV\)"):
            list(segments)
        assert len(list(decoders.segments(path, info, Segmentation(), ALL))) == 12
        assert victim not in workers()


def test_a_hang_costs_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_wav(tmp_path / "hangs.wav", 0.5)
    before = workers()
    with DecoderPool(1, SAMPLING) as decoders:
        info = decoders.identify(path)
        (victim,) = workers() - before
        os.kill(victim, signal.SIGSTOP)
        with monkeypatch.context() as hurry:
            hurry.setattr(decoders, "_item_timeout_s", 0.1)
            with pytest.raises(DecodeLimitError, match=r"hangs\.wav: decoding took longer than the limit of 0\.6 s"):
                list(decoders.segments(path, info, Segmentation(), ALL))
        assert len(list(decoders.segments(path, info, Segmentation(), ALL))) == 1
        assert victim not in workers()


def test_all_waits_of_a_file_share_its_time_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer takes 20 s of a clock that the test keeps; the limit is 60 s and the 120 s of the file."""
    now_s = 0.0

    class SlowConnection(Connection):
        def poll(self, timeout: float | None = 0.0) -> bool:
            nonlocal now_s
            assert timeout is not None
            now_s += min(timeout, 20.0)
            return timeout >= 20.0 and super().poll(60.0)

    monkeypatch.setattr(decoders_module, "Connection", SlowConnection)
    monkeypatch.setattr(decoders_module, "time", SimpleNamespace(monotonic=lambda: now_s))
    path = write_wav(tmp_path / "long.wav", 120.0)
    with DecoderPool(1, SAMPLING) as decoders:
        segments = decoders.segments(path, decoders.identify(path), Segmentation(), ALL)
        for _ in range(9):
            next(segments)
            now_s += 1000.0  # of the caller
        with pytest.raises(DecodeLimitError, match=r"long\.wav: decoding took longer than the limit of 180 s"):
            next(segments)


def test_too_much_memory_costs_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoders_module, "MEMORY_BYTES", 400 << 20)
    Image.new("RGB", (12_000, 12_000)).save(tmp_path / "large.png")
    with DecoderPool(1, SAMPLING) as decoders:
        with pytest.raises(DecodeLimitError, match=r"large\.png: .*memory"):
            decode(decoders, tmp_path / "large.png")
        decode(decoders, write_wav(tmp_path / "small.wav"))
        assert 10 << 20 < decoders.peak_memory_bytes() < 600 << 20


def test_an_abandoned_file_costs_nothing(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "long.wav", 200.0)
    before = workers()
    with DecoderPool(2, SAMPLING) as decoders:
        info = decoders.identify(path)
        for _ in range(3):
            segments = decoders.segments(path, info, Segmentation(), ALL)
            next(segments)
            segments.close()
        # More iterators at once than workers do not wait for each other.
        several = [decoders.segments(path, info, Segmentation(), ALL) for _ in range(4)]
        assert len({segment.span for segment in map(next, several)}) == 1
        assert [len(list(segments)) for segments in several] == [19] * 4
        assert len(workers() - before) <= 2
    assert workers() <= before


def test_threads_share_the_workers(tmp_path: Path) -> None:
    paths = [write_wav(tmp_path / f"{number}.wav", 30.0 + number, 22_050) for number in range(6)]
    results: dict[Path, list[int]] = {}

    def work(mine: list[Path]) -> None:
        for path in mine:
            _, segments = decode(decoders, path)
            results[path] = [len(arrays(segment)[1]) for segment in segments]

    with DecoderPool(2, SAMPLING) as decoders:
        threads = [threading.Thread(target=work, args=(paths[start::3],)) for start in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # Workers outlive the threads for which they were started.
        alive = workers()
        decoders.identify(paths[0])
        assert workers() == alive
    assert [sum(results[path]) for path in paths] == [(30 + number) * 16_000 for number in range(6)]


def test_the_worker_waits_for_the_reader(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "long.wav", 300.0)
    with DecoderPool(1, SAMPLING) as decoders:
        segments = decoders.segments(path, decoders.identify(path), Segmentation(), ALL)
        next(segments)
        os.truncate(path, 44 + 150 * 32_000)
        # Had it run ahead, it would have seen the rest.
        assert len(list(segments)) == 14


def test_closing_ends_busy_workers(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "long.wav", 120.0)
    before = workers()
    decoders = DecoderPool(1, SAMPLING)
    segments = decoders.segments(path, decoders.identify(path), Segmentation(), ALL)
    next(segments)
    decoders.close()
    assert workers() <= before
    with pytest.raises(UsageError, match="closed"):
        list(segments)
    with pytest.raises(UsageError, match="closed"):
        decoders.identify(path)


def test_the_keyboard_does_not_reach_workers(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "sound.wav")
    before = workers()
    with DecoderPool(1, SAMPLING) as decoders:
        info = decoders.identify(path)
        (worker,) = workers() - before
        assert os.getsid(worker) == worker
        os.kill(worker, signal.SIGINT)
        assert decoders.identify(path) == info
        assert workers() - before == {worker}


SCRIPT = """
import os, signal, sys
from pathlib import Path
from types import SimpleNamespace
from wave_search.media import DecoderPool
from wave_search.models.wave.clips import SAMPLING
decoders = DecoderPool(1, SAMPLING)
info = decoders.identify(Path(sys.argv[1]))
worker = next(iter(decoders._all))._process.pid
print(info.container, worker, flush=True)
if sys.argv[2] == "die":
    os.kill(worker, signal.SIGSTOP)  # a hanging decoder does not see that its socket is closed
    os.kill(os.getpid(), signal.SIGKILL)
"""


def run_script(tmp_path: Path, path: Path, end: str) -> tuple[subprocess.CompletedProcess[str], int]:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    (tmp_path / "soundfile.py").write_text("raise RuntimeError('a file of the user was imported')")
    package = str(Path(decoders_module.__file__).parents[2])
    run = subprocess.run(
        [sys.executable, script, path, end],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": package},
    )
    container, worker = run.stdout.split()
    assert container == "wav"
    return run, int(worker)


def gone(process: int) -> bool:
    """Whether a process has ended; one that waits for its new parent to take notice has."""
    try:
        return (Path("/proc") / str(process) / "stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize(("end", "code"), [("return", 0), ("die", -signal.SIGKILL)])
def test_workers_end_with_a_script_that_has_no_main_guard(tmp_path: Path, end: str, code: int) -> None:
    run, worker = run_script(tmp_path, write_wav(tmp_path / "sound.wav"), end)
    assert (run.returncode, run.stderr) == (code, "")
    deadline = time.monotonic() + 30
    while not gone(worker) and time.monotonic() < deadline:
        pass
    assert gone(worker)


def test_importing_media_loads_no_decoder() -> None:
    code = "import sys, wave_search.media; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "wave_search.media.worker_pool" in loaded
    assert not {"av", "decord", "PIL", "soundfile", "soxr", "numpy"} & set(loaded)


def test_spans_of_all_files_are_in_order(decoders: DecoderPool, tmp_path: Path) -> None:
    _, segments = decode(decoders, write_wav(tmp_path / "sound.wav", 35.7), "4")
    spans = [segment.span for segment in segments if segment.span is not None]
    assert len(spans) == 9
    assert all(left.stop_s == right.start_s for left, right in itertools.pairwise(spans))
