"""Files whose end is missing: what their headers declare, and that whole files and streams declare no more."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import ANY

import av
import numpy as np
import pytest
import soundfile

from tests.media_samples import Encoding, chord, moving_picture, wav_bytes, write_av, write_frames, write_sound
from wave_search.errors import BrokenMediaError
from wave_search.media import DecoderPool
from wave_search.models.wave.clips import SAMPLING

SECONDS = 8.0


@pytest.fixture(scope="module")
def decoders() -> Iterator[DecoderPool]:
    with DecoderPool(1, SAMPLING) as running:
        yield running


def by_libsndfile(path: Path) -> None:
    kinds = {"aif": "AIFF", "rf64": "RF64", "w64": "W64", "caf": "CAF", "au": "AU"}
    kind = kinds.get(path.suffix[1:], path.suffix[1:].upper())
    with path.open("wb") as file:
        soundfile.write(file, chord(SECONDS, 16_000), 16_000, format=kind)


def by_ffmpeg(codec: str) -> Callable[[Path], object]:
    return lambda path: write_sound(path, chord(SECONDS, 16_000), 16_000, codec)


def video(path: Path) -> None:
    codecs = {".mp4": "libx264", ".mkv": "libx264", ".avi": "mpeg4", ".flv": "flv", ".wmv": "wmv2"}
    codecs |= {
        ".mxf": "mpeg2video",
        ".mpg": "mpeg2video",
        ".wtv": "mpeg2video",
        ".gif": "gif",
        ".ivf": "libvpx",
        ".nut": "mpeg4",
    }
    fps, side = (25, 32) if codecs[path.suffix] == "mpeg2video" else (8, 96)
    pixels = "rgb8" if path.suffix == ".gif" else "yuv420p"
    encoding = Encoding(codecs[path.suffix], fps=fps, key_interval=4, pixel_format=pixels)
    write_frames(path, moving_picture(round(SECONDS * fps), side, side), encoding)
    if path.suffix == ".mp4":
        fast = path.with_suffix(".fast.mp4")
        with av.open(str(path)) as source, av.open(str(fast), "w", options={"movflags": "faststart"}) as target:
            stream = target.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    target.mux(packet)
        fast.rename(path)


WHOLE = {
    "pcm.wav": by_libsndfile, "long.rf64": by_libsndfile, "pcm.aif": by_libsndfile, "pcm.au": by_libsndfile,
    "pcm.caf": by_libsndfile, "pcm.w64": by_libsndfile, "sound.flac": by_libsndfile,
    "constant.mp3": by_ffmpeg("libmp3lame"), "sound.m4a": by_ffmpeg("aac"), "sound.ogg": by_libsndfile,
    "sound.tta": by_ffmpeg("tta"), "sound.wv": by_ffmpeg("wavpack"), "clip.mxf": video,
    "sound.voc": by_ffmpeg("pcm_u8"), "clip.ivf": video,
    "fast.mp4": video, "clip.mkv": video, "clip.avi": video, "clip.flv": video, "clip.wmv": video,
}  # fmt: skip


STREAMS = {"a.aac": "aac", "a.ac3": "ac3", "a.mp2": "mp2", "a.opus": "libopus", "a.ts": "mp2"}
SILENT = {"sound.m4a", "sound.ogg"}
"""Half of these cannot be opened, because the index is at the end, or declares nothing, as a stream does."""
PLAYED_ON = {"sound.flac", "constant.mp3", "sound.ogg", "clip.mkv", "clip.avi"}
"""Two of these in one file are played one after the other."""


@pytest.fixture(scope="module")
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("whole") / request.param
    WHOLE[request.param](path)
    return path


@pytest.mark.parametrize("whole", WHOLE, indirect=True)
def test_a_whole_file_declares_no_more(decoders: DecoderPool, whole: Path) -> None:
    info = decoders.identify(whole)
    assert info.duration_s == pytest.approx(SECONDS, abs=0.3)
    assert info.declared_s is None


@pytest.mark.parametrize("whole", [name for name in WHOLE if name not in SILENT], indirect=True)
def test_a_part_of_a_file_declares_the_whole(decoders: DecoderPool, whole: Path) -> None:
    content = whole.read_bytes()
    part = whole.with_stem("part")
    part.write_bytes(content[: len(content) * 6 // 10])
    info = decoders.identify(part)
    assert info.duration_s is not None
    assert 2.0 < info.duration_s < 7.0
    assert info.declared_s == pytest.approx(SECONDS, abs=0.3)


@pytest.mark.parametrize("whole", sorted(WHOLE.keys() - PLAYED_ON), indirect=True)
def test_another_file_behind_a_whole_one_is_named(decoders: DecoderPool, whole: Path) -> None:
    content = whole.read_bytes()
    joined = whole.with_stem("joined")
    joined.write_bytes(content + content)
    one, info = decoders.identify(whole), decoders.identify(joined)
    assert (info.duration_s, info.declared_s) == (pytest.approx(one.duration_s, abs=1e-3), None)
    (note,) = info.notes
    assert note.cause.endswith(f"only the first is used, as by players: {len(content):,} bytes behind it are not read")
    assert note.remedy == (
        f"Take them out: tail -c +{len(content) + 1} ./{joined.name} > ./{joined.stem}.2{joined.suffix}"
    )
    assert not one.notes


@pytest.mark.parametrize("whole", ["clip.avi"], indirect=True)
def test_a_joined_film_that_players_play_to_the_end_is_indexed_to_the_end(decoders: DecoderPool, whole: Path) -> None:
    joined = whole.with_stem("joined")
    joined.write_bytes(2 * whole.read_bytes())
    info = decoders.identify(joined)
    assert (info.duration_s, info.notes) == (pytest.approx(2 * SECONDS, abs=0.1), ())


@pytest.mark.parametrize("declared", [0x7FFF_FFFF, 0x7FFF_F000, 0xFFFF_FFFF, 0xFFFF_FFFF - 36])
def test_a_placeholder_for_the_length_declares_nothing(decoders: DecoderPool, tmp_path: Path, declared: int) -> None:
    path = tmp_path / "pipe.wav"
    sound = (chord(1.0, 16_000) * 32767).astype(np.int16)
    path.write_bytes(wav_bytes(sound, declared_bytes=declared))
    assert decoders.identify(path).declared_s is None


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_ends_within_a_frame_is_cut_off(decoders: DecoderPool, tmp_path: Path, name: str) -> None:
    path = write_sound(tmp_path / name, chord(SECONDS, 48_000), 48_000, STREAMS[name])
    content = path.read_bytes()
    assert decoders.identify(path).declared_s is None
    path.write_bytes(content + b"TAG" + bytes(125))
    assert decoders.identify(path).declared_s is None
    path.write_bytes(content[: len(content) * 6 // 10 // 188 * 188 + 50])
    info = decoders.identify(path)
    assert info.declared_s == math.inf
    assert info.duration_s == pytest.approx(SECONDS * 0.6, abs=1.1)  # pages of Ogg last a second


@pytest.mark.parametrize(
    ("name", "end_bytes"), [("clip.gif", 0), ("clip.nut", 0), ("clip.mpg", 0), ("clip.wtv", 28_000)]
)
def test_a_film_that_ends_before_its_mark_of_the_end_is_cut_off(
    decoders: DecoderPool, tmp_path: Path, name: str, end_bytes: int
) -> None:
    path = tmp_path / name
    video(path)
    content = path.read_bytes()
    assert decoders.identify(path).declared_s is None
    path.write_bytes(content[: (len(content) - end_bytes) * 6 // 10])
    info = decoders.identify(path)
    assert info.declared_s == math.inf
    assert info.duration_s == pytest.approx(SECONDS * 0.6, abs=1.1)


@pytest.mark.parametrize(("name", "codec", "share"), [("a.m4a", "aac", 0.6), ("a.wtv", "mp2", 0.02)])
def test_a_file_without_the_index_at_its_end_is_refused_for_that(
    decoders: DecoderPool, tmp_path: Path, name: str, codec: str, share: float
) -> None:
    path = write_sound(tmp_path / name, chord(2.0, 48_000), 48_000, codec)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(BrokenMediaError, match="its end is missing, and with it the index"):
        decoders.identify(path)


def test_a_film_that_lost_the_sound_of_its_last_fragment_is_cut_off(decoders: DecoderPool, tmp_path: Path) -> None:
    whole = write_av(tmp_path / "a.mp4", moving_picture(64), 8, chord(SECONDS, 16_000), 16_000)
    path = tmp_path / "fragments.mp4"
    options = {"movflags": "empty_moov+default_base_moof", "frag_duration": "3000000"}
    with av.open(str(whole)) as source, av.open(str(path), "w", options=options) as target:
        streams = [target.add_stream_from_template(stream) for stream in source.streams]
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                target.mux(packet)
    content = path.read_bytes()
    info = decoders.identify(path)
    assert info.declared_s is None
    first, then = content.index(b"moof") - 4, content.rindex(b"moof") - 4
    repeated = tmp_path / "repeated.mp4"  # the description of its tracks is there again, and its clock goes on
    repeated.write_bytes(content[:then] + content[:first] + content[then:])
    assert decoders.identify(repeated) == replace(info, size_bytes=ANY, digest=ANY)
    repeated.write_bytes(2 * content)
    again = decoders.identify(repeated)
    assert (again.duration_s, again.stop_bytes) == (info.duration_s, len(content))
    stop = content.rindex(b"mfra") - 4
    lost = stop - content.rindex(b"mdat")
    path.write_bytes(content[: stop - lost // 2])  # the picture is in front of the sound
    cut = decoders.identify(path)
    assert cut.video == info.video
    assert 6.0 < cut.tracks[0].stop_s < 7.5 < info.tracks[0].stop_s
    assert (cut.duration_s, cut.declared_s) == (info.duration_s, math.inf)


def test_a_stream_without_a_mark_of_its_end_may_be_whole(decoders: DecoderPool, tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.opus", chord(SECONDS, 48_000), 48_000, "libopus")
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"OggS")])
    assert decoders.identify(path).declared_s is None


def test_what_is_not_used_beside_the_rest_is_named(decoders: DecoderPool, tmp_path: Path) -> None:
    film = write_av(tmp_path / "film.ts", moving_picture(8), 8, chord(1.0, 48_000), 48_000)
    assert not decoders.identify(film).notes
    content = film.read_bytes()
    film.write_bytes(content.replace(b"\0\0\1\x68", b"\0\0\1\x6c"))  # no picture parameter set
    info = decoders.identify(film)
    (note,) = info.notes
    assert (info.kind, note.cause) == ("audio", "only its sound can be decoded, not its picture (h264)")
