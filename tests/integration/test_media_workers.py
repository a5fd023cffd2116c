"""Worker processes: what a broken file costs, and how they end."""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from tests.media_decoding import ALL, arrays, decode, workers, write_wav
from tests.media_samples import wav_bytes
from wave_search.errors import BrokenMediaError, DecodeLimitError, MediaError, UsageError
from wave_search.media import WHOLE, DecoderPool, Segmentation
from wave_search.media import worker_pool as decoders_module
from wave_search.media import worker_process as process_module
from wave_search.models.wave.clips import SAMPLING

pytestmark = pytest.mark.usefixtures("fresh_workers")


@pytest.fixture(scope="module")
def decoders() -> Iterator[DecoderPool]:
    with DecoderPool(2, SAMPLING) as running:
        yield running


def write_silence(path: Path, seconds: float, rate_hz: int = 16_000) -> Path:
    """Write a WAV file that takes no time to make, and no space."""
    size_bytes = round(seconds * rate_hz) * 2
    path.write_bytes(wav_bytes(np.zeros((1, 1), np.int16), rate_hz, declared_bytes=size_bytes))
    os.truncate(path, 44 + size_bytes)
    return path


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
    path = write_silence(tmp_path / "long.wav", 120.0)
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


def impatient(monkeypatch: pytest.MonkeyPatch, *, stall_s: float) -> None:
    """Look at a worker that does not answer a hundred times as often."""
    monkeypatch.setattr(process_module, "_STEP_S", 0.01)
    monkeypatch.setattr(process_module, "STALL_S", stall_s)


@pytest.mark.parametrize(
    ("sent", "cause"),
    [
        (signal.SIGKILL, "the decoder was killed, perhaps because the machine ran out of memory"),
        (signal.SIGTERM, "the decoder was ended (Terminated)"),
    ],
)
def test_the_end_of_a_decoder_from_outside_is_not_the_fault_of_its_file(
    tmp_path: Path, sent: signal.Signals, cause: str
) -> None:
    path = write_silence(tmp_path / "long.wav", 120.0)
    before = workers()
    with DecoderPool(1, SAMPLING) as decoders:
        segments = decoders.segments(path, decoders.identify(path), Segmentation(), ALL)
        next(segments)
        (victim,) = workers() - before
        os.kill(victim, sent)
        with pytest.raises(MediaError) as raised:
            list(segments)
        assert (type(raised.value), raised.value.cause) == (MediaError, cause)
        assert raised.value.remedy.startswith("Try again")
        assert victim not in workers()


def test_a_stopped_decoder_is_given_up_and_not_blamed_on_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_wav(tmp_path / "hangs.wav", 0.5)
    before = workers()
    with DecoderPool(1, SAMPLING) as decoders:
        info = decoders.identify(path)
        (victim,) = workers() - before
        os.kill(victim, signal.SIGSTOP)
        with monkeypatch.context() as hurry:
            impatient(hurry, stall_s=0.05)
            with pytest.raises(MediaError, match=r"hangs\.wav: the decoder did not respond for 0\.05 s") as raised:
                list(decoders.segments(path, info, Segmentation(), ALL))
        assert type(raised.value) is MediaError
        assert len(list(decoders.segments(path, info, Segmentation(), ALL))) == 1
        assert victim not in workers()


def test_a_limit_of_the_system_that_is_lower_already_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lower = functools.partial(resource.setrlimit, resource.RLIMIT_DATA, (600 << 20, 600 << 20))
    monkeypatch.setattr(process_module.subprocess, "Popen", functools.partial(subprocess.Popen, preexec_fn=lower))
    path = write_wav(tmp_path / "short.wav", 1.0)
    with DecoderPool(1, SAMPLING, memory_bytes=1 << 30) as decoders:
        assert decoders.identify(path).duration_s == 1.0


def test_a_decoder_that_continues_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    class WakingConnection(Connection):
        def poll(self, timeout: float | None = 0.0) -> bool:
            nonlocal looks
            looks += 1
            if looks == 5:
                os.kill(victim, signal.SIGCONT)
            return super().poll(timeout if looks < 5 else 60.0)

    path = write_wav(tmp_path / "sleeps.wav", 0.5)
    monkeypatch.setattr("multiprocessing.connection.Connection", WakingConnection)
    before = workers()
    with DecoderPool(1, SAMPLING) as decoders:
        info = decoders.identify(path)
        (victim,) = workers() - before
        os.kill(victim, signal.SIGSTOP)
        impatient(monkeypatch, stall_s=0.05)
        looks = 0
        assert len(list(decoders.segments(path, info, Segmentation(), ALL))) == 1
        assert workers() - before == {victim}


def test_a_decoder_that_computes_too_long_costs_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoders_module, "_SLOWEST_DECODING", 0.0)
    monkeypatch.setattr(decoders_module, "_SLOWEST_READ_BYTES_PER_S", 1e12)
    path = write_silence(tmp_path / "slow.wav", 200.0, 44_100)
    with DecoderPool(1, SAMPLING) as patient:
        info = patient.identify(path)
    with DecoderPool(1, SAMPLING, item_timeout_s=0.0) as decoders:
        impatient(monkeypatch, stall_s=60.0)
        with pytest.raises(DecodeLimitError, match=r"slow\.wav: decoding took longer than .* s of CPU time"):
            list(decoders.segments(path, info, WHOLE, ALL))


def test_the_time_limit_counts_what_the_decoder_computes_for_one_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine so busy that the decoder gets a hundredth of it: each answer takes 4,000 s, and 40 s of CPU time."""
    asked_s = cpu_s = 0.0

    class SlowConnection(Connection):
        def poll(self, timeout: float | None = 0.0) -> bool:
            nonlocal asked_s, cpu_s
            assert timeout is not None
            asked_s, cpu_s = asked_s + timeout, cpu_s + timeout / 100
            return asked_s % 4000 == 0 and super().poll(60.0)

    monkeypatch.setattr("multiprocessing.connection.Connection", SlowConnection)
    monkeypatch.setattr(process_module.Worker, "_cpu_s", lambda _: cpu_s)
    path = write_silence(tmp_path / "long.wav", 120.0)
    with DecoderPool(1, SAMPLING) as decoders:
        assert len(list(decoders.segments(path, decoders.identify(path), Segmentation(), ALL))) == 12
    assert asked_s > 12 * 4000


def test_too_much_memory_costs_one_file(tmp_path: Path) -> None:
    """An hour in one segment is 230 MB of samples."""
    path = write_silence(tmp_path / "long.wav", 3600.0)
    with DecoderPool(2, SAMPLING, memory_bytes=256 << 20) as decoders:
        assert decoders.workers == 1
        with pytest.raises(DecodeLimitError, match=r"long\.wav: .* more than 0\.25 GiB of memory"):
            decode(decoders, path, "none")
        decode(decoders, write_wav(tmp_path / "small.wav"))
        assert 10 << 20 < decoders.peak_memory_bytes() < 600 << 20


def test_a_decoder_without_descriptors_is_not_the_fault_of_its_file(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "sound.wav")
    before = workers()
    with DecoderPool(1, SAMPLING) as decoders:
        info = decoders.identify(path)
        (worker,) = workers() - before
        soft, hard = resource.prlimit(worker, resource.RLIMIT_NOFILE)
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (1, hard))
        with pytest.raises(MediaError, match=r"sound\.wav: cannot be read \(Too many open files\)") as raised:
            decoders.identify(path)
        assert type(raised.value) is MediaError
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (soft, hard))
        assert decoders.identify(path) == info


def test_a_decoder_that_cannot_be_started_is_not_the_fault_of_its_file(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "sound.wav")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with DecoderPool(1, SAMPLING) as decoders:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            with pytest.raises(MediaError, match="no decoder can be started") as raised:
                decoders.identify(path)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert type(raised.value) is MediaError
        assert decoders.identify(path).container == "wav"


def test_an_abandoned_file_costs_nothing(tmp_path: Path) -> None:
    path = write_silence(tmp_path / "long.wav", 60.0)
    before = workers()
    with DecoderPool(2, SAMPLING) as decoders:
        info = decoders.identify(path)
        for _ in range(2):
            segments = decoders.segments(path, info, Segmentation(), ALL)
            next(segments)
            segments.close()
        # More iterators of one thread than workers do not wait for each other.
        several = [decoders.segments(path, info, Segmentation(), ALL) for _ in range(3)]
        assert len({segment.span for segment in map(next, several)}) == 1
        assert [len(list(segments)) for segments in several] == [5] * 3
        assert len(workers() - before) <= 2
    assert workers() <= before


def test_threads_wait_for_a_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []

    class CountedWorker(process_module.Worker):
        def __init__(self, memory_bytes: int) -> None:
            started.append(memory_bytes)
            super().__init__(memory_bytes)

    monkeypatch.setattr(decoders_module, "Worker", CountedWorker)
    path = write_wav(tmp_path / "sound.wav", 30.0)
    with DecoderPool(1, SAMPLING) as decoders, ThreadPoolExecutor(1) as other:
        segments = decoders.segments(path, decoders.identify(path), Segmentation(), ALL)
        next(segments)
        waiting = other.submit(decoders.identify, path)
        assert len(list(segments)) == 2
        assert waiting.result().container == "wav"
    assert len(started) == 1


def test_threads_share_the_workers(tmp_path: Path) -> None:
    paths = [write_wav(tmp_path / f"{number}.wav", 11.0 + number, 22_050) for number in range(6)]
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
    assert [sum(results[path]) for path in paths] == [(11 + number) * 16_000 for number in range(6)]


def test_the_worker_waits_for_the_reader(tmp_path: Path) -> None:
    path = write_silence(tmp_path / "long.wav", 300.0)
    with DecoderPool(1, SAMPLING) as decoders:
        segments = decoders.segments(path, decoders.identify(path), Segmentation(), ALL)
        next(segments)
        os.truncate(path, 44 + 150 * 32_000)
        # Had it run ahead, it would have seen the rest.
        assert len(list(segments)) == 14


def test_closing_ends_busy_workers(tmp_path: Path) -> None:
    path = write_silence(tmp_path / "long.wav", 120.0)
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
    code = "import sys, wave_search.media.worker_pool; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"av", "decord", "PIL", "soundfile", "soxr", "numpy"} & set(loaded)


def test_spans_of_all_files_are_in_order(decoders: DecoderPool, tmp_path: Path) -> None:
    _, segments = decode(decoders, write_wav(tmp_path / "sound.wav", 35.7), "4")
    spans = [segment.span for segment in segments if segment.span is not None]
    assert len(spans) == 9
    assert all(left.stop_s == right.start_s for left, right in itertools.pairwise(spans))
