"""The entry point of the command, also as `python -m wave_search`."""

import signal


def main() -> None:
    """Run the command line.

    Ctrl-C ends the process at once until a command runs, because there would be nothing but a traceback of imports.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from wave_search import cli

    cli.main()


if __name__ == "__main__":
    main()
