"""Containers through PyAV: opening them safely, choosing streams, scanning packets, decoding frames."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from wave_search.errors import BrokenMediaError
from wave_search.media.resync import DECLARING, RAW, adts_frame_s, follow
from wave_search.media.source import CONVERT
from wave_search.media.timeline import AudioScan, PacketClock
from wave_search.media.timing import VideoScan
from wave_search.media.wtv import mended

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from wave_search.media.source import Source
    from wave_search.media.timeline import Reset
    from wave_search.media.timing import VideoPackets

_BUFFER_BYTES = 1 << 20
_MAX_FAILURES = 4_096
"""Failures to read a packet, one after the other, after which the rest is given up. In transport streams, each skips
64 KiB of other bytes."""
_ADTS_BYTES = 7
_MAX_PACKET_S = 60.0
"""Twice the longest packet of sound of any codec. Packets of samples may be longer, and have their size."""
_MISCOUNTED_IN_AVI = frozenset({"eac3", "dts", "vorbis"})
_LONGEST_SAMPLE_S = 1e-3
# fmt: off
_STATEFUL = frozenset({
    "8svx_exp", "8svx_fib", "acelp.kelvin", "comfortnoise", "dfpwm", "dss_sp", "evrc", "g723_1", "g728", "g729", "gsm",
    "gsm_ms", "ilbc", "interplayacm", "mace3", "mace6", "nellymoser", "qcelp", "real_144", "real_288", "shorten",
    "sipr", "speex", "truespeech", "wmavoice",
})
# fmt: on
_DIFFERENTIAL = frozenset({"8svx_exp", "8svx_fib", "dfpwm", "interplayacm", "mace3", "mace6", "shorten"})
_STATE_IN_PACKETS = frozenset({"adpcm_ima_wav", "adpcm_ms", "adpcm_swf"})
_CLOCKED = frozenset({"h261", "h263"})
"""Codecs that state a clock of 29.97 Hz, of which any number of pictures may be left out."""
_UNUSUAL_FPS = 7
_LEAST_BYTES_PER_S = 1_000
"""Of longer packets. Those of a damaged file may declare days."""


def open_container(source: Source, **options: str) -> Any:
    """Open a container as exactly one format, without access to other files or the network.

    Args:
        source: the container.
        options: of FFmpeg, for its format.

    Raises:
        BrokenMediaError: it is not of this format, or its header is damaged.
    """
    import av

    try:
        return av.open(
            mended(source) if source.demuxer == "wtv" else source.reader(),
            format=source.demuxer,
            buffer_size=_BUFFER_BYTES,
            metadata_errors="ignore",
            # A whitelist without any real protocol, so that nothing that a file refers to is opened.
            options={"protocol_whitelist": "none", "format_whitelist": source.demuxer, **options},
        )
    except (av.FFmpegError, ValueError) as error:
        raise BrokenMediaError(
            source.path, f"cannot be opened as {source.demuxer} ({reason(error)})", CONVERT
        ) from error


def reason(error: Exception) -> str:
    """Return the short reason of a library's error, without the file names in it."""
    text = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
    return str(text).splitlines()[0][:120]


def choose_video(container: Any) -> Any | None:
    """Return the video stream that FFmpeg, and therefore decord, considers the best, ignoring attached pictures."""
    from av.stream import Disposition

    streams = [
        stream for stream in _decodable(container.streams.video) if not stream.disposition & Disposition.attached_pic
    ]
    best = container.streams.best("video")
    return best if best in streams else next(iter(streams), None)


def audio_tracks(container: Any) -> list[Any]:
    """Return the audio streams in the order of the file."""
    return _decodable(container.streams.audio)


def is_default(stream: Any) -> bool:
    """Return whether a container says that players should play a stream."""
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.default)


def seeks_bytes(container: Any) -> bool:
    """Return whether a container can be read from any of its packets on, given its position in the file."""
    from av.format import Flags

    scanned = _has(container, Flags.generic_index) or _has(container, Flags.ts_discont)
    return scanned and not _has(container, Flags.no_byte_seek)


def counts_times(container: Any) -> bool:
    """Return whether a format has neither time stamps nor an index: FFmpeg counts its packets from the beginning."""
    from av.format import Flags

    return _has(container, Flags.generic_index) and not _has(container, Flags.ts_discont)


def is_stateful(stream: Any) -> bool:
    """Return whether the decoder of an audio stream never forgets what it decoded before.

    ADPCM and DPCM store differences, and most speech codecs filter by what they filtered before: of a loud tone, a
    fresh start inside the file may make silence, noise, or a constant at full scale. Such streams are decoded from
    their beginning, or as `may_forget` says.
    """
    name = stream.codec_context.codec.name
    if name.startswith("adpcm_") or name.endswith("_dpcm"):
        return name not in _STATE_IN_PACKETS
    return name in _STATEFUL


def may_forget(stream: Any) -> bool:
    """Return whether the decoder of a stream that `is_stateful` filters, and so forgets most sounds after some time.

    One that adds up differences keeps an offset for ever.
    """
    return stream.codec_context.codec.name in _STATEFUL - _DIFFERENTIAL


def has_wrong_stamps(container: Any, stream: Any) -> bool:
    """Return whether the packets of an audio stream follow each other, whatever FFmpeg makes of their time stamps.

    In an AVI, it counts some codecs up to 900 times too fast; in RealMedia of sound only and no duration, it may
    have written the same time everywhere.
    """
    if container.format.name == "avi":
        # A tick is a packet or, if all have the same size, a sample or a byte.
        miscounted = stream.codec_context.codec.canonical_name in _MISCOUNTED_IN_AVI
        return miscounted and float(stream.time_base) > _LONGEST_SAMPLE_S
    return container.format.name == "rm" and not (container.duration or container.streams.video)


def usual_s(container: Any, stream: Any) -> float:
    """Return the duration, in seconds, of packets of an audio stream whose times are counted; 0.0 for other streams.

    Those of raw formats may declare none.
    """
    if has_wrong_stamps(container, stream):
        return float(stream.time_base)
    context = stream.codec_context
    known = container.format.name in RAW and context.sample_rate
    return float((context.frame_size or 0) / context.sample_rate) if known else 0.0


def stamp_and_duration_s(packet: Any, tick_s: float, default_s: float, *, adts: bool) -> tuple[float | None, float]:
    """Return the time stamp of a packet, None if it continues the one before it, and its duration, both in seconds.

    Args:
        packet: of an audio stream.
        tick_s: time base of the stream.
        default_s: for streams whose times are counted, duration of packets that declare none, such as the first ones of
            LATM: FFmpeg reads them before it knows the sample rate, and begins to count only then. Else 0.0.
        adts: whether it is of a raw AAC file. FFmpeg counts such packets at the sample rate of the first one, which is
            wrong after a change of the rate, so the header of each is read instead.
    """
    if adts and packet.size >= _ADTS_BYTES:
        frame_s = adts_frame_s(bytes(memoryview(packet)[:_ADTS_BYTES]))
        if frame_s is not None:
            return None, frame_s
    pts, declared_s = None if default_s else packet.pts, (packet.duration or 0) * tick_s
    plausible = 0 < declared_s <= max(_MAX_PACKET_S, packet.size / _LEAST_BYTES_PER_S)
    return None if pts is None else pts * tick_s, declared_s if plausible else default_s


def is_adts(container: Any) -> bool:
    """Return whether a container is a raw AAC file."""
    return bool(container.format.name == "aac")


def is_broadcast(container: Any) -> bool:
    """Return whether a format is one of broadcasts, whose clocks may be set, and whose recordings are cut together."""
    from av.format import Flags

    return _has(container, Flags.ts_discont)


def is_timed(container: Any) -> bool:
    """Return whether a format has time stamps; raw streams of a codec have none."""
    from av.format import Flags

    return not _has(container, Flags.no_timestamps)


def assumes_rate(source: Source, container: Any) -> bool:
    """Return whether the frame rate of raw video is FFmpeg's default, because the codec states none."""
    if is_timed(container):
        return False
    if container.format.name in _CLOCKED:
        return True
    video = choose_video(open_container(source, framerate=str(_UNUSUAL_FPS)))
    return video is not None and bool(video.guessed_rate == _UNUSUAL_FPS)


def _has(container: Any, flag: Any) -> bool:
    return bool(container.format.flags & flag.value)


def _decodable(streams: Iterable[Any]) -> list[Any]:
    return [stream for stream in streams if stream.codec_context is not None]


def packets(container: Any, streams: list[Any]) -> Iterator[Any]:
    """Read the non-empty packets of some streams, without those that contain bytes of something else."""
    all_packets, demuxer = _all_packets(container, streams), container.format.name
    return _frames(all_packets, demuxer) if demuxer in DECLARING else all_packets


def _all_packets(container: Any, streams: list[Any]) -> Iterator[Any]:
    """Read the non-empty packets of some streams. As players do, go on behind damage that has an end."""
    import av

    failures = 0
    while streams and failures < _MAX_FAILURES:  # without streams, FFmpeg would read all of them
        try:
            for packet in container.demux(streams):
                if packet.size:
                    failures = 0
                    yield packet
            return
        except av.FFmpegError:
            failures += 1
        except IndexError:  # a stream begins in the middle of the file
            return


def _frames(all_packets: Iterable[Any], demuxer: str) -> Iterator[Any]:
    """Drop packets that belong neither to the one before nor to the one after them, and do not count their time."""
    continued, found, dropped = False, False, 0
    for packet, following in itertools.pairwise(itertools.chain(all_packets, [None])):
        continues = following is not None and follow(memoryview(packet), memoryview(following), demuxer)
        found = found or continues
        if found and not continued and not continues:
            dropped += packet.duration or 0
        else:
            if dropped and packet.pts is not None:
                packet.pts -= dropped
            yield packet
        continued = continues


def decode(container: Any, stream: Any, *, from_key: bool = False) -> Iterator[Any]:
    """Decode the frames of one stream from the current position, skipping damaged packets.

    `from_key`: begin with the next key frame, because a seek need not lead to one. Frames that an edit list cuts off
    are decoded, because others may depend on them, but not returned.
    """
    import av

    if not stream.codec_context.is_open:
        # One thread bounds the memory and makes the concealment of damage deterministic.
        stream.codec_context.thread_count = 1
    for packet in packets(container, [stream]):
        if (packet.is_discard and stream.type == "audio") or (from_key and not packet.is_keyframe):
            continue
        from_key = False
        try:
            yield from stream.decode(packet)
        except MemoryError:
            raise
        except av.FFmpegError:
            continue
    try:
        yield from stream.decode(None)
    except av.FFmpegError:
        return


def origin_s(container: Any) -> float:
    """Return the time stamp, in seconds, at which a file begins: the start that players and ffprobe show.

    It is that of the stream that begins first, so sound before the picture belongs to the file.
    """
    import av

    return float((container.start_time or 0) / av.time_base)


def declared_stop_s(container: Any) -> float:
    """Return the end that a container declares, in seconds from the beginning of the file; 0.0 if unknown."""
    import av

    return float(max(container.duration or 0, 0) / av.time_base)


def first_frame(container: Any, stream: Any) -> Any | None:
    """Decode the first frame of a stream, which alone determines rate, channels and size."""
    return next(decode(container, stream), None)


def scan_packets(
    container: Any, video: Any | None, audios: Sequence[Any]
) -> tuple[VideoPackets | None, list[AudioScan], list[Reset]]:
    """Read all packets of some streams, without decoding them.

    Headers may declare any number of frames; only packets are counted.

    Args:
        container: newly opened.
        video: the video stream, if it is needed.
        audios: the audio streams that are needed.

    Returns:
        None for video that is None or has no packets, a summary for each audio stream, and where the clock was set.
    """
    origin = origin_s(container)
    broadcast, adts = is_broadcast(container), is_adts(container)
    # FFmpeg takes the durations of broadcasts from the time stamps, and estimates those of raw streams.
    declared_s = 0.0 if broadcast else declared_stop_s(container)
    estimated = broadcast or container.format.name in RAW
    clock = PacketClock(origin, declared_s, broadcast=broadcast and video is not None)
    scans = {it.index: AudioScan(clock, it, estimated=estimated, usual_s=usual_s(container, it)) for it in audios}
    tick_s = 0.0 if video is None else float(video.time_base)
    pictures = VideoScan(tick_s, timed=is_timed(container))
    video_index = -1 if video is None else video.index
    for packet in packets(container, [*([] if video is None else [video]), *audios]):
        index = packet.stream_index
        if index == video_index:
            pictures.add(packet)
            # Other formats do not store the time of decoding, and FFmpeg guesses it.
            stamp = packet.dts if broadcast else pictures.newest
            if stamp is not None:
                delay = max((packet.pts or stamp) - stamp, 0)
                clock.place(index, stamp * tick_s, 0.0, packet.pos, delay * tick_s)
        elif not packet.is_discard:
            scan = scans[index]
            scan.add(*stamp_and_duration_s(packet, scan.tick_s, scan.usual_s, adts=adts), packet.pos)
    if broadcast and container.start_time is None and pictures.newest is not None:  # of a single frame, it is unknown
        origin = pictures.newest * tick_s
    return pictures.summary(origin, joined=video_index in clock.joined), list(scans.values()), clock.resets
