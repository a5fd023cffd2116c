"""An index that a server has open, with the interface of `Index`, and the form of requests to it."""

from wave_search.remote.client import RemoteIndex, connect

__all__ = ["RemoteIndex", "connect"]
