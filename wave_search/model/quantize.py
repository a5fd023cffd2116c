"""8-bit and 4-bit weights for the decoder, through transformers' own integration of bitsandbytes."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from wave_search.errors import UsageError

if TYPE_CHECKING:
    import torch

    from wave_search.model.wave import Wave

METHODS = ("8bit", "4bit")


def check_available(method: str) -> None:
    """Refuse what cannot be done before any weight is read.

    Raises:
        UsageError: no such method, or bitsandbytes is not installed.
    """
    if method not in METHODS:
        raise UsageError(f"{method!r} is not a quantization", f"Use one of {', '.join(METHODS)}.")
    if find_spec("bitsandbytes") is None:
        raise UsageError("quantization needs the package bitsandbytes", 'Run: pip install "wave-search[quantized]"')


def prepare_decoder(wave: Wave, method: str, compute_dtype: torch.dtype) -> None:
    """Replace the linear layers of a decoder that has no weights yet.

    Towers, BEATs and the fusion head keep their precision: they are small, and their faults would add up.

    Args:
        wave: on the meta device.
        method: "8bit" or "4bit" (NF4).
        compute_dtype: of the products.

    Raises:
        UsageError: no such method, or bitsandbytes is not installed.
    """
    check_available(method)
    from transformers import BitsAndBytesConfig
    from transformers.integrations.bitsandbytes import replace_with_bnb_linear

    config = BitsAndBytesConfig(
        load_in_8bit=method == "8bit",
        load_in_4bit=method == "4bit",
        bnb_4bit_compute_dtype=compute_dtype,
        bnb_4bit_quant_type="nf4",
    )
    replace_with_bnb_linear(wave.model.layers, quantization_config=config)


def quantized(empty: torch.nn.Parameter, value: torch.Tensor, device: torch.device) -> torch.nn.Parameter:
    """Quantize one weight.

    Args:
        empty: the parameter that it fills, as `prepare_decoder` made it.
        value: the weight, on the CPU.
        device: where it goes.
    """
    parameter_class: Any = type(empty)
    parameter: torch.nn.Parameter = parameter_class(value, requires_grad=False, **vars(empty)).to(device)
    return parameter
