"""Timelines for editors: OpenTimelineIO, EDL (CMX 3600) and FCPXML, with excerpts in sequence. Does no I/O.

Times count frames of a video, at a standard rate such as 24000/1001 and in its sound, too, and samples of a sound file;
they begin at the source time code of a file that has one. Texts are omitted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from wave_search.errors import UsageError
from wave_search.render.text import printable
from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wave_search.render.export import Excerpt

COLUMNS = ("fps", "sample_rate_hz", "timecode", "width", "height", "channels", "video_codec", "audio_codec")
"""Columns of files that timelines are made from."""
_STILL_S = 5.0
"""Duration of a still image on a timeline, in seconds."""
_STILL_RATE = 25.0
_NTSC_RATES = tuple(1000 * rate / 1001 for rate in (24, 30, 48, 60, 120))
_EDITING_RATES = (*_NTSC_RATES[:2], 24.0, 25.0, 30.0, 50.0, _NTSC_RATES[3], 60.0)
_SAME_RATE = 0.0005
"""Tolerance of rates that containers declare; 24 and 24000/1001 differ by 0.001."""
_TIME_OF_DAY = re.compile(r"(\d\d):(\d\d):(\d\d\.\d{6})")
"""Time code of Broadcast Wave."""
_NO_CHARACTERS = re.compile("[\ufffe\uffff]")
_SEEN = (Modality.VIDEO, Modality.AV, Modality.IMAGE)
_HEARD = (Modality.AUDIO, Modality.AV)
_CHANNELS = {Modality.AV: "B", Modality.AUDIO: "A"}
"""Of an EDL; V for the others."""
_HOUR_S = 3600
_DAY_S = 24 * _HOUR_S


@dataclass(frozen=True, slots=True)
class _Cut:
    """An excerpt, with its place in the time of its file."""

    excerpt: Excerpt
    rate: float
    """Frames, or samples, per second."""
    begin: int
    """Source time code of the beginning of the file, in frames since midnight; 0 without one."""
    start_s: float
    stop_s: float

    @property
    def drops(self) -> bool:
        """Return whether the source time code drops numbers, so that its hours are true ones."""
        return round(self.rate) % 30 == 0 and self.rate < round(self.rate) and ";" in self._timecode

    @property
    def label_s(self) -> float:
        """Return what the source time code shows at the start, as seconds; without one, the time in the file."""
        frame, nominal = self.frame(self.start_s), round(self.rate)
        if not self._timecode:
            return self.start_s
        return (_without_drops(frame, nominal) if self.drops else frame) / nominal

    @property
    def _timecode(self) -> str:
        return str(self.excerpt.columns.get("timecode") or "")

    def frame(self, at_s: float) -> int:
        """Return the frame of a time, in source time code. Rounding both ends keeps adjacent ranges adjacent."""
        return self.begin + round(at_s * self.rate)


def to_otio(excerpts: Sequence[Excerpt], name: str) -> bytes:
    """Return an OpenTimelineIO timeline with a video and an audio track.

    Each clip is the range of an excerpt; its media reference is the whole file, and a marker shows the best segment of
    a hit with its scores.

    Raises:
        UsageError: OpenTimelineIO is not installed.
    """
    otio = _opentimelineio()
    cuts = _cuts(otio, excerpts)
    timeline = otio.schema.Timeline(name)
    for kind, modalities in {"Video": _SEEN, "Audio": _HEARD}.items():
        clips = [_clip(otio, cut) for cut in cuts if cut.excerpt.modality in modalities]
        if clips:
            timeline.tracks.append(otio.schema.Track(kind, kind=kind, children=clips))
    text: str = timeline.to_json_string(indent=2)
    return text.encode()


def _clip(otio: Any, cut: _Cut) -> Any:
    excerpt = cut.excerpt

    def span(start_s: float, stop_s: float) -> Any:
        start, stop = (otio.opentime.RationalTime(cut.frame(at_s), cut.rate) for at_s in (start_s, stop_s))
        return otio.opentime.TimeRange.range_from_start_end_time(start, stop)

    return otio.schema.Clip(
        printable(excerpt.path.name),
        media_reference=otio.schema.ExternalReference(
            excerpt.path.as_uri(), None if excerpt.duration_s is None else span(0.0, excerpt.duration_s)
        ),
        source_range=span(cut.start_s, cut.stop_s),
        markers=[
            otio.schema.Marker(
                peak.name,
                marked_range=span(_or(peak.start_s, cut.start_s), _or(peak.stop_s, cut.stop_s)),
                metadata={"wave-search": dict(peak.scores)},
            )
            for peak in ([] if excerpt.peak is None else [excerpt.peak])
        ],
        metadata={"wave-search": {"modality": excerpt.modality.value}},
    )


def to_edl(excerpts: Sequence[Excerpt], name: str) -> bytes:
    """Return an EDL (CMX 3600) that begins at 01:00:00:00, at the rate of the first excerpt that has a picture.

    Raises:
        UsageError: OpenTimelineIO, which computes time codes, is not installed.
    """
    otio = _opentimelineio()
    cuts = _cuts(otio, excerpts)
    rate, leading = _main_rate(cuts)
    nominal = round(rate)
    # Numbers are dropped where the source drops them, so that its time code reads as it does elsewhere.
    drops = leading is not None and leading.drops and leading.rate == rate

    def code(frame: int) -> str:
        # A time code ends with the day.
        time = otio.opentime.RationalTime(frame % (_DAY_S * nominal - (nominal // 30 * 2592 if drops else 0)), rate)
        return str(otio.opentime.to_timecode(time, rate, drop_frame=drops))

    lines = [f"TITLE: {printable(name)}", f"FCM: {'' if drops else 'NON-'}DROP FRAME"]
    at = otio.opentime.from_timecode("01:00:00;00" if drops else "01:00:00:00", rate).value
    for number, cut in enumerate(cuts, start=1):
        start = cut.frame(cut.start_s)
        if (cut.rate, cut.drops) != (rate, drops):  # the seconds of the time code are kept
            start = round(cut.label_s * nominal)
            start = _with_drops(start, nominal) if drops else start
        length = max(1, round(cut.stop_s * rate) - round(cut.start_s * rate))
        times = " ".join(map(code, (start, start + length, int(at), int(at) + length)))
        channels = _CHANNELS.get(cut.excerpt.modality, "V")
        lines += [
            "",
            f"{number:03d}  AX       {channels:<5} C        {times}",
            f"* FROM CLIP NAME: {printable(cut.excerpt.path.name)}",
            f"* SOURCE FILE: {printable(cut.excerpt.path)}",
        ]
        at += length
    return "".join(f"{line}\n" for line in lines).encode()


def _with_drops(number: int, nominal: int) -> int:
    """Return the frame that a time code with dropped numbers shows as a number, counted without dropping any."""
    minutes = number // (60 * nominal)
    return number - nominal // 15 * (minutes - minutes // 10)


def _without_drops(frame: int, nominal: int) -> int:
    """Return the number that a time code with dropped numbers shows for a frame, counted without dropping any."""
    dropped = nominal // 15  # in every minute but each tenth
    tens, rest = divmod(frame, 600 * nominal - 9 * dropped)
    minutes = max(0, rest - dropped) // (60 * nominal - dropped)
    return frame + dropped * (9 * tens + minutes)


def to_fcpxml(excerpts: Sequence[Excerpt], name: str) -> bytes:
    """Return a project for Final Cut Pro and DaVinci Resolve (FCPXML 1.8), at the rate that an EDL has.

    Raises:
        UsageError: OpenTimelineIO, which reads time codes, is not installed.
    """
    cuts = _cuts(_opentimelineio(), excerpts)
    rate, leading = _main_rate(cuts)
    root = ElementTree.Element("fcpxml", version="1.8")
    resources = _Resources(ElementTree.SubElement(root, "resources"))
    event = ElementTree.SubElement(ElementTree.SubElement(root, "library"), "event", name="wave-search")
    project = ElementTree.SubElement(event, "project", name=_xml_text(name))
    sequence = ElementTree.SubElement(project, "sequence", format=resources.format(rate, leading))
    spine = ElementTree.SubElement(sequence, "spine")
    at = 0
    for cut in cuts:
        length = max(1, round(cut.stop_s * rate) - round(cut.start_s * rate))
        place = {
            "name": _xml_text(cut.excerpt.path.name),
            "offset": _seconds(at, rate),
            "duration": _seconds(length, rate),
        }
        asset = resources.asset(cut)
        if cut.excerpt.modality is Modality.IMAGE:
            element = ElementTree.SubElement(spine, "clip", place)
            ElementTree.SubElement(element, "video", ref=asset, offset="0s", duration=place["duration"])
        else:
            place["start"] = _seconds(cut.frame(cut.start_s), cut.rate)
            if cut.excerpt.modality is not Modality.AV:
                place["srcEnable"] = "audio" if cut.excerpt.modality is Modality.AUDIO else "video"
            element = ElementTree.SubElement(spine, "asset-clip", place, ref=asset)
            if (peak := cut.excerpt.peak) is not None:
                start, stop = cut.frame(_or(peak.start_s, cut.start_s)), cut.frame(_or(peak.stop_s, cut.stop_s))
                length_of_peak = _seconds(max(1, stop - start), cut.rate)
                ElementTree.SubElement(
                    element, "marker", start=_seconds(start, cut.rate), duration=length_of_peak, value=peak.name
                )
        at += length
    sequence.set("duration", _seconds(at, rate))
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE fcpxml>\n{text}\n'.encode()


class _Resources:
    """The formats and files of an FCPXML document, each of them once."""

    def __init__(self, element: ElementTree.Element) -> None:
        self._element = element
        self._known: dict[object, str] = {}

    def format(self, rate: float, cut: _Cut | None) -> str:
        """Return the id of the format with a rate, in frames per second, and the size of a picture."""
        columns = {} if cut is None else cut.excerpt.columns
        size = {name: str(columns[name]) for name in ("width", "height") if columns.get(name)}
        return self._add((rate, *size.values()), "format", {"frameDuration": _seconds(1, rate), **size})

    def asset(self, cut: _Cut) -> str:
        """Return the id of the file of an excerpt."""
        excerpt, columns = cut.excerpt, cut.excerpt.columns
        attributes = {
            "name": _xml_text(excerpt.path.name),
            "src": excerpt.path.as_uri(),
            "start": _seconds(cut.begin, cut.rate),
        }
        attributes["duration"] = _seconds(round((excerpt.duration_s or 0.0) * cut.rate), cut.rate)
        if excerpt.modality in _SEEN or columns.get("video_codec"):
            attributes |= {"hasVideo": "1", "format": self.format(cut.rate, cut)}
        if excerpt.modality in _HEARD or columns.get("audio_codec"):
            named = {"channels": "audioChannels", "sample_rate_hz": "audioRate"}
            attributes |= {"hasAudio": "1", "audioSources": "1"}
            attributes |= {xml: str(columns[own]) for own, xml in named.items() if columns.get(own)}
        return self._add((excerpt.path, cut.rate), "asset", attributes)

    def _add(self, key: object, tag: str, attributes: dict[str, str]) -> str:
        if key not in self._known:
            self._known[key] = f"r{len(self._known) + 1}"
            ElementTree.SubElement(self._element, tag, {"id": self._known[key], **attributes})
        return self._known[key]


def _xml_text(name: str) -> str:
    """Return a name without what XML cannot contain."""
    return _NO_CHARACTERS.sub("\ufffd", printable(name))


def _opentimelineio() -> Any:
    try:
        import opentimelineio
    except ImportError:
        raise UsageError(
            "exporting a timeline requires OpenTimelineIO", "Run: pip install 'wave-search[otio]'"
        ) from None
    return opentimelineio


def _cuts(otio: Any, excerpts: Sequence[Excerpt]) -> list[_Cut]:
    cuts = []
    for excerpt in excerpts:
        if excerpt.modality is not Modality.TEXT:
            rate = _rate(excerpt)
            start_s, stop_s = excerpt.start_s or 0.0, excerpt.stop_s or excerpt.duration_s or _STILL_S
            cuts.append(_Cut(excerpt, rate, _begin(otio, excerpt, rate), start_s, stop_s))
    return cuts


def _main_rate(cuts: Sequence[_Cut]) -> tuple[float, _Cut | None]:
    """Return a rate for all of a timeline, which is one of editing programs, and the excerpt that it is taken from."""
    leading = next((cut for cut in cuts if cut.excerpt.columns.get("fps")), None)
    if leading is None:
        return _STILL_RATE, None
    return min(_EDITING_RATES, key=lambda rate: abs(rate - leading.rate)), leading


def _seconds(frames: int, rate: float) -> str:
    """Return a number of frames in seconds, as FCPXML writes them: "1001/30000s"."""
    time = frames / Fraction(rate).limit_denominator(1001)
    return f"{time.numerator}s" if time.denominator == 1 else f"{time.numerator}/{time.denominator}s"


def _rate(excerpt: Excerpt) -> float:
    """Return the rate of a clip: a standard one near the frame rate of its file, or the sample rate of sound alone."""
    fps, sample_rate_hz = excerpt.columns.get("fps"), excerpt.columns.get("sample_rate_hz")
    if not isinstance(fps, int | float):
        return float(sample_rate_hz) if isinstance(sample_rate_hz, int | float) else _STILL_RATE
    exact = min((*_NTSC_RATES, float(max(round(fps), 1))), key=lambda rate: abs(rate - fps))
    if abs(exact - fps) < _SAME_RATE * fps:
        return exact
    # Of a variable rate, only the average is known.
    return min(_EDITING_RATES, key=lambda rate: abs(rate - fps))


def _begin(otio: Any, excerpt: Excerpt, rate: float) -> int:
    """Return the source time code in frames, or samples, since midnight, 0 if the file has none."""
    timecode = excerpt.columns.get("timecode")
    if not isinstance(timecode, str):
        return 0
    if of_day := _TIME_OF_DAY.fullmatch(timecode):
        hours, minutes, seconds = of_day.groups()
        return round((int(hours) * _HOUR_S + int(minutes) * 60 + float(seconds)) * rate)
    try:
        return int(otio.opentime.from_timecode(timecode, rate).value)
    except ValueError:  # not a time code at this rate
        return 0


def _or(value: float | None, other: float) -> float:
    return other if value is None else value
