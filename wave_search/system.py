"""What differs between operating systems about the machine and this process.

Linux is the model. What macOS or Windows lack is done there in the next best way, which each function describes. Files
are in `descriptors`, other processes in `processes`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

HAS_DEATH_SIGNAL = sys.platform == "linux"
"""Whether the kernel tells a process that the one which has started it has ended."""
TIMED_OUT = 124
"""Exit status of a process that `end_after` has ended, where there is no signal for that."""
_PR_SET_PDEATHSIG = 1
_UNKNOWN_MEMORY_BYTES = 4 << 30
_MAX_TIMER_S = 1e9
"""The clock of the system takes no more."""
_data_limit_bytes: int | None = None
_timers: list[threading.Timer] = []


def constants(module: Any, *names: str) -> frozenset[int]:
    """Return those constants of a module (`errno`, `signal`) that the system has."""
    return frozenset(int(getattr(module, name)) for name in names if hasattr(module, name))


def cores() -> int:
    """Return the number of cores that this process may use; where that is not known, those of the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def physical_bytes() -> int:
    """Return the memory of the machine; 4 GiB if the system does not report it."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        status = _windows_memory()
        return status[0] if status else _UNKNOWN_MEMORY_BYTES


def available_bytes() -> int | None:
    """Return the memory that programs can still get; None if the system does not report it."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        status = _windows_memory()
        return status[1] if status else None
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")), None)


def _windows_memory() -> tuple[int, int] | None:
    """Return the bytes of memory in total, and those available, by GlobalMemoryStatusEx."""
    if sys.platform != "win32":
        return None
    import ctypes

    status = (ctypes.c_ulonglong * 8)(64)  # MEMORYSTATUSEX: two words of 32 bits, its length first, and seven of 64
    if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return None
    return status[1], status[2]


def peak_bytes() -> int:
    """Return the largest resident set of this process so far; 0 if the system does not report it."""
    if resource is None:
        return 0
    peak = int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return peak if sys.platform == "darwin" else peak * 1024


def limit_memory(size_bytes: int) -> None:
    """Limit the data memory of this process (RLIMIT_DATA), unless the system has set a lower limit. Dump no core.

    Without such limits the number is only what `data_limit_bytes` returns.
    """
    global _data_limit_bytes  # noqa: PLW0603 - a property of the process
    if resource is None:
        _data_limit_bytes = size_bytes
        return
    _, most_bytes = resource.getrlimit(resource.RLIMIT_DATA)
    if most_bytes == resource.RLIM_INFINITY or size_bytes < most_bytes:  # nobody may raise it
        resource.setrlimit(resource.RLIMIT_DATA, (size_bytes, size_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def data_limit_bytes() -> int | None:
    """Return how much data memory this process may have; None if there is no limit."""
    if resource is None:
        return _data_limit_bytes
    limit = resource.getrlimit(resource.RLIMIT_DATA)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def be_nice(niceness: int) -> None:
    """Give this process a low priority, where priorities are numbers."""
    if hasattr(os, "setpriority"):
        os.setpriority(os.PRIO_PROCESS, 0, max(niceness, os.getpriority(os.PRIO_PROCESS, 0)))


def thread_be_nice(niceness: int) -> None:
    """Give this thread a low priority. Only Linux has priorities of threads."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)


def signal_at_death_of_parent(number: int) -> None:
    """Let the kernel send a signal to this process when the thread that has started it ends.

    Does nothing without `HAS_DEATH_SIGNAL`.
    """
    if HAS_DEATH_SIGNAL:
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)


def end_after(seconds: float) -> None:
    """End this process after a time, whatever it does then; 0.0 takes that back.

    It ends by SIGALRM. Without that, a thread ends it with `TIMED_OUT`, for which a library has to let threads run.
    """
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, min(seconds, _MAX_TIMER_S))
        return
    while _timers:
        _timers.pop().cancel()
    if seconds:
        timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), os._exit, [TIMED_OUT])
        timer.daemon = True
        timer.start()
        _timers.append(timer)


def accept_alarm() -> None:
    """Let `end_after` work, whatever was inherited."""
    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})


def was_ended_after(exit_status: int) -> bool:
    """Return whether a process was ended by `end_after`."""
    return exit_status == (-signal.SIGALRM if hasattr(signal, "SIGALRM") else TIMED_OUT)


def interrupt_main_thread() -> None:
    """Do what Ctrl-C does."""
    if hasattr(signal, "pthread_kill"):
        # To that thread: just after a pause, the kernel would choose another one, and the main thread would wait on.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        signal.raise_signal(signal.SIGINT)
