"""The intact files that hostile ones are made of: those of the demo and of the tests, and a few encoded on the spot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import av
import numpy as np
import soundfile
from PIL import Image

from tests.conftest import CHECKOUT, DEMO_MEDIA
from tests.media_samples import Encoding, chord, moving_picture, write_av, write_frames, write_sound

CASES = CHECKOUT / "tests" / "data" / "cases"
RATE_HZ, FPS = 16_000, 8
HEIGHT, WIDTH = 48, 64
SECONDS = 2.0
WORDS = "A dog barks at the door.\n\nRain falls on a tin roof, and two people talk in a kitchen.\n"
CUES = ("A dog barks.", "Rain on a tin roof,\nand wind.", "Two people talk.")

Maker = Callable[[Path], object]


def picture(seed: int = 0) -> Image.Image:
    return Image.fromarray(moving_picture(1, HEIGHT, WIDTH, seed)[0])


def pictures() -> dict[str, Maker]:
    """Still pictures: format and mode."""
    gradient = np.linspace(0, 1, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)
    save = {
        "rgb.png": picture(),
        "grey16.png": Image.fromarray((gradient * 65535).astype(np.uint16)),
        "palette.png": picture().convert("P"),
        "alpha.png": picture().convert("RGBA"),
        "still.jpg": picture(),
        "cmyk.jpg": picture().convert("CMYK"),
        "lossy.webp": picture(),
        "still.bmp": picture(),
        "still.gif": picture(),
        "rgb.tif": picture(),
        "float.tif": Image.fromarray(gradient),
        "still.avif": picture(),
    }
    makers: dict[str, Maker] = {name: image.save for name, image in save.items()}
    frames = [picture(seed) for seed in range(5)]
    for name in ("moving.gif", "moving.png", "moving.webp"):
        makers[name] = partial(frames[0].save, save_all=True, append_images=frames[1:], duration=200)
    makers["progressive.jpg"] = partial(frames[0].save, progressive=True, exif=rotated_exif())
    makers["deflated.tif"] = partial(frames[0].save, compression="tiff_adobe_deflate")
    return makers


def rotated_exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def sounds() -> dict[str, Maker]:
    """Sound: FFmpeg's encoder for each container, and libsndfile's own."""
    mono, stereo = chord(SECONDS, RATE_HZ), chord(SECONDS, 48_000, 2)
    makers: dict[str, Maker] = {
        name: partial(write_sound, sound=mono, rate_hz=RATE_HZ, codec=codec)
        for name, codec in {
            "pcm.wav": "pcm_s16le",
            "deep.wav": "pcm_s24le",
            "float.wav": "pcm_f32le",
            "law.au": "pcm_mulaw",
            "adpcm.wav": "adpcm_ima_wav",
            "sound.flac": "flac",
            "sound.w64": "pcm_s16le",
            "sound.caf": "pcm_s16be",
            "sound.aiff": "pcm_s16be",
            "sound.m4a": "aac",
            "lossless.m4a": "alac",
            "sound.aac": "aac",
            "layer2.mp2": "mp2",
            "sound.wv": "wavpack",
            "sound.tta": "tta",
        }.items()
    }
    codecs = {"opus": "libopus", "mp3": "libmp3lame", "ac3": "ac3", "mka": "flac"}
    for suffix, codec in codecs.items():
        makers[f"stereo.{suffix}"] = partial(write_sound, sound=stereo, rate_hz=48_000, codec=codec)
    makers["vorbis.ogg"] = lambda path: soundfile.write(path, mono, RATE_HZ, format="OGG", subtype="VORBIS")
    makers["long.rf64"] = lambda path: soundfile.write(path, mono, RATE_HZ, format="RF64")
    return makers


def videos() -> dict[str, Maker]:
    """Video: codec and container, with and without sound."""
    frames = moving_picture(round(SECONDS * FPS), HEIGHT, WIDTH)
    sound = chord(SECONDS, RATE_HZ)
    encodings = {
        "h264.mp4": Encoding(fps=FPS),
        "h264.mov": Encoding(fps=FPS),
        "h264.mkv": Encoding(fps=FPS),
        "h264.flv": Encoding(fps=FPS),
        "h264.3gp": Encoding(fps=FPS),
        "raw.h264": Encoding(fps=FPS),
        "hevc.mp4": Encoding("libx265", {"x265-params": "log-level=none:bframes=2"}, fps=FPS),
        "vp8.webm": Encoding("libvpx", {"deadline": "realtime"}, fps=FPS),
        "vp9.webm": Encoding("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}, fps=FPS),
        "mpeg4.avi": Encoding("mpeg4", fps=FPS),
        "mjpeg.mov": Encoding("mjpeg", pixel_format="yuvj420p", fps=FPS),
        "mpeg2.mpg": Encoding("mpeg2video", fps=25),
        "mpeg2.ts": Encoding("mpeg2video", fps=25),
        "wmv2.wmv": Encoding("wmv2", fps=FPS),
        "ffv1.mkv": Encoding("ffv1", fps=FPS),
    }
    makers: dict[str, Maker] = {
        name: partial(write_frames, frames=frames, encoding=encoding) for name, encoding in encodings.items()
    }
    for name in ("talking.mkv", "talking.mov", "talking.avi"):
        makers[name] = partial(write_av, frames=frames, fps=FPS, sound=sound, rate_hz=RATE_HZ)
    makers["talking.ts"] = partial(remux, make=makers["talking.mkv"], codec="mp2")
    makers["talking.mp4"] = partial(remux, make=makers["talking.mkv"], codec="aac")
    times_s = [0.0, 0.1, 0.2, 0.9, *np.linspace(1, 8, len(frames) - 4)]
    makers["variable.mkv"] = partial(write_frames, frames=frames, times_s=times_s)
    return makers


def remux(path: Path, make: Maker, codec: str) -> None:
    """Copy the picture, and encode the sound for a container that does not take PCM."""
    source_path = path.with_name("source.mkv")
    make(source_path)
    with av.open(str(source_path)) as source, av.open(str(path), "w") as target:
        picture_stream = target.add_stream_from_template(source.streams.video[0])
        sound_stream = target.add_stream(codec, rate=RATE_HZ, layout="mono")
        for packet in source.demux(source.streams.video[0], source.streams.audio[0]):
            if packet.stream.type == "video" and packet.size:
                packet.stream = picture_stream
                target.mux(packet)
            elif packet.stream.type == "audio":
                for frame in packet.decode():
                    target.mux(sound_stream.encode(frame))
        target.mux(sound_stream.encode())
    source_path.unlink()


def texts() -> dict[str, Maker]:
    """Texts and subtitles."""
    srt = "".join(f"{n}\n00:00:0{2 * n},000 --> 00:00:0{2 * n + 1},500\n{cue}\n\n" for n, cue in enumerate(CUES, 1))
    vtt = "WEBVTT\n\n" + srt.replace(",", ".")
    ass = "[Script Info]\nScriptType: v4.00+\n\n[Events]\nFormat: Layer, Start, End, Style, Text\n" + "".join(
        f"Dialogue: 0,0:00:0{n}.00,0:00:0{n + 1}.00,Default,{cue.splitlines()[0]}\n" for n, cue in enumerate(CUES)
    )
    written = {
        "words.txt": WORDS.encode(),
        "words.md": f"# Notes\n\n{WORDS}".encode(),
        "utf16.txt": WORDS.encode("utf-16"),
        "cues.srt": srt.encode(),
        "cues.vtt": vtt.encode(),
        "cues.ass": ass.encode(),
    }
    return {name: partial(Path.write_bytes, data=data) for name, data in written.items()}


@dataclass(frozen=True)
class Originals:
    """Intact files by name, each made when it is first asked for.

    Args:
        folder: where they are made.
    """

    folder: Path
    makers: Mapping[str, Maker]
    made: dict[str, bytes]

    @classmethod
    def in_folder(cls, folder: Path) -> Originals:
        found = [path for path in (*DEMO_MEDIA.rglob("*.*"), *CASES.rglob("*.*")) if path.suffix != ".md"]
        makers = {path.name: partial(copy, source=path) for path in sorted(found)}
        # Small ones: each kind is as frequent as the files of the demo together.
        return cls(folder, {**makers, **pictures(), **sounds(), **videos(), **texts()}, {})

    @property
    def names(self) -> list[str]:
        return list(self.makers)

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        if name not in self.made:
            path = self.folder / name
            self.makers[name](path)
            self.made[name] = path.read_bytes()
        return self.made[name]


def copy(path: Path, source: Path) -> None:
    path.write_bytes(source.read_bytes())
