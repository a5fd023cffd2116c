"""Modules that are imported when they are first used."""

from __future__ import annotations

import importlib
from typing import Any


class Deferred:
    """Stands for a module at the top of another, and imports it when one of its names is used, from any thread.

    Args:
        name: the full name of the module.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self._name), name)
