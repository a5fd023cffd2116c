"""Serve an index to browsers and programs."""

import os
import secrets
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Annotated, Any

import typer

import wave_search as ws
from wave_search.commands import background
from wave_search.commands.exit_codes import DONE, reported, terminal_of
from wave_search.commands.options import DEFAULT_INDEX, Device, Dtype, IndexDir, IndexModel, Quantization, Quiet
from wave_search.commands.usage import epilog
from wave_search.errors import UsageError

EPILOG = epilog(
    "Prints the address and serves until Ctrl-C. Only this machine can reach it, unless --host names another address, "
    "which needs a token. The index may change while it is served. While it runs, it answers wave-search query of the "
    "same user. Needs the extra [serve].",
    "serve --open",
    "serve --background",
    "serve --host 0.0.0.0 --token auto",
)


@reported
def serve(
    ctx: typer.Context,
    *,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="Port; 0 for any free one.")] = 8765,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="WAVE_SEARCH_TOKEN", metavar="auto|TOKEN", help="Token that every request needs; auto: a new one."
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Further name of the server, as behind a reverse proxy; repeatable."),
    ] = None,
    allow_index: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            help="Folder that may be added to the index from the page; repeatable (default: any, if only this machine "
            "can reach the server, otherwise none).",
        ),
    ] = None,
    cache_size: Annotated[
        float, typer.Option(min=0.01, max=1e6, metavar="GIB", help="Disk space for previews of media.")
    ] = 2.0,
    open: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,  # noqa: A002
    in_background: Annotated[
        bool, typer.Option("--background", help="Start it in the background, and return when it is ready.")
    ] = False,
    stop: Annotated[bool, typer.Option("--stop", help="End the server of this index.")] = False,
    idle_exit: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="SECONDS", help="End after this time without a request; 0: never. In the background: 3600."
        ),
    ] = None,
    alone: Annotated[bool, typer.Option("--alone", hidden=True)] = False,
    index: IndexDir = DEFAULT_INDEX,
    model: IndexModel = "auto",
    device: Device = "auto",
    dtype: Dtype = "auto",
    quantization: Quantization = None,
    quiet: Quiet = False,
) -> int:
    """Serve a page and an HTTP API to search the index."""
    from wave_search import serve as server
    from wave_search.commands.socket_answers import QueryAnswers
    from wave_search.desktop import has_desktop
    from wave_search.serve.options import ServeOptions

    terminal = terminal_of(ctx, quiet)
    if stop and in_background:
        raise UsageError("--background and --stop cannot be combined", "To start it anew, end it first.")
    if stop:
        background.stop(index)
        terminal.message("stopped")
        return DONE
    loaded_as: dict[str, Any] = {"device": device, "dtype": dtype, "quantization": quantization}
    load = ws.LoadOptions(**loaded_as)
    options = ServeOptions(
        host=host,
        port=port,
        token=secrets.token_urlsafe(24) if token == "auto" else token,  # noqa: S105 - the word for a new one
        names=tuple(allow_host or ()),
        desktop=has_desktop(os.environ),
        cache_bytes=int(cache_size * 2**30),
        idle_exit_s=idle_exit or None,
        alone=alone,
        allow_index=None if allow_index is None else tuple(allow_index),
        model=model,
        load=load,
    )
    if in_background:
        idle_exit = background.IDLE_EXIT_S if idle_exit is None else idle_exit
        same = {"--host": host, "--port": port, "--cache-size": cache_size, "--index": index, "--model": model}
        same |= {"--device": device, "--dtype": dtype, "--quantization": quantization, "--idle-exit": idle_exit}
        given = [f"{name}={value}" for name, value in same.items() if value is not None]
        given += [f"--allow-host={name}" for name in options.names]
        given += [f"--allow-index={folder}" for folder in options.allow_index or ()]
        with terminal.working("starting the server"):
            address = background.start([*given, "--alone"], options.token, index, terminal.warning)
        terminal.lines([address])
        if open or ctx.info_name == "ui":
            typer.launch(address)
        return DONE
    with ExitStack() as loading, ws.open(index, model, load=load, may_download=terminal.may_download) as opened:
        loading.enter_context(terminal.working("loading the model"))

        def started(address: str) -> None:
            loading.close()
            terminal.lines([address])
            if open or ctx.info_name == "ui":
                typer.launch(address)

        with suppress(KeyboardInterrupt):
            server.run(opened, options, QueryAnswers(opened, loaded_as), started, terminal.warning)
    terminal.message("stopped")
    return DONE
