"""The classes of transformers that WAVE's towers are composed of, imported without side effects.

transformers imports torchao for a function of a quantizer, and SciPy for one of a loss, if they are installed. Neither
is used here, and both take one and a half seconds of CPU; torchao also writes warnings about its optional kernels to
stderr. Here such a function is imported only when it is called.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_UNUSED_MODULES = ("torchao.prototype.safetensors.safetensors_support", "scipy.optimize")


@contextmanager
def _unused_deferred() -> Iterator[None]:
    """Replace the functions of unused modules with ones that import their module when called."""
    deferred = [name for name in _UNUSED_MODULES if name.partition(".")[0] not in sys.modules]
    for name in deferred:
        sys.modules[name] = stand_in = ModuleType(name)
        stand_in.__getattr__ = partial(_deferred, name)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for name in deferred:
            sys.modules.pop(name, None)


def _deferred(module: str, name: str) -> Callable[..., Any]:
    if name.startswith("__"):
        raise AttributeError(name)

    def call(*arguments: Any, **named: Any) -> Any:
        return getattr(import_module(module), name)(*arguments, **named)

    return call


with _unused_deferred():
    from transformers import AttentionInterface
    from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import (
        Qwen2_5OmniAudioEncoder,
        Qwen2_5OmniVisionEncoder,
    )

__all__ = ["AttentionInterface", "Qwen2_5OmniAudioEncoder", "Qwen2_5OmniVisionEncoder"]
