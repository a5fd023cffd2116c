"""Text is read in the encoding that it is in, or refused: never with other letters."""

from __future__ import annotations

import io
import random

import pytest

from wave_search.media import encoding as detection
from wave_search.media.encoding import EncodingError

GERMAN = "Über den Bäumen fällt der Schnee, und die Größe der Straße überrascht."
FRENCH = "Il a déjà été à la forêt, où les élèves reçoivent une leçon."
SPANISH = "El perro ladró en la mañana; el niño está aquí, ¿qué pasó?"
POLISH = "Pies szczeka, a kogut pieje każdego ranka. Zażółć gęślą jaźń."
CZECH = "Příliš žluťoučký kůň úpěl ďábelské ódy, a pes štěká na dvoře."
TURKISH = "İstanbul'da köpek havlıyor, çocuklar güneşli bahçede ağaçların altında oynuyor."
ENGLISH = "The dog doesn\u2019t bark \u2013 it whispers \u201cquietly\u201d in the caf\u00e9."
RUSSIAN = "Собака лает во дворе, петух кричит каждое утро, и дождь идёт по крыше нашего старого дома."
UKRAINIAN = "Собака гавкає на подвір'ї, щоранку співає півень, а дощ падає на дах їхнього будинку."
GREEK = "Ο σκύλος γαβγίζει στην αυλή, ο κόκορας λαλεί κάθε πρωί και η βροχή πέφτει στη στέγη."
HEBREW = (
    "הכלב נובח בחצר, התרנגול קורא בכל בוקר והגשם יורד על הגג של הבית הישן שלנו ברחוב.\n"
    "אנשים מחכים לרכבת בתחנה והילדים משחקים בגינה ליד הנהר."
)
ARABIC = "الكلب ينبح في الفناء، والديك يصيح كل صباح، والمطر يسقط على سطح البيت القديم في الشارع."
JAPANESE = (
    "犬が庭で吠えています。毎朝おんどりが鳴き、屋根に雨が降ります。カメラは山の上から街を写し、"
    "人々が駅で電車を待っています。今日は天気がいいので、公園を散歩しましょう。"
)
CHINESE = "狗在院子里叫。公鸡每天早上打鸣,雨落在屋顶上。镜头从山上俯瞰城市,人们在车站等火车。"
TAIWANESE = "狗在院子裡叫。公雞每天早上打鳴，雨落在屋頂上。鏡頭從山上俯瞰城市，人們在車站等火車。"
KOREAN = "개가 마당에서 짖는다. 수탉은 매일 아침 울고 비가 지붕에 내린다. 카메라는 산 위에서 도시를 찍는다."


def detect_encoding(data: bytes) -> str:
    return detection.detect_encoding(io.BytesIO(data))


@pytest.mark.parametrize(
    ("text", "encodings"),
    [
        (GERMAN, "utf-8 utf-8-sig utf-16 utf-32 utf-16-le utf-16-be latin-1 cp1252 cp850 mac-roman"),
        (FRENCH, "latin-1 cp1252 utf-16-le"),
        (SPANISH, "latin-1 cp1252"),
        (POLISH, "cp1250 iso8859-2"),
        (CZECH, "cp1250 iso8859-2"),
        (TURKISH, "cp1254"),
        (ENGLISH, "cp1252"),
        (RUSSIAN, "cp1251 koi8-r cp866 iso8859-5 utf-16-le utf-16-be"),
        (UKRAINIAN, "cp1251 koi8-u"),
        (GREEK, "cp1253 iso8859-7"),
        (HEBREW, "cp1255"),
        (ARABIC, "cp1256"),
        (JAPANESE + "\n\u3000", "shift-jis euc-jp utf-16-le utf-16-be utf-8"),
        (CHINESE, "gb18030 gbk"),
        (TAIWANESE, "big5"),
        (KOREAN, "cp949 euc-kr"),
    ],
)
def test_texts_are_read_right(text: str, encodings: str) -> None:
    for encoding in encodings.split():
        data = f"{text}\n".encode(encoding)
        assert data.decode(detect_encoding(data)).rstrip("\n") == text.rstrip("\n"), encoding


@pytest.mark.parametrize("word", ["café", "Größe"])
def test_letters_on_which_the_likely_encodings_agree_are_certain(word: str) -> None:
    data = f"a {word}\n".encode("latin-1")
    assert data.decode(detect_encoding(data)) == f"a {word}\n"


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ("år".encode("latin-1"), "cp1252"),  # or "ĺr" in cp1250
        ("собака".encode("koi8-r"), ""),  # too short
        (GERMAN.encode("utf-8")[:-8] + b"\xff" + GERMAN.encode("latin-1"), ""),
        ("犬".encode("shift-jis"), ""),
        ("下雨了".encode("utf-16-le"), "utf-16-le"),  # also UTF-8, with a control character
        ("niño".encode("mac-roman"), "mac-roman"),
        ("개가 짖는다".encode("euc-kr"), "cp949"),
    ],
)
def test_doubtful_texts_are_refused_with_the_likely_encoding(data: bytes, named: str) -> None:
    with pytest.raises(EncodingError, match=rf"not text in UTF-8(; perhaps in .*{named})?") as raised:
        detect_encoding(data)
    assert "iconv" in raised.value.remedy


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("before", ["a", "ab"])
def test_a_sample_does_not_end_within_a_character(encoding: str, before: str) -> None:
    data = f"{before} {GERMAN} {chr(0x1F436)}\n".encode(encoding) * 1000
    assert detect_encoding(data).replace("_", "-") == encoding


@pytest.mark.parametrize("before", ["a", "ab"])
def test_emoji_are_not_read_in_the_other_byte_order(before: str) -> None:
    """There, they are Chinese characters."""
    dogs = before + chr(0x1F436) * 20_000
    assert detect_encoding(dogs.encode("utf-16-le")) == "utf_16_le"
    with pytest.raises(EncodingError, match="utf-16-be"):
        detect_encoding(dogs.encode("utf-16-be"))


def test_a_borrowed_word_does_not_hide_the_language() -> None:
    text = "Übung für Mädchen: schöne Grüße aus dem Café"
    assert text.encode("cp1252").decode(detect_encoding(text.encode("cp1252"))) == text


def test_a_few_foreign_words_do_not_hide_the_language() -> None:
    data = f"{FRENCH * 20} {GERMAN[:20]}".encode("cp1252")
    assert detect_encoding(data) == "cp1252"


def test_a_long_line_of_ascii_is_read_once() -> None:
    """A search for what is not ASCII from each of its characters would take hours."""
    data = b"-" * 2_000_000 + b"\n" + GERMAN.encode("latin-1")
    assert data.decode(detect_encoding(data)).endswith(GERMAN)


def test_what_is_far_into_a_long_text_counts() -> None:
    data = b"plain words\n" * 100_000 + RUSSIAN.encode("koi8-r")
    assert data.decode(detect_encoding(data)).endswith(RUSSIAN)
    with pytest.raises(EncodingError):
        detect_encoding(FRENCH.encode("cp1252") * 600 + b"\x81")  # which cp1252 does not define


@pytest.mark.parametrize("before", ["un café\n", "un café "])
def test_a_rare_letter_far_into_a_long_text_decides(before: str) -> None:
    """In cp1250, "café" is the same, but "señor" is "seńor"."""
    text = f"{before * 6000}\nel señor y la niña\n"
    assert text.encode("cp1252").decode(detect_encoding(text.encode("cp1252"))) == text


@pytest.mark.parametrize("signs", ["5 µm", "nº 5, 2ª vez", "7 €"])
def test_signs_far_into_a_long_text_are_of_no_other_script(signs: str) -> None:
    text = f"{FRENCH}\n" * 900 + signs
    assert text.encode("cp1252").decode(detect_encoding(text.encode("cp1252"))) == text


def test_the_most_common_of_equal_encodings_is_named() -> None:
    assert detect_encoding("a café".encode("latin-1")) == "cp1252"


@pytest.mark.parametrize(("encoding", "named"), [("utf-16", "UTF-16"), ("utf-8-sig", "UTF-8")])
def test_a_text_that_is_not_in_the_encoding_that_it_declares_is_refused(encoding: str, named: str) -> None:
    with pytest.raises(EncodingError, match=f"not valid {named}, which its byte order mark declares"):
        detect_encoding(GERMAN.encode(encoding) + b"\xff")


@pytest.mark.parametrize("size", [30, 1000, 100_000])
def test_noise_is_no_text(size: int) -> None:
    with pytest.raises(EncodingError):
        detect_encoding(random.Random(size).randbytes(size))
