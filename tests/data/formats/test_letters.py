"""Encodings are found by the letters of languages, and named."""

import pytest

from feathertune.data.formats.encoding import checked_encoding, encoding_title, find_encoding
from feathertune.errors import UserError

TEXTS = {
    "German": "Schöne Grüße, völlig überteuert\nGröße gut\nNie wieder für den Preis\n",
    "French": "Très bon, j'ai adoré la soirée\nDéçu, l'œuf n'était pas cuit\nOù est passé le garçon ?\n",
    "quotes": "we don\u2019t go\nit\u2019s \u201cgood\u201d\nthey\u2019re late\n",
    "Polish": "Zupa była zimna\nŚwietna obsługa, polecam każdemu\nNigdy więcej tam nie pójdę\n",
    "Czech": "Příliš žluťoučký kůň\nJídlo bylo studené a obsluha špatná\nNedoporučuji, čekali jsme\n",
    "Hungarian": "Nagyon jó étterem\nŐszintén szólva gyűlölöm ezt\nKöszönjük, tökéletes volt\n",
    "Turkish": "Çorba soğuktu ve geç geldi\nBir daha asla gelmeyeceğim\nGüzel bir akşamdı, İyi\n",  # noqa: RUF001
    "Russian": "Фильм был очень хороший\nОбслуживание плохое\nЕда вкусная, но медленно\n",  # noqa: RUF001
    "Japanese": "この映画はとても良かったです\nサービスが悪くて残念でした\nまた来たいと思います\n",
    "Chinese": "这部电影很好看我喜欢\n太差了不推荐给你们\n服务很慢但是菜好吃\n",
    "Korean": "이 영화는 정말 좋았어요\n서비스가 너무 나빴습니다\n음식은 맛있지만 느려요\n",
}


@pytest.mark.parametrize(
    ("language", "encoding", "title"),
    [
        ("German", "cp1252", "Windows-1252"),
        ("German", "iso8859_1", "Windows-1252"),
        ("German", "cp850", "CP850"),
        ("French", "cp1252", "Windows-1252"),
        ("French", "mac_roman", "Mac Roman"),
        ("quotes", "cp1252", "Windows-1252"),
        ("quotes", "mac_roman", "Mac Roman"),
        ("Polish", "cp1250", "Windows-1250"),
        ("Polish", "iso8859_2", "ISO-8859-2"),
        ("Czech", "cp1250", "Windows-1250"),
        ("Hungarian", "cp1250", "Windows-1250"),
        ("Turkish", "cp1254", "Windows-1254"),
        ("Russian", "cp1251", "Windows-1251"),
        ("Russian", "koi8_r", "KOI8-R"),
        ("Japanese", "cp932", "Shift JIS"),
        ("Japanese", "euc_jp", "EUC-JP"),
        ("Chinese", "gb18030", "GB18030"),
        ("Korean", "cp949", "EUC-KR"),
        ("Polish", "utf-8", "UTF-8"),
        ("Polish", "utf-16", "UTF-16"),
        ("German", "utf-16-le", "UTF-16-LE"),
    ],
)
def test_an_encoding_is_found_and_named(language: str, encoding: str, title: str) -> None:
    text = TEXTS[language] * 4
    found = find_encoding(text.encode(encoding), whole=True)
    assert text.encode(encoding).decode(found).lstrip("\ufeff") == text
    assert encoding_title(found) == title


@pytest.mark.parametrize("text", list(TEXTS.values()))
def test_a_cut_letter_at_the_end_of_the_sample_is_no_damage(text: str) -> None:
    data = (text * 4).encode()
    assert {find_encoding(data[:end], whole=False) for end in range(len(data) - 9, len(data))} == {"utf-8"}


def test_one_damaged_line_among_many_is_still_utf_8() -> None:
    assert find_encoding("naïve\n".encode() * 9 + b"caf\xe9\n", whole=True) == "utf-8"


def test_an_encoding_that_does_not_exist_is_refused() -> None:
    assert checked_encoding("latin-1") == "cp1252"
    with pytest.raises(UserError, match="did you mean 'windows-1252'"):
        checked_encoding("windows-1525")
