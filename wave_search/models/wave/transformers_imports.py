"""The classes of transformers that WAVE is composed of, imported without side effects.

If torchao is installed, transformers imports it for a function of a quantizer that is not used here. This takes more
than a second of CPU, and torchao writes warnings about its optional kernels to stderr. Here the function is imported
only when it is called.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_UNUSED_MODULE = "torchao.prototype.safetensors.safetensors_support"


@contextmanager
def _torchao_deferred() -> Iterator[None]:
    """Replace functions of the unused module with ones that import it when called."""
    if "torchao" in sys.modules:
        yield
        return
    stand_in = ModuleType(_UNUSED_MODULE)
    stand_in.__getattr__ = _deferred  # type: ignore[method-assign]
    sys.modules[_UNUSED_MODULE] = stand_in
    try:
        yield
    finally:
        sys.modules.pop(_UNUSED_MODULE, None)


def _deferred(name: str) -> Callable[..., Any]:
    if name.startswith("__"):
        raise AttributeError(name)

    def call(*arguments: Any, **named: Any) -> Any:
        return getattr(import_module(_UNUSED_MODULE), name)(*arguments, **named)

    return call


with _torchao_deferred():
    from transformers import AttentionInterface
    from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import (
        Qwen2_5OmniAudioEncoder,
        Qwen2_5OmniThinkerTextModel,
        Qwen2_5OmniVisionEncoder,
        apply_rotary_pos_emb,
    )

__all__ = [
    "AttentionInterface",
    "Qwen2_5OmniAudioEncoder",
    "Qwen2_5OmniThinkerTextModel",
    "Qwen2_5OmniVisionEncoder",
    "apply_rotary_pos_emb",
]
