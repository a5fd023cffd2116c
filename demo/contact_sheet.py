"""Draw the searches of `demo/run.sh` as one image, with a query and its best hits per row.

python demo/contact_sheet.py demo/index demo/contact-sheet.webp
"""

from __future__ import annotations

import argparse
import logging
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

import wave_search as ws

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MEDIA = Path("demo/media")
HITS = 4
WEAK_Z = 2.5
FULL_Z = 8.0
"""At this z, a bar has its full length."""
RATE_HZ = 16_000

# Twice the size at which a README shows it, for displays of high density.
PICTURE, SMALL_PICTURE, HALF_PICTURE = (308, 158), (236, 122), (120, 122)
QUERY_WIDTH, ROW_HEIGHT, GAP, MARGIN = 400, 244, 18, 32
INK, FAINT, PAPER, CARD, BAR = (28, 30, 36), (110, 114, 124), (255, 255, 255), (238, 242, 249), (38, 98, 178)
NO_BAR = (222, 225, 231)
KINDS = {"image": "photograph", "video": "film", "audio": "sound", "av": "film with sound", "text": "text"}


@dataclass(frozen=True)
class Search:
    """One row: what is asked for.

    Args:
        title: what the search is an example of.
        target: modality of the hits.
        terms: texts and files by the names that `Index.search` has for them.
    """

    title: str
    target: str
    terms: Mapping[str, str | Path] = field(default_factory=dict)
    instruction: str | None = None


CLIP = MEDIA / "videos/coast_by_train.mp4"
SEARCHES = (
    Search("A sound finds films", "video", {"audio": MEDIA / "sounds/dog-191687.flac"}),
    Search("Words find films", "video", {"text": "the sea"}),
    Search("A photograph finds sounds", "audio", {"image": MEDIA / "images/cat.jpg"}),
    Search("A sound finds photographs", "image", {"audio": MEDIA / "sounds/hen-232495.ogg"}),
    Search("Sound and words", "av", {"audio": MEDIA / "sounds/train-168446.ogg", "text": "the sea"}),
    Search("A clip and a question", "audio", {"av": CLIP}, "What is heard?"),
    Search("The same clip", "video", {"av": CLIP}, "What is seen?"),
    Search("Words find everything", "any", {"text": "church bells"}),
    Search("Nothing like that", "audio", {"text": "a printer"}),
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
            hits = index.search(**search.terms, target=search.target, k=HITS, instruction=search.instruction)
            rows.append(_row(search, hits))
    width = 2 * MARGIN + QUERY_WIDTH + HITS * (GAP + PICTURE[0])
    sheet = Image.new("RGB", (width, 2 * MARGIN + len(rows) * (ROW_HEIGHT + GAP) + 24), PAPER)
    for place, row in enumerate(rows):
        sheet.paste(row, (MARGIN, MARGIN + place * (ROW_HEIGHT + GAP)))
    note = f"z: how far a match stands out from everything unrelated. Paler, below {WEAK_Z}: probably nothing like it."
    ImageDraw.Draw(sheet).text((MARGIN, sheet.height - MARGIN - 20), note, FAINT, _font(22))
    sheet.save(options.picture, quality=72, method=6)


def _row(search: Search, hits: Sequence[ws.Hit]) -> Image.Image:
    row = Image.new("RGB", (QUERY_WIDTH + HITS * (GAP + PICTURE[0]), ROW_HEIGHT), PAPER)
    row.paste(_query(search), (0, 0))
    for place, hit in enumerate(hits):
        row.paste(_hit(hit), (QUERY_WIDTH + GAP + place * (GAP + PICTURE[0]), 0))
    return row


def _query(search: Search) -> Image.Image:
    """Return the card of what is asked for: files as thumbnails, texts and instructions in quotation marks."""
    card = Image.new("RGB", (QUERY_WIDTH, ROW_HEIGHT), CARD)
    draw = ImageDraw.Draw(card)
    draw.text((20, 14), search.title, FAINT, _font(24))
    files = {name: Path(term) for name, term in search.terms.items() if name != "text"}
    for name, path in files.items():
        card.paste(ImageOps.fit(_picture(path, name), SMALL_PICTURE), (20, 54))
        if name == "av":
            card.paste(ImageOps.fit(_spectrogram(path), HALF_PICTURE), (24 + SMALL_PICTURE[0], 54))
    words = search.instruction or search.terms.get("text")
    if not files:
        draw.multiline_text((20, 92), textwrap.fill(f"“{words}”", 20), INK, _font(38))
    else:
        below = f"“{words}”" if search.instruction else f"+ “{words}”" if words else files[next(iter(files))].name
        draw.text((20, 54 + SMALL_PICTURE[1] + 12), below, INK, _font(28 if words else 24))
    return card


def _hit(hit: ws.Hit) -> Image.Image:
    """Return the thumbnail of a hit with its name and z, paler if z is low."""
    tile = Image.new("RGB", (PICTURE[0], ROW_HEIGHT), PAPER)
    at_s = ((hit.start_s or 0.0) + (hit.stop_s or 0.0)) / 2
    tile.paste(ImageOps.fit(_words(hit.text) if hit.text else _picture(hit.path, hit.modality, at_s), PICTURE), (0, 0))
    draw = ImageDraw.Draw(tile)
    draw.text((0, PICTURE[1] + 8), hit.path.name, INK, _font(24))
    of_film = hit.modality == "audio" and hit.path.suffix == ".mp4"
    draw.text((0, PICTURE[1] + 38), "sound of a film" if of_film else KINDS[hit.modality], FAINT, _font(22))
    z = f"z {hit.z:.1f}"
    draw.text((PICTURE[0] - draw.textlength(z, _font(22)), PICTURE[1] + 38), z, FAINT, _font(22))
    top = PICTURE[1] + 70
    draw.rounded_rectangle((0, top, PICTURE[0] - 1, top + 9), 5, NO_BAR)
    filled = round(min(max(hit.z / FULL_Z, 0.0), 1.0) * PICTURE[0])
    if filled > 10:
        draw.rounded_rectangle((0, top, filled - 1, top + 9), 5, BAR)
    return tile if hit.z >= WEAK_Z else Image.blend(tile, Image.new("RGB", tile.size, PAPER), 0.6)


def _picture(path: Path, modality: str, at_s: float = 2.0) -> Image.Image:
    if modality == "image":
        return Image.open(path).convert("RGB")
    return _spectrogram(path) if modality == "audio" else _frame(path, at_s)


def _spectrogram(path: Path) -> Image.Image:
    """Return a spectrogram: loud is dark, low frequencies are at the bottom."""
    samples, window = _sound(path), RATE_HZ // 25
    frames = np.lib.stride_tricks.sliding_window_view(samples, window)[:: window // 2] * np.hanning(window)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    decibels = 10 * np.log10(power.T[::-1] + 1e-9)
    low, high = np.percentile(decibels, (30, 99.5))
    loud = np.clip((decibels - low) / max(high - low, 1e-6), 0, 1)[..., None]
    pixels = (1 - loud) * np.asarray(CARD) + loud * np.asarray((16, 40, 92))
    return Image.fromarray(pixels.astype(np.uint8)).resize(PICTURE)


def _sound(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("flt", "mono", RATE_HZ)
        decoded = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
        return np.concatenate([part.to_ndarray()[0] for part in decoded])


def _frame(path: Path, at_s: float) -> Image.Image:
    with av.open(str(path)) as container:
        earlier = [frame for frame in container.decode(video=0) if (frame.time or 0.0) <= at_s]
        return earlier[-1].to_image()


def _words(text: str) -> Image.Image:
    picture = Image.new("RGB", PICTURE, CARD)
    lines = textwrap.fill(" ".join(text.split()), 24, max_lines=5)
    ImageDraw.Draw(picture).multiline_text((16, 16), lines, INK, _font(22))
    return picture


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


if __name__ == "__main__":
    main()
