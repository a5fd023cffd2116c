"""The entry point of the command, also as `python -m wave_search`."""

import gc
import signal
import sys


def main() -> None:
    """Run the command line.

    Ctrl-C ends the process at once until a command runs, because there would be nothing but a traceback of imports.
    """
    _end_at_ctrl_c()
    gc.set_threshold(50_000)  # nearly all that imports allocate stays, and is looked at in vain
    from wave_search.commands import socket_client

    code = socket_client.query(sys.argv[1:])
    if code is not None:
        raise SystemExit(code)
    _end_at_ctrl_c()
    from wave_search import cli

    try:
        cli.main()
    finally:
        gc.freeze()  # the memory of a process that ends need not be searched for garbage


def _end_at_ctrl_c() -> None:
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    main()
