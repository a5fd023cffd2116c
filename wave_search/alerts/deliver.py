"""Delivery of matches to a web address or to a program, each with a time limit."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

from wave_search import __version__
from wave_search.processes import kill_group

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wave_search.alerts.book import Target

WEBHOOK_S = 15.0
"""Time in which an address has to answer."""
COMMAND_S = 60.0
"""Time in which a program has to end."""
_SHOWN_BYTES = 300
"""Of what a program writes to stderr."""


def deliver(target: Target, message: bytes) -> str | None:
    """Deliver a message of JSON. Return why that failed, None if it did not."""
    if target.command is not None:
        return _run(target.command, message)
    return _post(target.webhook or "", message)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows nothing: matches go only where the user has sent them."""

    def redirect_request(self, *_: Any) -> None:
        """Refuse."""


def _post(url: str, message: bytes) -> str | None:
    outcome: list[str | None] = []
    # In a thread, because the limits of a socket are for each of its operations, and none for a look-up of a name.
    thread = threading.Thread(target=lambda: outcome.append(_answer(url, message)), daemon=True)
    thread.start()
    thread.join(WEBHOOK_S)
    return outcome[0] if outcome else f"no answer within {WEBHOOK_S:g} s"


def _answer(url: str, message: bytes) -> str | None:
    handlers = (
        urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler, urllib.request.HTTPErrorProcessor, _NoRedirect,
    )  # fmt: skip
    opener = urllib.request.OpenerDirector()
    for handler in handlers:
        opener.add_handler(handler())
    headers = {"Content-Type": "application/json", "User-Agent": f"wave-search/{__version__}"}
    try:
        request = urllib.request.Request(url, message, headers, method="POST")  # noqa: S310 - http or https
        with opener.open(request, timeout=WEBHOOK_S):
            return None
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (301, 302, 303, 307, 308):
            return f"it redirects ({error.code}), which is not followed; set the address to which it leads"
        return f"it answered with status {error.code}"
    except TimeoutError:
        return f"no answer within {WEBHOOK_S:g} s"
    except urllib.error.URLError as error:
        return f"it cannot be reached ({error.reason})"
    except Exception as error:  # whatever a server sends
        return f"it does not answer as a web server does ({type(error).__name__})"


def _run(command: Sequence[str], message: bytes) -> str | None:
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(  # noqa: S603 - the user's own program, without a shell
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True
            )
        except OSError as error:
            return f"it cannot be started ({error.strerror})"
        try:
            process.communicate(message, COMMAND_S)
        except BaseException as error:  # also Ctrl-C, which does not reach it
            kill_group(process)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                return f"it takes longer than {COMMAND_S:g} s, and was stopped"
            raise
        if process.returncode == 0:
            return None
        errors.seek(max(0, os.fstat(errors.fileno()).st_size - _SHOWN_BYTES))
        last = errors.read(_SHOWN_BYTES).decode("utf-8", "replace").strip().splitlines()[-1:]
        said = "".join(character for character in "".join(last) if character.isprintable())
        return f"it ended with code {process.returncode}" + (f": {said}" if said else "")
