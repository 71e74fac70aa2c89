"""The encoding of a text file is found and named; damage is not taken for another encoding."""

# ruff: noqa: RUF001 -- letters that look like others are meant

from pathlib import Path

import pytest

from feathertune.data.formats.encoding import checked_encoding, encoding_key, encoding_title, find_encoding
from feathertune.data.formats.format import FileSettings
from feathertune.data.formats.opening import open_file
from feathertune.data.rows import BadRow, Row
from feathertune.errors import UserError

# What people write to a shop or read in the news, in the encodings that their programs use.
TEXTS = {
    "cp1252 French": "Où puis-je trouver mon numéro ?|L’écran s’est cassé à la fin…|Réponse rapide, élève motivé",
    "cp1252 German": "Wie kann ich mein Passwort zurücksetzen?|Der Zug fährt pünktlich ab|Straße gesperrt|ÄRGERLICH!",
    "cp1252 Spanish": "¿Dónde está mi pedido?|La batería duró dos días, qué decepción|El presidente anunció más",
    "cp1252 Portuguese": "Quando começa a promoção de verão?|O avião atrasou três horas|Péssimo, não dá",
    "cp1252 Norwegian": "Hvor er pakken min nå?|Den virker ikke, må sendes på mandag|Kjøp aldri her",
    "cp1252 Finnish": "Missä pakettini on?|Hissi ei ole kunnossa tänään|Pääministeri kävi siellä",
    "cp1252 English": "I can’t find it|“Great” product|We’re sorry|It’s Señor Nuñez’s café|only €5",
    "cp1252 pounds": "dropped to £3.50|FREE! £100 prize|Win £1000|£5 each|ok lar",
    "cp1252 degrees": "it was 20° outside|30° and sunny|Windows® is slow|© 2019 by us",
    "cp1252 bullets": "• good food|• bad service|– slow|• never again",
    "iso8859_15 French": "Le prix est de 30 € par mois, très cher|Ça coûte 5 € de plus à l'arrivée|réponse tardive",
    "cp1251 Russian": "Где мой заказ номер 45?|Президент заявил о новых мерах|не работает кнопка|ОЧЕНЬ ПЛОХО!",
    "koi8_r Russian": "Где мой заказ номер 45?|Президент заявил о новых мерах|не работает кнопка|ОЧЕНЬ ПЛОХО!",
    "cp866 Russian": "Где мой заказ номер 45?|Президент заявил о новых мерах|не работает кнопка",
    "cp1251 Ukrainian": "Де моє замовлення номер 45?|Уряд оголосив про нові заходи|кнопка не працює",
    "cp1251 Bulgarian": "Къде е моята поръчка?|Правителството обяви нови мерки|бутонът не работи",
    "cp1250 Polish": "Gdzie jest moje zamówienie?|Rząd ogłosił środki wsparcia|przycisk nie działa",
    "iso8859_2 Polish": "Gdzie jest moje zamówienie?|Rząd ogłosił środki wsparcia|przycisk nie działa",
    "cp1250 Czech": "Kde je moje objednávka číslo 45?|Vláda oznámila nová opatření|tlačítko nefunguje, žádám vrácení",
    "cp1250 Hungarian": "Hol van a rendelésem?|A kormány új intézkedéseket jelentett be, erősödő|nem működik",
    "cp1250 Romanian": "Unde este comanda mea, vă rog?|Guvernul a anunţat măsuri noi|butonul nu funcţionează şi aştept",
    "cp1253 Greek": "Πού είναι η παραγγελία μου;|Η κυβέρνηση ανακοίνωσε νέα μέτρα|το κουμπί δεν λειτουργεί",
    "cp1254 Turkish": "Siparişim nerede?|Hükümet yeni önlemler açıkladı|giriş düğmesi çalışmıyor",
    "cp1255 Hebrew": "איפה ההזמנה שלי?|הממשלה הודיעה על צעדים חדשים|כפתור הכניסה לא עובד",
    "cp1256 Arabic": "أين طلبي؟|أعلنت الحكومة عن إجراءات جديدة|زر الدخول لا يعمل",
    "cp1257 Latvian": "Kur ir mans pasūtījums?|Valdība paziņoja par jauniem pasākumiem|poga nedarbojas",
    "cp874 Thai": "คำสั่งซื้อของฉันอยู่ที่ไหน|รัฐบาลประกาศมาตรการใหม่|ปุ่มเข้าสู่ระบบไม่ทำงาน",
    "cp932 Japanese": "注文した荷物はどこですか？|政府は新しい経済対策を発表した|ボタンが動かない|最高！",
    "euc_jp Japanese": "注文した荷物はどこですか？|政府は新しい経済対策を発表した|ボタンが動かない|最高！",
    "iso2022_jp Japanese": "注文した荷物はどこですか？|政府は新しい経済対策を発表した|ボタンが動かない|最高！",
    "gb18030 Chinese": "央行下调存款准备金率|国足主场击败越南|华为发布新款折叠屏|油价迎来年内首降",
    "cp950 Chinese": "我的訂單在哪裡？|政府宣布了新的經濟措施|登入按鈕不工作|手機螢幕碎了",
    "cp949 Korean": "제 주문은 어디에 있나요?|정부는 새로운 경제 대책을 발표했다|로그인 버튼이 작동하지 않음",
    "mac_roman French": "Où puis-je trouver mon numéro ?|L’écran s’est cassé à la fin|Réponse rapide, élève motivé",
    "cp850 German": "Wie kann ich mein Passwort zurücksetzen?|Der Zug fährt pünktlich um fünf ab|Schöne Grüße, Straße",
    "utf-16 Chinese": "央行下调存款准备金率|国足主场击败越南",
    "utf-16-le English": "where is my order|never again",
    "utf-16-be Chinese": "央行下调存款准备金率|国足主场击败越南",
    "utf-16-le Russian": "Где мой заказ номер 45?|не работает кнопка",
    "utf-32 Greek": "Πού είναι η παραγγελία μου;|το κουμπί δεν λειτουργεί",
    "utf-8-sig French": "déjà vu|élève",
}


@pytest.mark.parametrize("case", TEXTS)
def test_texts_of_many_languages_are_read_as_they_were_written(tmp_path: Path, case: str) -> None:
    encoding, texts = case.split(" ")[0], TEXTS[case].split("|") * 4
    path = tmp_path / "a.csv"
    path.write_bytes(
        ("text,label\n" + "".join(f'"{text}",{index % 2}\n' for index, text in enumerate(texts))).encode(encoding)
    )
    rows = list(open_file(path, FileSettings()).tables["train"].read(None))
    assert [row.fields["text"] for row in rows if isinstance(row, Row)] == texts


def test_the_encoding_is_named_as_people_know_it() -> None:
    titles = {"cp1252": "Windows-1252", "cp932": "Shift JIS", "koi8_r": "KOI8-R", "iso8859_2": "ISO-8859-2"}
    assert {name: encoding_title(name) for name in titles} == titles
    for name in ("cp1252", "cp932", "cp949", "cp950", "koi8_r", "iso8859_2", "mac_roman", "utf-16-le"):
        assert checked_encoding(encoding_key(name)) == name  # what is proposed can be typed


def test_an_encoding_is_taken_by_the_name_that_browsers_know() -> None:
    assert [checked_encoding(name) for name in ("Latin-1", "ISO-8859-1", "windows-1252", "cp1252")] == ["cp1252"] * 4
    assert [checked_encoding(name) for name in ("UTF8", "utf-8-sig", "ASCII")] == ["utf-8"] * 3
    assert [checked_encoding(name) for name in ("gbk", "sjis", "euc-kr")] == ["gb18030", "cp932", "cp949"]


@pytest.mark.parametrize("name", ["uft-8", "base64", "idna", "undefined", "a\0b", "", "ж"])
def test_an_unknown_encoding_is_one_clear_error(name: str) -> None:
    with pytest.raises(UserError, match="there is no encoding") as caught:
        checked_encoding(name)
    assert ("did you mean 'utf-8'" in str(caught.value)) == (name == "uft-8")


def many(row: str, count: int = 200) -> bytes:
    return (row * count).encode()


DAMAGED = {
    "one byte": b"text,label\n" + many("a fine day,yes\n") + b"caf\xe9 late,yes\n",
    "one byte in three rows": b"text,label\na,x\nb\xff,y\nc,x\n",
    "a sentence": b"text,label\n" + many("a fine day,yes\n") + "L’élève a été très déçu à Nîmes,no\n".encode("cp1252"),
    "among other letters": b"text,label\n" + many("déjà vu,yes\n", 20) + "déçu,no\n".encode("cp1252") * 10,
    "two files joined": b"text,label\n" + many("déjà vu,yes\n", 20) + "déçu,no\n".encode("cp1252") * 60,
    "beyond what is looked at": b"text,label\n" + many("a fine day,yes\n", 100_000) + b"caf\xe9 late,yes\n",
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_few_bytes_that_are_not_utf_8_are_damage_whose_rows_are_named(tmp_path: Path, case: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(DAMAGED[case])
    table = open_file(path, FileSettings()).tables["train"]
    assert table.format is not None
    assert table.format.encoding == "utf-8"
    bad = next(row for row in table.read(None) if isinstance(row, BadRow))
    line = next(number for number, line in enumerate(DAMAGED[case].split(b"\n"), 1) if not is_utf_8(line))
    assert bad.place == f"{path}:{line}"
    assert "data.on_bad_row=skip" in str(bad.fix)
    assert "data.encoding=windows-1252" in str(bad.fix)


def is_utf_8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_a_small_file_may_be_in_another_encoding_all_the_same() -> None:
    assert find_encoding("text,label\nГде мой заказ?,yes\nкнопка,no\n".encode("cp1251"), whole=True) == "cp1251"


def test_a_file_that_is_cut_within_a_character_is_utf_8_nevertheless() -> None:
    text = "déjà vu,yes\n".encode() * 10
    for end in range(len(text) - 12, len(text)):
        assert find_encoding(text[:end], whole=False) == "utf-8"


def test_bytes_that_are_not_of_a_wide_encoding_are_a_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    good = "text,label\na\ufffdb,x\n"  # a replacement character that is in the text itself
    path.write_bytes(good.encode("utf-16") + b"\x00\xd8" + "c,y\nd,x\n".encode("utf-16-le"))
    rows = list(open_file(path, FileSettings()).tables["train"].read(None))
    assert [row.fields["text"] for row in rows if isinstance(row, Row)] == ["a\ufffdb", "d"]
    assert [row.reason for row in rows if isinstance(row, BadRow)] == ["not valid UTF-16, at position 1"]


def test_the_users_encoding_is_used_and_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for content, encoding in [
        (b"text,label\ncaf\xe9,x\n", "latin-1"),
        ("\ufefftext,label\ncafé,x\n".encode("utf-16-le"), "utf-16-le"),
    ]:
        path.write_bytes(content)
        (row,) = open_file(path, FileSettings(encoding=encoding)).tables["train"].read(None)
        assert isinstance(row, Row)
        assert row.fields == {"text": "café", "label": "x"}


def test_a_nul_byte_is_named_without_advice_about_encodings(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"text,label\na,x\nb\0,y\n")
    (bad,) = [row for row in open_file(path, FileSettings()).tables["train"].read(None) if isinstance(row, BadRow)]
    assert (bad.place, bad.reason, bad.fix) == (f"{path}:3", "a NUL byte at position 2 of line 3", None)


def test_lines_of_old_macintoshes_may_have_other_line_ends_in_quotes(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'text,label\r"two\nlines",x\rb,y\r')
    rows = list(open_file(path, FileSettings()).tables["train"].read(None))
    assert [row.fields["text"] for row in rows if isinstance(row, Row)] == ["two\nlines", "b"]
