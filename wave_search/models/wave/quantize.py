"""Quantization of the decoder's weights: by bitsandbytes through transformers' own integration, or by torchao."""

from __future__ import annotations

from contextlib import contextmanager
from importlib.util import find_spec
from logging import getLogger
from typing import TYPE_CHECKING, Any

from wave_search.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from logging import LogRecord

    import torch

    from wave_search.models.wave.network import Wave
    from wave_search.types import Quantization

_PACKAGES: Mapping[Quantization, str] = {
    "8bit": "bitsandbytes",
    "4bit": "bitsandbytes",
    "int8": "torchao",
    "fp8": "torchao",
}


def check_available(method: Quantization) -> None:
    """Check that a method can be used, before any weight is read.

    Raises:
        UsageError: no such method, or its package is not installed.
    """
    if method not in _PACKAGES:
        raise UsageError(f"{method!r} is not a quantization", f"Use one of {', '.join(_PACKAGES)}.")
    package = _PACKAGES[method]
    if find_spec(package) is None:
        remedy = 'Run: pip install "wave-search[quantized]"'
        raise UsageError(f"the quantization {method} needs the package {package}", remedy)


def prepare_decoder(wave: Wave, method: Quantization, compute_dtype: torch.dtype) -> None:
    """Replace the linear layers of a decoder that has no weights yet, if the method quantizes while it loads.

    Towers, BEATs and the fusion head keep their precision: they are small, and their errors would accumulate.

    Args:
        wave: the model on the meta device.
        method: "8bit" or "4bit" (NF4); others have no effect here.
        compute_dtype: dtype of the matrix products.

    Raises:
        UsageError: no such method, or its package is not installed.
    """
    check_available(method)
    if _PACKAGES[method] != "bitsandbytes":
        return
    from transformers import BitsAndBytesConfig
    from transformers.integrations.bitsandbytes import replace_with_bnb_linear

    config = BitsAndBytesConfig(
        load_in_8bit=method == "8bit",
        load_in_4bit=method == "4bit",
        bnb_4bit_compute_dtype=compute_dtype,
        bnb_4bit_quant_type="nf4",
    )
    replace_with_bnb_linear(wave.model.layers, quantization_config=config)


def finish_decoder(wave: Wave, method: Quantization) -> None:
    """Quantize the linear layers of a decoder that has its weights, if the method has not done so while loading.

    Args:
        wave: the model with its decoder loaded.
        method: "int8" or "fp8" (e4m3), with a scale for each output; others have no effect.
    """
    if _PACKAGES[method] != "torchao":
        return
    with _without_import_warnings():
        from torchao.quantization import Float8WeightOnlyConfig, Int8WeightOnlyConfig, quantize_

    quantize_(wave.model.layers, Int8WeightOnlyConfig() if method == "int8" else Float8WeightOnlyConfig())


@contextmanager
def _without_import_warnings() -> Iterator[None]:
    """Suppress what torchao logs on import: missing optional kernels, and its use of torch's pytree."""
    loggers = [getLogger(name) for name in ("torchao", "torch.utils._pytree")]
    for logger in loggers:
        logger.addFilter(_drop)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(_drop)


def _drop(_record: LogRecord) -> bool:
    return False


def quantized(empty: torch.nn.Parameter, value: torch.Tensor, device: torch.device) -> torch.nn.Parameter:
    """Quantize one weight.

    Args:
        empty: the parameter to fill, as created by `prepare_decoder`.
        value: the weight, on the CPU.
        device: device to move it to.
    """
    parameter_class: Any = type(empty)
    parameter: torch.nn.Parameter = parameter_class(value, requires_grad=False, **vars(empty)).to(device)
    return parameter
