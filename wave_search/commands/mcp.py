"""Serve an index to assistants, over the Model Context Protocol."""

import traceback
from contextlib import suppress

import typer

import wave_search as ws
from wave_search.commands.exit_codes import DONE, reported, terminal_of
from wave_search.commands.options import DEFAULT_INDEX, Device, Dtype, IndexDir, IndexModel, Quantization

EPILOG = (
    "An assistant starts this command itself, and talks to it through stdin and stdout until it closes them; see "
    "docs/guide/mcp.md for how to configure that. The index is opened with the first request, the model with the first "
    "search that needs it. `wave-search serve` offers the same at the path /mcp. Needs the extra [serve].\n\n"
    "\b\nExample:\n  claude mcp add wave-search -- wave-search mcp --index ~/media/.wave-search"
)


@reported
def mcp(
    ctx: typer.Context,
    *,
    index: IndexDir = DEFAULT_INDEX,
    model: IndexModel = "auto",
    device: Device = "auto",
    dtype: Dtype = "auto",
    quantization: Quantization = None,
) -> int:
    """Let assistants search, look and listen (Model Context Protocol)."""
    from wave_search import serve as server

    def open_index() -> "ws.Index":  # a text, as it would be imported, and clients wait for the start
        # Nothing is asked: stdin belongs to the client.
        load = ws.LoadOptions(device=device, dtype=dtype, quantization=quantization)
        return ws.open(index, model, load=load)

    def report(error: Exception) -> None:
        terminal_of(ctx).traceback("".join(traceback.format_exception(error)).rstrip())

    with suppress(KeyboardInterrupt):
        server.run_mcp(open_index, report)
    return DONE
