"""What was shown against what was written: words as they are, numbers nearly, durations, sizes and ids not.

A `z`, with 2 or 4 decimals, may differ by a quarter: it depends on segments that are drawn by their ids, and these on
the order in which files were decoded.
"""

from __future__ import annotations

import re

_VOLATILE = (
    (re.compile(r"\d[\d,.]* (?:B|[KMGT]iB)\b"), "(size)"),
    (re.compile(r"\d[\d,.]* s\b"), "(seconds)"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\+00:00)?"), "(time)"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "(revision)"),
    (re.compile(r"\bversion \d+>"), "version (number)>"),  # of an index: one more for each half minute of indexing
    (re.compile(r'"segment_id": \d+'), '"segment_id": (id)'),
    (re.compile(r"[█▉▊▋▌▍▎▏]+"), "(bar)"),
)
_NUMBER = re.compile(r"(?<![\w.:])-?\d+\.\d+(?![\w.])")
_ELISION = "..."


def differs(shown: str, written: str) -> str | None:
    """Compare a shown output with a real one, line by line; a line of "..." stands for any lines.

    Returns:
        What is different, or None.
    """
    expected, actual = _lines(shown), _lines(written)
    chunks: list[list[str]] = [[]]
    for line in expected:
        if line == _ELISION:
            chunks.append([])
        else:
            chunks[-1].append(line)
    if len(chunks) == 1 and len(expected) != len(actual):
        return f"{len(expected)} lines are shown, {len(actual)} are written:\n{written}"
    at = 0
    for place, chunk in enumerate(chunks):
        fixed = place == 0 or (place == len(chunks) - 1 and chunk)
        starts = [0 if place == 0 else len(actual) - len(chunk)] if fixed else range(at, len(actual))
        start = next((start for start in starts if start >= at and _same_lines(chunk, actual[start:])), None)
        if start is None:
            return "shown is\n" + "\n".join(chunk) + f"\nwritten is\n{written}"
        at = start + len(chunk)
    return None


def _same_lines(expected: list[str], actual: list[str]) -> bool:
    return len(actual) >= len(expected) and all(map(_same, expected, actual))


def _same(expected: str, actual: str) -> bool:
    shown, written = _NUMBER.findall(expected), _NUMBER.findall(actual)
    if _NUMBER.sub("#", expected) != _NUMBER.sub("#", actual):
        return False
    return all(map(_close, shown, written))


def _close(shown: str, written: str) -> bool:
    digits = [len(number.partition(".")[2]) for number in (shown, written)]
    tolerance = 0.25 if digits[0] in (2, 4) else max(1.6 * 10.0 ** -digits[0], 2e-3)
    return (digits[0] == digits[1] or digits[0] > 3) and abs(float(shown) - float(written)) < tolerance


def _lines(text: str) -> list[str]:
    for pattern, name in _VOLATILE:
        text = pattern.sub(name, text)
    return [" ".join(line.split()) for line in text.rstrip().split("\n")]
