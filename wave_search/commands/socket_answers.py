"""Queries of the command line that a server answers with its open index; `socket_client` is the other side.

A query gets no answer, so that the command does it itself, unless the server can do it exactly as the command would.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.main import get_command

from wave_search.commands import last_hits, query
from wave_search.commands.exit_codes import GlobalOptions
from wave_search.commands.output import is_of_clips
from wave_search.commands.socket_client import surroundings
from wave_search.errors import IndexMismatchError, UsageError
from wave_search.wire import to_record

if TYPE_CHECKING:
    from collections.abc import Callable

    import wave_search as ws
    from wave_search.commands.question import Question

    Send = Callable[[dict[str, Any]], None]
_MAX_RESULTS = 10_000
"""More take longer to find and to send than a model to load."""


class QueryAnswers:
    """Answers queries with an open index.

    Args:
        index: the index.
        load: how its model is loaded: arguments of `LoadOptions`.
    """

    def __init__(self, index: ws.Index, load: dict[str, Any]) -> None:
        self._index, self._model, self._load = index, index.model, load
        # Without --help, and without global options: such a query gets no answer.
        parser = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        parser.command(context_settings={"help_option_names": []})(query.asked)
        self._command = get_command(parser)

    def __call__(self, request: dict[str, Any], send: Send) -> None:
        """Answer a request of `socket_client.query`, if that can be done as the command itself would."""
        if request["surroundings"] != surroundings():
            return
        question: Question | None = None
        began: dict[str, Any] = {"quiet": request["quiet"]}
        try:
            question = self._parsed(request)
            if not self._is_as_here(question, request["folder"]):
                return
            began["quiet"] |= question.quiet
            try:
                self._index.refresh()
            except IndexMismatchError:  # another model, which is not loaded, has taken the place of this one
                return
            shown = asdict(question.output)
            if question.lists:
                listed = zip(question.files(self._index), range(question.output.limit + 1), strict=False)
                send({**began, "files": [to_record(file) for file, _ in listed], "output": shown})
                return
            search = question.request(last_hits.kept_hits(self._index.path, self._index.created))

            def progress(done: ws.Progress) -> None:
                send({**began, "progress": to_record(done)})

            found = question.find(self._index, search, progress if search.rerank and not question.quiet else None)
            hits, lost = map(to_record, found.hits), map(to_record, found.lost)
            answer = {"hits": [*hits], "lost": [*lost], "created": found.created, "coverage": found.coverage}
            send({**began, **answer, "output": shown})
        except UsageError as error:
            # Messages about files name them as they are named here.
            if type(error) is UsageError and (question is None or not question.has_files):
                send({**began, "error": [error.message, error.remedy]})

    def _parsed(self, request: dict[str, Any]) -> Question:
        """Read the options. Raises UsageError; what is wrong otherwise, the command reports."""
        options = GlobalOptions(request["quiet"], traceback=False, folder=request["folder"])
        arguments = ["--index", request["index"], *request["arguments"]]  # the last one of an option is taken
        with self._command.make_context("query", arguments, obj=options) as context:
            question: Question = self._command.invoke(context)
        return question

    def _is_as_here(self, question: Question, folder: str) -> bool:
        """Return whether the answer is the same here as in the process that asks."""
        index = os.path.realpath(os.path.join(folder, question.index))  # noqa: PTH118
        same_model = question.model in ("auto", self._model.name) and question.load == self._load
        return (
            index == os.path.realpath(self._index.path)
            and (question.lists or same_model)
            and question.output.limit <= _MAX_RESULTS
            and not question.reads_stdin
            and question.save is None
            and not (question.output.export is not None and is_of_clips(Path(question.output.export)))
        )
