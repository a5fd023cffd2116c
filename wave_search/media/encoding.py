"""Decoding of text whose encoding is not declared."""

from __future__ import annotations

import codecs
import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is the beginning of this one
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WIDE = ["utf_16_le", "utf_16_be"]
# fmt: off
_NARROW = [
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "iso8859_15", "iso8859_2",
    "iso8859_5", "iso8859_7", "koi8_r", "koi8_u", "cp850", "cp852", "cp866", "mac_roman", "cp932", "euc_jp", "gb18030",
    "big5", "cp949",
]
"""The most common first. With rarer ones among the candidates, no short text would be certain."""
_ALPHABETS = [
    frozenset(letters)
    for letters in (
        "àâæçéèêëîïôœùûüÿ", "äöüßé", "áéíñóúü", "ãáâàçéêíóôõúü", "àèéìíîòóùú", "åäöéü", "æøåéôòó", "ëïéèöüêáóíç",
        "ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "ăâîşţșț", "čćđšž", "çğıöşüâîû",
        "ąčęėįšųūž", "āčēģīķļņšūž", "äõöüšž", "áðéíóúýþæö",
    )
]
"""The letters beyond a to z of languages in Latin script, which tell their encodings apart."""
# fmt: on
_SIGNS = set("µªº")
"""Letters to Unicode, used as signs in all languages."""
_NEUTRAL = set(map(chr, range(128))) | _SIGNS
_CJK = {"CJK", "HIRAGANA", "KATAKANA", "HANGUL", "IDEOGRAPHIC", "FULLWIDTH"}
_CHUNK_BYTES = 1 << 20
_SAMPLE_BYTES = 32_768
_WORD_BYTES = 128
_CONTROLS = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
_SPACES = (b" ", b"\t", b"\r", b"\n")
_MIN_BYTES = 64
"""Shorter texts are not certain in scripts other than Latin, whose readings their letters tell apart."""
_STRANGE = 0.03
"""Share of the words that may be misspelt, foreign or names."""
_MARGIN = 0.1
_MAX_NAMED = 5
_WORD = re.compile(r"[^\W\d_]+")
_MISPLACED = re.compile(
    r"[\u2500-\u259f]|[^\W\d_][\xa1\xb6\xbf\u02c6\u02dc\u201a\u201e\u2020\u2021]"
    r"|[^\W\d_](?![\xab\xad\xb4\xb7\xbb\u2010-\u2014\u2018\u2019\u2026])[\x80-\xbf\xd7\xf7\u2000-\u2bff][^\W\d_]"
)
"""Box drawing, and signs that no word ends with or contains, as the quotation mark in "sch\u201dn"."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """A text that some bytes could be."""

    encoding: str
    strangeness: float
    """Share of words that are of no language."""
    chaos: float
    """Figure of charset-normalizer: unlikely sequences of characters."""
    coherence: float
    """Figure of charset-normalizer: resemblance to the letter frequencies of a language."""
    in_latin: bool

    def rivals(self, best: _Reading) -> bool:
        """Return whether this could be the true reading, although another is better."""
        if self.in_latin and best.in_latin:  # the figures of such readings hardly differ
            return self.strangeness == best.strangeness
        alike = self.chaos < best.chaos + _MARGIN and self.coherence > best.coherence - 2 * _MARGIN
        return self.strangeness <= _STRANGE and alike


class EncodingError(ValueError):
    """The encoding of a text is not certain, or the text is not in the encoding that it declares.

    Attributes:
        remedy: what a user can do.
    """

    def __init__(self, candidates: list[str], declared: str | None = None) -> None:
        if declared is not None:
            super().__init__(f"not valid {declared.upper()}, which its byte order mark declares")
            self.remedy = "It may be cut off: copy it again, or save it again as UTF-8."
            return
        names = [name.replace("_", "-") for name in candidates[:_MAX_NAMED]]
        super().__init__(f"not text in UTF-8; perhaps in {' or '.join(names)}" if names else "not text in UTF-8")
        option = f" -f {names[0]}" if names else ""
        self.remedy = f"If it is text, convert it to UTF-8, for example with `iconv{option} -t utf-8`."


def detect_encoding(file: BinaryIO) -> str:
    """Return the encoding of a text, with which all of it can be decoded. Reads a file of any size in parts.

    A byte order mark decides, then validity as UTF-8. Any other encoding must be certain, because a wrong one silently
    changes letters: of the readings that charset-normalizer proposes, those made of words that some language could have
    must all be the same text, or one of them must resemble a language much more than the others.

    Args:
        file: can be sought.

    Raises:
        EncodingError: there are several such readings, or none; or it is not valid after its byte order mark.
    """
    file.seek(0)
    head = file.read(_SAMPLE_BYTES)
    marked = next((name for mark, name in _BOMS if head.startswith(mark)), None)
    wide = marked is None and b"\0" in head
    if not wide and _decodes(file, marked or "utf-8"):
        if marked is None and len(head) < _MIN_BYTES and _CONTROLS.search(head):
            raise EncodingError(_WIDE)  # a few CJK characters, whose bytes are all in ASCII
        return marked or "utf-8"
    if marked is not None:
        raise EncodingError([], marked.removesuffix("-sig"))
    lines, rare = (head, b"") if wide else _sample(file)
    if wide:
        readings = [reading for name in _WIDE for reading in _readings(_whole_characters(head, name), [name])]
    else:
        readings = _readings(lines + rare, _NARROW)
    likely = _likely(readings)
    certain = len(likely) == 1 and (len(lines) >= _MIN_BYTES or likely[0].in_latin)
    # A rare byte that is a letter of another script is more likely to be an error than to tell the encoding.
    certain = certain and likely[0].in_latin == _in_latin(lines.decode(likely[0].encoding, "ignore"))
    if certain and likely[0].strangeness <= _STRANGE and _decodes(file, likely[0].encoding):
        return likely[0].encoding
    raise EncodingError([reading.encoding for reading in likely])


def _whole_characters(head: bytes, encoding: str) -> bytes:
    """Return the beginning of a text without a character that is cut off at its end, empty if it is invalid."""
    try:
        return codecs.getincrementaldecoder(encoding)().decode(head).encode(encoding)
    except UnicodeDecodeError:
        return b""


def _decodes(file: BinaryIO, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for chunk in _chunks(file):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    """Yield a file in parts that end with a line, unless it is longer than a sample."""
    file.seek(0)
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk + file.readline(_SAMPLE_BYTES)


def _sample(file: BinaryIO) -> tuple[bytes, bytes]:
    """Return lines that are not ASCII, and the first words with bytes that these lack, from the whole of a text.

    Encodings that agree on the frequent letters of a long text may differ on a rare one.
    """
    lines: list[bytes] = []
    room = _SAMPLE_BYTES
    for whole in (line for chunk in _chunks(file) if not chunk.isascii() for line in chunk.splitlines()):
        if whole.isascii():
            continue
        line = whole[:room]
        if len(line) < len(whole):  # between words, because the cut could fall into a character
            sample = b"\n".join([*lines, line[: line.rfind(b" ") + 1] or line])
            return sample, b"".join(b"\n" + word for word in _rare_words(file, sample))
        lines.append(line)
        room -= len(line)
    return b"\n".join(lines), b""


def _rare_words(file: BinaryIO, sample: bytes) -> Iterator[bytes]:
    missing = {byte for byte in range(128, 256) if byte not in sample}
    for chunk in _chunks(file):
        if chunk.isascii():
            continue
        for byte in sorted(missing):
            at = chunk.find(byte)
            if at >= 0:
                missing.discard(byte)
                yield _word(chunk, at)


def _word(data: bytes, at: int) -> bytes:
    """Return the word around a byte, empty if it is too long to be one."""
    start, stop = max(0, at - _WORD_BYTES), at + _WORD_BYTES
    first = max(data.rfind(space, start, at) for space in _SPACES) + 1
    ends = (data.find(space, at, stop) for space in _SPACES)
    last = min((end for end in ends if end >= 0), default=len(data))
    return data[first:last] if first >= start and last <= stop else b""


def _readings(sample: bytes, encodings: list[str]) -> list[_Reading]:
    """Return the different texts that a sample could be."""
    from charset_normalizer import from_bytes

    found: dict[str, _Reading] = {}
    for match in from_bytes(sample, cp_isolation=encodings, threshold=0.5, preemptive_behaviour=False):
        text, same = str(match), match.could_be_from_charset
        encoding = next((name for name in encodings if name in same), None)
        if encoding is not None and text not in found:
            found[text] = _Reading(encoding, _strangeness(text), match.chaos, match.coherence, _in_latin(text))
    common_first = sorted(found.values(), key=lambda reading: encodings.index(reading.encoding))
    return [reading for reading in common_first if reading.strangeness < 1]


def _likely(readings: list[_Reading]) -> list[_Reading]:
    """Return the readings that cannot be excluded, the best first."""
    ranked = sorted(readings, key=lambda reading: (reading.strangeness, -reading.coherence))
    return [reading for reading in ranked if reading is ranked[0] or reading.rivals(ranked[0])]


def _strangeness(text: str) -> float:
    """Return the share of the words with letters beyond ASCII that are of no language, or not of the same."""
    categories = {unicodedata.category(character) for character in set(text) - set("\t\n\r\f")}
    if categories & {"Cc", "Cn", "Co"} or ("LATIN" in _scripts(text) and "Mn" in categories):
        return 1.0
    words = [word for word in _WORD.findall(text) if not word.isascii()]
    latin = [set(word.replace("İ", "i").lower()) - _NEUTRAL for word in words if _script(word[0]) == "LATIN"]
    foreign = min(sum(not letters <= alphabet for letters in latin) for alphabet in _ALPHABETS)
    strange = sum(not _is_word(word) for word in words) + len(_MISPLACED.findall(text))
    return (foreign + strange) / max(1, len(words))


def _scripts(text: str) -> set[str]:
    """Return the scripts of the letters beyond ASCII."""
    return {_script(character) for character in set(text) if character.isalpha() and not character.isascii()}


def _in_latin(text: str) -> bool:
    return _scripts(text) <= {"LATIN"}


def _is_word(word: str) -> bool:
    """Return whether a word is in one script and not capitalised in the middle; in CJK scripts, words touch."""
    of_cjk = sum(_script(letter) == "CJK" for letter in word)
    if of_cjk:
        return of_cjk == len(word) or (of_cjk > 1 and {_script(letter) for letter in word} == {"CJK", "LATIN"})
    return len({_script(letter) for letter in word}) == 1 and (word[1:] == word[1:].lower() or word == word.upper())


@cache
def _script(letter: str) -> str:
    """Return the first word of the Unicode name, which is that of the script."""
    if letter in _SIGNS:
        return "LATIN"
    script = unicodedata.name(letter, "").replace("-", " ").partition(" ")[0]
    return "CJK" if script in _CJK else script
