"""Damage to texts, subtitles and tables: times, lengths, encodings, nesting, numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from random import Random

from tests.hostile.damage import LARGEST_BYTES, some

TextDamage = Callable[[str, Random], str | bytes]

TIMES = (
    *("999:59:59,999", "99999999999:00:00,000", "-00:00:01,000", "00:99:99,999", "00:00:00,000", "00:00:00", ":::"),
    *(
        "1e308",
        "nan",
        "00:00:05",
        "5",
        "\u0663\u0660:\u0660\u0660:\u0660\u0660",
        "00:00:00,99999999999999999999",
        "9" * 5000,
        "0:00:00.00",
    ),
)
NUMBERS = (
    *("0", "-0", "-1", "1e308", "-1e400", "1e-400", "NaN", "Infinity", "-inf", "9" * 20, "9" * 4300, "9" * 5000),
    *("0001-01-01", "9999-12-31T23:59:59.999999Z", "10000-01-01", "2024-02-30", "0x10", "1_000", "\u0663", "TRUE"),
)
CELLS = (
    *("", '"', '""', ",", "\n", "\0", "=1+1", "@SUM(A1)", "é", "e\u0301", "\ufeff", "\u202e", "\x1b[31m", "\udcff"),
    *("[" * 10_000, "x" * 200_000, "../" * 50, "C:\\media\\a.mp4", "file:///etc/passwd", "{}", "[1, [2, [3]]]"),
)
PARTS = (
    *("", "\n\n\n\n", "\r", "\r\n", "\0", "\ufeff", "WEBVTT", "-->", "NOTE", "STYLE", "{\\an8}", "<b>", "&amp;"),
    *("<c.a><00:00:01.000>", "[Events]", "Dialogue: ", "[00:01.00]", "\u2028", "a\u0300" * 5000, "\U0001f436" * 2000),
)
ENCODINGS = ("latin-1", "cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "shift-jis", "koi8-r", "cp037", "utf-7")


def other_times(text: str, chance: Random) -> str:
    """Times that are too long, of no time, or in the wrong order."""
    found = list(re.finditer(r"\d+:\d\d:\d\d[.,]\d+", text))
    for match in chance.sample(found, min(some(chance, 3), len(found)))[::-1]:
        text = text[: match.start()] + chance.choice(TIMES) + text[match.end() :]
    return text


def other_numbers(text: str, chance: Random) -> str:
    found = list(re.finditer(r"\d+", text))
    for match in chance.sample(found, min(some(chance, 3), len(found)))[::-1]:
        text = text[: match.start()] + chance.choice(NUMBERS) + text[match.end() :]
    return text


def inserted(text: str, chance: Random) -> str:
    for _ in range(some(chance, 20)):
        place = chance.randrange(len(text) + 1)
        text = text[:place] + chance.choice((*PARTS, *CELLS, *NUMBERS)) + text[place:]
    return text


def other_lines(text: str, chance: Random) -> str:
    """Lines in another order, doubled, or without the empty ones between them."""
    lines = text.splitlines()
    what = chance.choice(("shuffled", "no empty lines", "more empty lines", "doubled", "one line"))
    if what == "shuffled":
        chance.shuffle(lines)
    elif what == "no empty lines":
        lines = [line for line in lines if line]
    elif what == "more empty lines":
        lines = [part for line in lines for part in (line, "")]
    elif what == "doubled":
        lines = [part for line in lines for part in (line, line)]
    return (" " if what == "one line" else chance.choice(("\n", "\r\n", "\r"))).join(lines)


def enormous(text: str, chance: Random) -> str:
    """The same again and again, with or without blanks and empty lines."""
    unit = chance.choice(
        (text, "word ", "x", "\n", " ", "\n\n-->\n", "1\n00:00:01,000 --> 00:00:02,000\na\n\n", "(", "a-")
    )
    return (unit * (LARGEST_BYTES // 4 // max(1, len(unit))))[: LARGEST_BYTES // 4]


def encoded(text: str, chance: Random) -> bytes:
    """Another encoding, or a mixture of two."""
    data = ("Café naïve, größer: \u201cquoted\u201d. " + text).encode(chance.choice(ENCODINGS), "replace")
    return data + text.encode() if chance.random() < 0.3 else data


TEXT_DAMAGE: tuple[TextDamage, ...] = (other_times, other_numbers, inserted, other_lines, enormous, encoded)


def damaged_text(content: bytes, chance: Random) -> bytes:
    """Damage a text that is UTF-8."""
    changed = chance.choice(TEXT_DAMAGE)(content.decode("utf-8", "replace"), chance)
    return (
        changed
        if isinstance(changed, bytes)
        else changed.encode("utf-8", "surrogateescape" if chance.random() < 0.5 else "replace")
    )


def table(chance: Random, paths: list[str]) -> tuple[str, bytes]:
    """A table of metadata for some paths: the suffix of its file and its content."""
    values = (*CELLS, *NUMBERS, *TIMES, "a", "2", "2024-01-01")
    columns = [
        "path",
        *chance.sample(["n", "when", "label", "path", "duration_s", "", "a b", "é", "x" * 300, "rowid"], 3),
    ]
    rows = [[chance.choice([*paths, *CELLS]), *chance.choices(values, k=3)] for _ in range(some(chance, 30))]
    if chance.random() < 0.5:
        lines = [",".join(columns), *(",".join(map(chance.choice((quoted, str)), row)) for row in rows)]
        suffix, text = ".csv", "\n".join(lines)
    else:
        typed = [{name: typed_value(chance, value) for name, value in zip(columns, row, strict=True)} for row in rows]
        suffix, text = ".jsonl", "\n".join(map(json.dumps, typed))
    content = text.encode("utf-8", "surrogateescape")
    return suffix, damaged_text(content, chance) if chance.random() < 0.3 else content


def quoted(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


def typed_value(chance: Random, value: str) -> object:
    """A value of a JSON table: a text, or one of the other types."""
    deep: object = value
    for _ in range(200):
        deep = [deep]
    return chance.choice((value, value, value, None, True, 1, -1.5, 1e308, 1 << 70, [value], {"a": value}, deep))


CONDITIONS = (
    *(
        "kind = 'video'",
        "duration_s > 1e308",
        "duration_s = 'NaN'",
        "1 = 1 OR",
        "'",
        '"',
        "--",
        "/*",
        ";",
        "1; DROP TABLE files",
    ),
    *(
        "(" * 5000 + "1" + ")" * 5000,
        " AND ".join(["1 = 1"] * 5000),
        "NOT " * 5000 + "true",
        "x" * 100_000,
        "path LIKE '%'",
    ),
    *("regexp_matches(path, '(a*)*b')", "path IN (SELECT path FROM read_csv('/etc/passwd'))", "getenv('HOME') = ''"),
    *(
        "length(repeat('x', 2000000000)) > 0",
        "list_sum(range(10000000000)) > 0",
        "(SELECT count(*) FROM range(100000000000)) > 0",
    ),
    *(
        "CAST('9999999999999' AS INTEGER) > 0",
        "1 / 0 = 1",
        "duration_s::TIMESTAMP > now()",
        "path = '\ud800'",
        "path = '\0'",
    ),
    "(WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t) > 0",
)
"""For `--where`."""
