"""Where a server listens, and for whom. Free of third-party imports."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wave_search.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from wave_search.models import LoadOptions

MIN_TOKEN_CHARS = 16
_TOKEN = re.compile(rf"[A-Za-z0-9_-]{{{MIN_TOKEN_CHARS},200}}")
LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
"""Names of this machine in the Host header of a request from it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may cost."""

    upload_bytes: int = 256 << 20
    """Size of a request with files."""
    json_bytes: int = 1 << 20
    """Size of any other request."""
    query_s: float = 60.0
    """Seconds after which a search is answered with an error."""
    where_s: float = 10.0
    """Seconds that a condition may take."""
    searches: int = 8
    """Searches at once."""
    waiting: int = 64
    """Searches that wait for one of these to end; further ones are refused."""
    conversions: int = 8
    """Long conversions of media that run or wait; further ones are refused."""
    clip_s: float = 600.0
    """Seconds of a clip."""
    proxy_s: float = 1_800.0
    """Seconds of a file that is converted as a whole so that browsers play it."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """Where a server listens, and for whom.

    Raises:
        UsageError: the server would be open to other machines without a token.
    """

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8765
    """0 for any free one."""
    token: str | None = None
    """Secret that every request needs; None for none."""
    names: tuple[str, ...] = ()
    """Further names by which browsers reach the server, as behind a reverse proxy: "search.example.org"."""
    desktop: bool = False
    """Whether a file manager of this machine can be opened, for those who sit at it."""
    cache_bytes: int = 2 << 30
    """Disk space of the previews."""
    idle_exit_s: float | None = None
    """Seconds without a request after which the server ends; None for never."""
    alone: bool = False
    """Whether it is an error if the server has no socket for the command line, as where another process has it."""
    allow_index: tuple[Path, ...] | None = None
    """Folders that clients may add to the index, with all that is below them; None for `may_index_anything`."""
    model: str = "auto"
    """Model of runs of `index`, as for `wave_search.open`."""
    load: LoadOptions | None = None
    """How they load it."""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.token is None and (self.names or not self.is_local):
            by = f"under the name {self.names[0]}" if self.names else f"on {self.host}"
            raise UsageError(
                f"a server {by} can be reached from other machines, and needs a token",
                "Add --token auto, or listen on 127.0.0.1 only.",
            )
        if self.token is not None and not _TOKEN.fullmatch(self.token):
            raise UsageError(
                f"a token has at least {MIN_TOKEN_CHARS} letters, digits, - and _", "Let one be made: --token auto."
            )
        if not 0 <= self.port < 1 << 16:
            raise UsageError(f"{self.port} is not a port", "Choose one from 1 to 65535, or 0 for any free one.")

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the server."""
        return self.host == "localhost" or is_loopback(self.host.strip("[]"))

    @property
    def may_index_anything(self) -> bool:
        """Whether clients may add any folder to the index: without `allow_index`, those of this machine may."""
        return self.allow_index is None and self.is_local and not self.names


def is_loopback(address: str) -> bool:
    """Return whether an address is one by which a machine reaches itself."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
