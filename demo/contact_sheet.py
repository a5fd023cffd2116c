"""Draw the searches of the demo as one image, with a query and its best hits per row.

python demo/contact_sheet.py demo/index sheet.png
"""

from __future__ import annotations

import argparse
import logging
import textwrap
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import soundfile
from PIL import Image, ImageDraw, ImageFont

import wave_search as ws

MEDIA = Path("demo/media")
WIDTH, HEIGHT, CAPTION = 190, 130, 46
HITS = 4
INK, FAINT, PAPER, MARK = (30, 30, 30), (120, 120, 120), (255, 255, 255), (215, 225, 245)


@dataclass(frozen=True)
class Search:
    """One row."""

    title: str
    target: str
    text: str | None = None
    audio: Path | None = None
    video: Path | None = None
    av: Path | None = None
    instruction: str | None = None
    where: str | None = None


SEARCHES = (
    Search("words to sound", "audio", text="a dog barking"),
    Search("words to sound", "audio", text="a campfire"),
    Search("words to picture", "video", text="a helicopter"),
    Search("sound to picture", "video", audio=MEDIA / "sounds/dog-100032.flac", where="path LIKE '%/scenes/%'"),
    Search("sound to picture", "video", audio=MEDIA / "sounds/rooster-34119.flac"),
    Search("picture to sound", "audio", video=MEDIA / "scenes/clock.mp4"),
    Search("both, asked what is heard", "audio", av=MEDIA / "scenes/dog-in-the-rain.mp4", instruction="What is heard?"),
    Search("both, asked what is seen", "video", av=MEDIA / "scenes/dog-in-the-rain.mp4", instruction="What is seen?"),
)


def main() -> None:
    """Search, draw, save."""
    logging.disable(logging.WARNING)  # warnings of libraries, meant for developers
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("picture", type=Path)
    options = parser.parse_args()
    rows = []
    with ws.open(options.index) as index:
        for search in SEARCHES:
            query = {"text": search.text, "audio": search.audio, "video": search.video, "av": search.av}
            given = {name: value for name, value in query.items() if value is not None}
            hits = index.search(
                **given, target=search.target, k=HITS, instruction=search.instruction, where=search.where
            )
            asked = f"{search.title}\n{search.instruction or next(iter(given))}"
            rows.append([_query(search, asked), *map(_hit, hits)])
    sheet = Image.new("RGB", (WIDTH * (HITS + 1), (HEIGHT + CAPTION) * len(rows)), PAPER)
    for top, tiles in enumerate(rows):
        for left, tile in enumerate(tiles):
            sheet.paste(tile, (left * WIDTH, top * (HEIGHT + CAPTION)))
    sheet.save(options.picture)


def _query(search: Search, asked: str) -> Image.Image:
    file = search.audio or search.video or search.av
    picture = _words(search.text or "") if file is None else _picture(file, "audio" if search.audio else "video")
    return _tile(picture, asked, MARK)


def _hit(hit: ws.Hit) -> Image.Image:
    start_s, stop_s = hit.start_s or 0.0, hit.stop_s or 0.0
    picture = _words(hit.text) if hit.text else _picture(hit.path, hit.modality, (start_s + stop_s) / 2)
    return _tile(picture, f"{hit.rank}. {hit.path.stem}\nz {hit.z:.1f}, score {hit.score:.2f}", PAPER)


def _picture(path: Path, modality: str, at_s: float = 2.0) -> Image.Image:
    if modality == "image":
        return Image.open(path).convert("RGB")
    return _spectrogram(path) if modality == "audio" else _frame(path, at_s)


def _spectrogram(path: Path) -> Image.Image:
    """Return a spectrogram: loud is dark, low frequencies are at the bottom."""
    samples, rate_hz = _sound(path)
    window = rate_hz // 25
    frames = np.lib.stride_tricks.sliding_window_view(samples, window)[:: window // 2] * np.hanning(window)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    decibels = 10 * np.log10(power.T[::-1] + 1e-9)
    low, high = np.percentile(decibels, (30, 99.5))
    shade = 255 - 255 * np.clip((decibels - low) / max(high - low, 1e-6), 0, 1)
    return Image.fromarray(shade.astype(np.uint8)).convert("RGB").resize((WIDTH, HEIGHT))


def _sound(path: Path) -> tuple[np.ndarray, int]:
    if path.suffix == ".flac":
        samples, rate_hz = soundfile.read(path)
        return samples, rate_hz
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray().mean(axis=0) for frame in container.decode(audio=0)]
        return np.concatenate(frames), container.streams.audio[0].rate


def _frame(path: Path, at_s: float) -> Image.Image:
    with av.open(str(path)) as container:
        earlier = [frame for frame in container.decode(video=0) if (frame.time or 0.0) <= at_s]
        return earlier[-1].to_image()


def _words(text: str) -> Image.Image:
    picture = Image.new("RGB", (WIDTH, HEIGHT), (245, 245, 235))
    lines = textwrap.fill(" ".join(text.split()), 24, max_lines=6)
    ImageDraw.Draw(picture).multiline_text((10, 12), lines, INK, ImageFont.load_default(14))
    return picture


def _tile(picture: Image.Image, caption: str, ground: tuple[int, int, int]) -> Image.Image:
    tile = Image.new("RGB", (WIDTH, HEIGHT + CAPTION), ground)
    picture.thumbnail((WIDTH - 10, HEIGHT - 10))
    tile.paste(picture, ((WIDTH - picture.width) // 2, (HEIGHT - picture.height) // 2))
    first, _, second = caption.partition("\n")
    draw = ImageDraw.Draw(tile)
    draw.text((6, HEIGHT), first, INK, ImageFont.load_default(13))
    draw.text((6, HEIGHT + 18), textwrap.shorten(second, 34), FAINT, ImageFont.load_default(12))
    return tile


if __name__ == "__main__":
    main()
