"""The MCP server: tools, resources and a prompt over an index, for assistants.

Everything heavy is imported when the first tool is called, so that clients, which start many servers, need not wait.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CallToolResult,
    GetPromptResult,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    Prompt,
    PromptArgument,
    PromptMessage,
    TextContent,
    Tool,
    ToolAnnotations,
)
from pydantic import ValidationError

from wave_search import __version__
from wave_search.errors import WaveSearchError
from wave_search.serve.mcp import schemas

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mcp_types import CallToolRequestParams, GetPromptRequestParams, ReadResourceRequestParams, ReadResourceResult

    from wave_search.serve.schemas import Model, Result
    from wave_search.serve.service import Service

INSTRUCTIONS = """\
Finds moments in the user's own videos, sounds, pictures and texts by what is seen, heard or written in them.

- `search` takes a few words for the thing itself ("a dog barking", "rain on a roof"), not a sentence about the task. \
`library` shows what there is to search, and columns for conditions.
- z tells how good a match is: from 5 clear, 3 to 5 possible, below 3 no better than chance. The best result is not \
always right: if all are weak, say that there is nothing like that.
- Check before you claim: `look` shows frames (frames=6 for an action), `listen` plays a sound if you can hear, `ask` \
lets the model choose between answers. `similar` finds more like a result, by its sound or its picture.
- Times are seconds from the beginning of a file. Name the path and the time range of what you found.
"""
_READ_ONLY = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
_BUG = "This is a bug in wave-search. Please report it."


@dataclass(frozen=True, slots=True)
class _Kind:
    """A tool; the function of the same name in `wave_search.serve.mcp.tools` does the work."""

    title: str
    description: str
    arguments: type[Model]
    result: type[Result]


_TOOLS = {
    "search": _Kind(
        "Search media",
        "Find moments in videos, sounds, pictures and texts by a short description of what is seen, heard or written "
        "there. Returns paths, time ranges and z. Without a query, lists files by path.",
        schemas.SearchArguments,
        schemas.SearchResult,
    ),
    "similar": _Kind(
        "Find similar media",
        "Find moments that are like a segment as a whole, sound like it or look like it. Needs no model.",
        schemas.SimilarArguments,
        schemas.SearchResult,
    ),
    "look": _Kind(
        "Look at a moment",
        "Show a picture: an image, a frame of a video, or a contact sheet of several frames with their times.",
        schemas.LookArguments,
        schemas.LookResult,
    ),
    "listen": _Kind(
        "Listen to a moment",
        "Return the sound of a segment or a range of its file as MP3, up to 60 seconds. Only useful if you can hear.",
        schemas.ListenArguments,
        schemas.ListenResult,
    ),
    "ask": _Kind(
        "Ask about a moment",
        "Let the embedding model choose between possible answers to a question about a segment.",
        schemas.AskArguments,
        schemas.AskResult,
    ),
    "library": _Kind(
        "Describe the library",
        "Describe what can be searched: numbers of files, folders, targets, columns and examples of conditions.",
        schemas.LibraryArguments,
        schemas.LibraryResult,
    ),
}
_PROMPT = Prompt(
    name="find",
    title="Find a moment",
    description="Find moments in the library and check them before reporting",
    arguments=[PromptArgument(name="what", description="What is seen or heard there", required=True)],
)
_FIND = """\
Find this in my media with wave-search: {what}

Search with a few different short descriptions, look at (or listen to) the best results, and report those that really \
match with path and time range, best first. If there is none, say so."""
_MAX_PROMPT_CHARS = 2_000


def create_server(
    service: Callable[[], Awaitable[Service]], unexpected: Callable[[Exception], None] | None = None
) -> Server[Any]:
    """Return the server, for any transport.

    Args:
        service: returns the index and its previews; called with each request. It may raise WaveSearchError.
        unexpected: called with an exception that is a fault of this package, of which the client reads only the type.
    """

    async def list_tools(*_: Any) -> ListToolsResult:
        return ListToolsResult(tools=[_described(name, tool) for name, tool in _TOOLS.items()])

    async def call_tool(_: Any, asked: CallToolRequestParams) -> CallToolResult:
        try:
            return await _called(service, asked.name, asked.arguments or {})
        except Exception as error:  # nothing of the inside of the server reaches the client
            if unexpected is not None:
                unexpected(error)
            return _failed(f"unexpected {type(error).__name__}. {_BUG}")

    async def list_resources(*_: Any) -> ListResourcesResult:
        from wave_search.serve.mcp.resources import LIBRARY

        return ListResourcesResult(resources=[LIBRARY])

    async def list_templates(*_: Any) -> ListResourceTemplatesResult:
        from wave_search.serve.mcp.resources import TEMPLATES

        return ListResourceTemplatesResult(resource_templates=[*TEMPLATES])

    async def read_resource(_: Any, asked: ReadResourceRequestParams) -> ReadResourceResult:
        from wave_search.serve.mcp.resources import UnknownResourceError, read

        try:
            return await read(await service(), asked.uri)
        except UnknownResourceError as error:
            raise MCPError(INVALID_PARAMS, _safe(str(error))) from None
        except WaveSearchError as error:
            raise MCPError(INTERNAL_ERROR, _safe(str(error))) from None

    async def list_prompts(*_: Any) -> ListPromptsResult:
        return ListPromptsResult(prompts=[_PROMPT])

    async def get_prompt(_: Any, asked: GetPromptRequestParams) -> GetPromptResult:
        what = (asked.arguments or {}).get("what", "").strip()[:_MAX_PROMPT_CHARS]
        if asked.name != _PROMPT.name or not what:
            raise MCPError(INVALID_PARAMS, 'There is one prompt, "find", and its argument "what" is needed.')
        message = PromptMessage(role="user", content=TextContent(type="text", text=_FIND.format(what=what)))
        return GetPromptResult(description=_PROMPT.description, messages=[message])

    return Server(
        "wave-search",
        title="wave-search",
        version=__version__,
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read_resource,
        on_list_prompts=list_prompts,
        on_get_prompt=get_prompt,
    )


def _described(name: str, tool: _Kind) -> Tool:
    return Tool(
        name=name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.arguments.model_json_schema(),
        output_schema=tool.result.model_json_schema(mode="serialization"),
        annotations=_READ_ONLY,
    )


async def _called(service: Callable[[], Awaitable[Service]], name: str, arguments: dict[str, Any]) -> CallToolResult:
    """Call a tool; what is wrong is its answer, which the model can read and act on."""
    tool = _TOOLS.get(name)
    if tool is None:
        return _failed(f"there is no tool {name[:100]!r}. There are {', '.join(_TOOLS)}.")
    try:
        parsed = tool.arguments.model_validate(arguments)
        from wave_search.serve.mcp import tools

        answer = await getattr(tools, name)(await service(), parsed)
        return CallToolResult(content=answer.content, structured_content=answer.result.model_dump(mode="json"))
    except ValidationError as error:
        return _failed(_explained(name, tool, error))
    except WaveSearchError as error:
        return _failed(str(error))


def _explained(name: str, tool: _Kind, error: ValidationError) -> str:
    """Return what is wrong with arguments, without repeating them."""
    causes = []
    for one in error.errors(include_url=False, include_input=False, include_context=False)[:5]:
        place = ".".join(str(part)[:100] for part in one["loc"]) or "arguments"
        causes.append(f"{place}: {one['msg']}")
    known = ", ".join(tool.arguments.model_fields) or "no arguments"
    return f"{'; '.join(causes)}. {name} takes: {known}."


def _failed(message: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=_safe(message))], is_error=True)


def _safe(text: str) -> str:
    """Return a text that is valid UTF-8, whatever the names of files in it."""
    return text.encode("utf-8", "replace").decode()
