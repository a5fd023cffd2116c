"""Stands in for a program: it asks the fork server for a child that runs the program without a cold start.

The child gets the arguments, the environment, the current folder and the standard streams of this process; a stream
that is closed here is closed there. Signals are forwarded to the child, and this process ends with its exit code or
signal. The file is copied next to the server's socket, under the program's name. It needs the standard library only.
"""

import marshal
import os
import signal
import socket
import sys

SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGWINCH}


def main() -> None:
    streams = {number: number for number in range(3) if is_open(number)}  # before anything else takes their numbers
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    folder = os.path.dirname(__file__)  # noqa: PTH120 - pathlib is slow
    server, process = ask(f"{folder}/programs", sys.argv, streams)
    with server:
        if not process:
            sys.exit(f"the fork server has ended: {folder}/log")
        for number in SIGNALS:
            signal.signal(number, lambda number, _: os.kill(process, number))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        code = os.waitstatus_to_exitcode(int.from_bytes(server.recv(4, socket.MSG_WAITALL), "little"))
    if code < 0:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {-code})
        os.kill(os.getpid(), -code)
    os._exit(code)


def ask(address: str, arguments: list[str], streams: dict[int, int]) -> tuple[socket.socket, int]:
    """Return a socket that will receive the status of a new process, and its id; 0 if the server has ended.

    Args:
        address: of the server.
        arguments: of the process, its program first.
        streams: its open files: number there -> number here.
    """
    encoded = list(map(os.fsencode, arguments))
    request = marshal.dumps((encoded, dict(os.environb), os.getcwdb(), os.getpid(), [*streams]))  # noqa: PTH109
    server = socket.socket(socket.AF_UNIX)
    try:
        server.connect(address)
        socket.send_fds(server, [len(request).to_bytes(4, "little")], [*streams.values()])
        server.sendall(request)
        return server, int.from_bytes(server.recv(4, socket.MSG_WAITALL), "little")
    except BaseException:
        server.close()
        raise


def is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
