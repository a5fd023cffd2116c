"""MCP: what the tools, resources and the prompt answer."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
from PIL import Image

import wave_search as ws
from tests.assistant import TOOLS, structured
from tests.libraries import LIBRARY_FILES, WORDS
from tests.media_factory import write_sound
from wave_search.serve import library as serve_library
from wave_search.serve.mcp import resources, schemas
from wave_search.serve.schemas import SearchQuery, Term

if TYPE_CHECKING:
    from pathlib import Path

    from mcp import Client
    from mcp_types import CallToolResult

    from tests.assistant import Assistant


def test_it_describes_itself_and_its_tools(assistant: Assistant) -> None:
    async def describe(client: Client) -> tuple[Any, ...]:
        return (
            client.instructions,
            (await client.list_tools()).tools,
            (await client.list_resources()).resources,
            (await client.list_resource_templates()).resource_templates,
            (await client.list_prompts()).prompts,
            (await client.get_prompt("find", {"what": "a dog"})).messages,
        )

    instructions, tools, listed, templates, prompts, messages = assistant.talk(describe)
    assert [tool.name for tool in tools] == TOOLS
    for tool in tools:
        hints = tool.annotations
        assert (hints.read_only_hint, hints.destructive_hint, hints.idempotent_hint) == (True, False, True)
        assert tool.output_schema["type"] == "object"
        assert tool.input_schema["additionalProperties"] is False
        assert all(
            field.get("description") or name == "query"
            for name, field in tool.input_schema["properties"].items()
            if name not in {"limit"}
        )
        assert f"`{tool.name}`" in instructions
    assert [one.uri for one in listed] == ["wave-search://library"]
    assert "wave-search://segments/{id}/picture" in [one.uri_template for one in templates]
    assert [one.name for one in prompts] == ["find"]
    assert "a dog" in messages[0].content.text


def test_a_search_finds_what_the_index_finds(assistant: Assistant, settled: Path) -> None:
    answer = assistant.call(
        "search",
        query=WORDS[0],
        also=[{"text": WORDS[1], "weight": 0.5}, {"text": WORDS[2], "avoid": True}],
        target="audio",
        limit=3,
        columns=["container"],
    )
    with ws.open(settled / "index") as index:
        hits = index.search(text=[WORDS[0], ws.Weighted(WORDS[1], 0.5), ws.Not(WORDS[2])], target="audio", k=3)
    found = structured(answer)
    moments = found["moments"]
    assert [one["segment"] for one in moments] == [hit.segment_id for hit in hits]
    assert [one["path"] for one in moments] == [str(hit.path) for hit in hits]
    assert [(one["start_s"], one["stop_s"]) for one in moments] == [(hit.start_s, hit.stop_s) for hit in hits]
    assert {one["columns"]["container"] for one in moments} == {"flac", "mov"}
    assert (found["more"], len(moments)) == (True, 3)
    text, *links = answer.content
    lines = text.text.split("\n")[1:]
    assert [f"segment {one['segment']} | {one['path']}" in line for one, line in zip(moments, lines, strict=True)] == [
        True
    ] * 3
    assert [link.uri for link in links] == [f"wave-search://segments/{one['segment']}" for one in moments]


@pytest.mark.parametrize(
    ("z", "match", "weak"),
    [
        (6.0, "very clear", False),
        (5.2, "clear", False),
        (4.0, "likely", False),
        (3.1, "possible", False),
        (2.9, "weak", True),
    ],
)
def test_a_match_is_put_in_words(
    assistant: Assistant, monkeypatch: pytest.MonkeyPatch, z: float, match: str, weak: bool
) -> None:
    library = assistant.service.library
    found = library.search(SearchQuery(terms=[Term(text=WORDS[0])], limit=1), {})
    changed = replace(found, hits=[found.hits[0].model_copy(update={"z": z})])
    monkeypatch.setattr(library, "search", lambda *_: changed)
    answer = assistant.call("search", query=WORDS[0], limit=1)
    assert structured(answer)["moments"][0]["match"] == match
    assert ("there is probably nothing like that" in answer.content[0].text) == weak


def test_filters_are_one_condition(assistant: Assistant, settled: Path) -> None:
    def names(**filters: Any) -> set[str]:
        return {one["path"].rsplit("/", 1)[-1] for one in assistant.search(limit=50, **filters)}

    sounds = {"300.flac", "500.flac", "700.flac"}
    assert names(kind="audio") == names(folder="sounds") == names(folder=str(settled / "media" / "sounds")) == sounds
    assert names(kind="audio", where="duration_s > 5 OR name = '500.flac' -- long ones") == {"500.flac", "700.flac"}
    assert names(kind="video", folder="sounds") == set()
    assert names(folder="it's") == set()
    assert names(query=WORDS[0], kind="audio", per_file=1) == sounds
    assert len(assistant.search()) == LIBRARY_FILES
    page = assistant.search(limit=3, offset=2)
    assert page == assistant.search(limit=5)[2:]
    assert "Nothing was found" in structured(assistant.call("search", query="a", min_z=1e6))["note"]


def test_lists_may_come_as_text(assistant: Assistant) -> None:
    also = [{"text": WORDS[1], "avoid": True}]
    expected = assistant.search(query=WORDS[0], also=also)
    assert assistant.search(query=WORDS[0], also=json.dumps(also)) == expected


def test_segments_are_similar_as_a_whole_by_sound_and_by_picture(assistant: Assistant, settled: Path) -> None:
    talking = assistant.file("talking.mp4")
    with ws.open(settled / "index") as index:
        segment, file = index.segment(talking)
        same = {one.modality: one.segment_id for one in file.segments if one.start_s == segment.start_s}
        for by, modality in (("whole", segment.modality), ("sound", "audio"), ("picture", "video")):
            hits = index.search(like=same[modality], k=4)  # type: ignore[index]
            found = assistant.search("similar", segment=talking, by=by, limit=4)
            assert [one["segment"] for one in found] == [hit.segment_id for hit in hits]
    frog, note = assistant.file("300.flac"), assistant.file("note0.txt")
    assert assistant.search("similar", segment=frog, by="sound") == assistant.search("similar", segment=frog)
    assert assistant.error("similar", segment=note, by="sound").startswith(f"segment {note} is text, and has no sound")
    picture = assistant.file("1.png")
    assert assistant.error("similar", segment=picture, by="sound").startswith(f"segment {picture} is image, and has")
    assert assistant.search("similar", segment=picture, by="picture")


def picture_of(answer: CallToolResult) -> Image.Image:
    (image,) = (block for block in answer.content if block.type == "image")
    assert image.mime_type == "image/jpeg"
    return Image.open(io.BytesIO(base64.b64decode(image.data)))


def test_a_look_shows_a_frame_a_sheet_or_an_image(assistant: Assistant) -> None:
    silent = assistant.file("silent.mp4")
    frame = assistant.call("look", segment=silent)
    assert (picture_of(frame).size, structured(frame)["times_s"]) == ((64, 48), [5.0])
    sheet = assistant.call("look", segment=silent, frames=4, start_s=2, stop_s=1e300)
    assert structured(sheet)["times_s"] == [3.25, 5.75, 8.25, 10.75]
    assert picture_of(sheet).size == (132, 100)
    assert "at 0:03.2, 0:05.8, 0:08.2, 0:10.8" in sheet.content[0].text
    image = assistant.call("look", segment=assistant.file("1.png"), frames=4, max_side=64)
    assert (picture_of(image).size, structured(image)["times_s"]) == ((64, 48), [])
    link = sheet.content[-1]
    assert (link.uri, link.mime_type) == (f"wave-search://segments/{silent}/file", "video/mp4")
    assert assistant.error("look", segment=silent, start_s=50).startswith("50 to 12 s is not a range of the file")
    assert assistant.error("look", segment=assistant.file("300.flac")).endswith("Use listen.")
    assert assistant.error("look", segment=assistant.file("note0.txt")).endswith("Read it: search returns it.")


def sound_of(answer: CallToolResult) -> tuple[float, float]:
    """The length of a sound in seconds, and its pitch in Hz."""
    (sound,) = (block for block in answer.content if block.type == "audio")
    assert sound.mime_type == "audio/mpeg"
    samples, rate_hz = soundfile.read(io.BytesIO(base64.b64decode(sound.data)))
    return len(samples) / rate_hz, float(np.abs(np.fft.rfft(samples)).argmax() * rate_hz / len(samples))


def test_a_sound_is_heard(assistant: Assistant, monkeypatch: pytest.MonkeyPatch) -> None:
    high = assistant.file("700.flac")
    whole = assistant.call("listen", segment=high)
    assert sound_of(whole) == (pytest.approx(10, abs=0.1), pytest.approx(700, abs=1))
    part = assistant.call("listen", segment=high, start_s=18.5, stop_s=30)
    assert (structured(part)["stop_s"], structured(part)["cut"]) == (21.0, False)
    assert sound_of(part)[0] == pytest.approx(2.5, abs=0.1)
    assert sound_of(assistant.call("listen", segment=assistant.file("talking.mp4")))[1] == pytest.approx(900, abs=2)
    monkeypatch.setattr(schemas, "MAX_LISTEN_S", 2.0)
    cut = assistant.call("listen", segment=high, start_s=1)
    assert (structured(cut)["start_s"], structured(cut)["stop_s"], structured(cut)["cut"]) == (1.0, 3.0, True)
    assert "go on with start_s=3" in cut.content[0].text
    silent = assistant.file("silent.mp4")
    assert "it has no sound. Look at its picture." in assistant.error("listen", segment=silent)
    assert assistant.error("listen", segment=assistant.file("1.png")).endswith("Use look, or read its text.")


def test_subtitles_of_the_range_are_shown(assistant: Assistant, settled: Path) -> None:
    subtitles = "1\n00:00:01,000 --> 00:00:02,000\nHere.\n\n2\n00:00:08,000 --> 00:00:09,000\nThere.\n"
    (settled / "media" / "videos" / "silent.srt").write_text(subtitles)
    with ws.open(settled / "index") as index:
        index.add([settled / "media"])
    assistant.service.library.index().refresh()
    silent = assistant.file("silent.mp4")
    answer = assistant.call("look", segment=silent, start_s=0, stop_s=5)
    assert structured(answer)["subtitles"] == [{"start_s": 1.0, "stop_s": 2.0, "text": "Here."}]
    assert answer.content[0].text.endswith("subtitle 0:01.0-0:02.0: Here.")


def test_a_question_is_answered_as_by_the_library(assistant: Assistant, settled: Path) -> None:
    choices = ["a dog", "a bell", "rain"]
    answer = structured(
        assistant.call("ask", segment=assistant.file("300.flac"), question="What is heard?", choices=choices)
    )
    with ws.load_embedder("wave-tiny") as embedder:
        expected = embedder.ask(settled / "media" / "sounds" / "300.flac", "What is heard?", choices)
    assert [one["answer"] for one in answer["choices"]] == [one.text for one in expected]
    assert [one["score"] for one in answer["choices"]] == pytest.approx([one.score for one in expected], abs=1e-3)
    assert answer["margin"] == pytest.approx(expected[0].score - expected[1].score, abs=1e-3)


def test_the_library_is_described(assistant: Assistant, settled: Path) -> None:
    answer = assistant.call("library")
    described = structured(answer)
    assert described["files"] == {"text": 2, "image": 3, "audio": 3, "video": 2}
    assert (described["model"], described["index"]) == ("wave-tiny", str(settled / "index"))
    assert {str(settled / "media"), str(settled / "media" / "sounds")} <= {one["name"] for one in described["folders"]}
    for condition in described["conditions"]:
        assistant.search(where=condition)
    assert str(settled / "media" / "sounds") in answer.content[0].text


def test_resources_are_read_by_the_id_of_a_segment(assistant: Assistant, settled: Path) -> None:
    sound = assistant.file("500.flac")

    read = assistant.read
    known = json.loads(read(f"wave-search://segments/{sound}").text)
    assert known["file"]["path"] == str(settled / "media" / "sounds" / "500.flac")
    assert json.loads(read("wave-search://library").text)["model"] == "wave-tiny"
    file = read(f"wave-search://segments/{sound}/file")
    assert base64.b64decode(file.blob) == (settled / "media" / "sounds" / "500.flac").read_bytes()
    assert (
        soundfile.info(io.BytesIO(base64.b64decode(read(f"wave-search://segments/{sound}/sound").blob))).format == "MP3"
    )
    picture = base64.b64decode(read(f"wave-search://segments/{assistant.file('1.png')}/picture").blob)
    assert Image.open(io.BytesIO(picture)).format == "JPEG"


@pytest.mark.parametrize(
    "uri",
    [
        "wave-search://segments/999999",
        "wave-search://segments/999999/file",
        "wave-search://segments/1/../../../etc/passwd",
        "wave-search://segments/1/media",
        "wave-search://segments/%31",
        "wave-search://segments/-1",
        "wave-search://segments/\u0661",
        f"wave-search://segments/{10**30}",
        "file:///etc/passwd",
        "",
    ],
)
def test_unknown_resources_are_errors(assistant: Assistant, uri: str) -> None:
    error = assistant.read(uri)
    assert error.code == -32602
    assert "There are wave-search://library" in error.message or "Search again" in error.message


def test_a_large_file_is_not_sent_and_a_changed_one_neither(
    assistant: Assistant, settled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = assistant.file("500.flac")
    uri = f"wave-search://segments/{sound}/file"
    monkeypatch.setattr(resources, "MAX_FILE_BYTES", 1_000)
    remedy = f"more than 1000 B. Read wave-search://segments/{sound}/picture or sound, or open its path."
    assert assistant.read(uri).message.endswith(remedy)
    monkeypatch.undo()
    path = settled / "media" / "sounds" / "500.flac"
    path.unlink()
    path.symlink_to("/etc/passwd")
    assert "it is not the file that was indexed" in assistant.read(uri).message
    assert "it is not the file that was indexed" in assistant.error("listen", segment=sound)
    choices = {"question": "What?", "choices": ["a", "b"]}
    assert "it is not the file that was indexed" in assistant.error("ask", segment=sound, **choices)


def test_a_new_version_is_followed(assistant: Assistant, settled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_library, "REFRESH_S", 0.0)
    before = structured(assistant.call("library"))
    write_sound(settled / "media" / "sounds" / "new.flac", 1.5, 800)
    with ws.open(settled / "index") as index:
        index.add([settled / "media"])
    after = structured(assistant.call("library"))
    assert (after["files"]["audio"], after["index_version"] > before["index_version"]) == (4, True)
    assert sound_of(assistant.call("listen", segment=assistant.file("new.flac")))[1] == pytest.approx(800, abs=1)
