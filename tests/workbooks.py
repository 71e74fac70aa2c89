"""Workbooks for tests, written as the XML they are: xlsx as Excel does (shared texts) or plainly (inline), and ods."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

Rows = Sequence[Sequence[object]]

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_DATE_STYLE = 1  # the second of the styles


class Error(str):
    """A cell with an error, such as Error('#N/A')."""


class Date(float):
    """A cell with a date: days since the end of 1899."""


def xlsx(sheets: dict[str, Rows], *, shared: bool = False, hidden: Sequence[str] = ()) -> bytes:
    """An xlsx file: sheet name -> rows; None leaves a cell out."""
    texts: list[str] = []
    parts = {f"xl/worksheets/sheet{number}.xml": _sheet(rows, texts, shared) for number, rows in _numbered(sheets)}
    listed = "".join(
        f"<sheet name={quoteattr(name)} sheetId='{number}' r:id='rId{number}'"
        f" state='{'hidden' if name in hidden else 'visible'}'/>"
        for number, name in enumerate(sheets, 1)
    )
    parts["xl/workbook.xml"] = f"<workbook xmlns='{_MAIN}' xmlns:r='{_OFFICE}'><sheets>{listed}</sheets></workbook>"
    targets = {f"rId{number}": ("worksheet", f"worksheets/sheet{number}.xml") for number, _ in _numbered(sheets)}
    targets |= {"styles": ("styles", "styles.xml"), "texts": ("sharedStrings", "sharedStrings.xml")}
    parts["xl/_rels/workbook.xml.rels"] = _relations(targets)
    parts["_rels/.rels"] = _relations({"rId1": ("officeDocument", "xl/workbook.xml")})
    parts["[Content_Types].xml"] = f"<Types xmlns='{_PACKAGE}/content-types'/>"
    styles = "<cellXfs count='2'><xf numFmtId='0'/><xf numFmtId='14'/></cellXfs>"
    parts["xl/styles.xml"] = f"<styleSheet xmlns='{_MAIN}'>{styles}</styleSheet>"
    items = "".join(f"<si><t xml:space='preserve'>{escape(text)}</t></si>" for text in texts)
    parts["xl/sharedStrings.xml"] = f"<sst xmlns='{_MAIN}'>{items}</sst>"
    return zipped(parts)


def ods(sheets: dict[str, Rows]) -> bytes:
    """An ods file of texts, numbers and booleans."""
    tables = "".join(
        f"<table:table table:name={quoteattr(name)}>"
        + "".join(f"<table:table-row>{''.join(map(_ods_cell, row))}</table:table-row>" for row in rows)
        + "</table:table>"
        for name, rows in sheets.items()
    )
    space = "urn:oasis:names:tc:opendocument:xmlns"
    names = " ".join(f"xmlns:{name}='{space}:{name}:1.0'" for name in ("office", "table", "text"))
    body = f"<office:body><office:spreadsheet>{tables}</office:spreadsheet></office:body>"
    content = f"<office:document-content {names}>{body}</office:document-content>"
    manifest = f"<manifest:manifest xmlns:manifest='{space}:manifest:1.0'/>"
    mime = "application/vnd.oasis.opendocument.spreadsheet"
    return zipped({"mimetype": mime, "content.xml": content, "META-INF/manifest.xml": manifest})


def zipped(parts: dict[str, str]) -> bytes:
    """A zip archive of texts."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text if name == "mimetype" else f"<?xml version='1.0' encoding='UTF-8'?>{text}")
    return file.getvalue()


def column_name(index: int) -> str:
    """The letters of a 0-based column: 0 is A, 26 is AA."""
    return (column_name(index // 26 - 1) if index >= 26 else "") + chr(ord("A") + index % 26)


def _numbered(sheets: dict[str, Rows]) -> list[tuple[int, Rows]]:
    return list(enumerate(sheets.values(), 1))


def _relations(targets: dict[str, tuple[str, str]]) -> str:
    listed = "".join(
        f"<Relationship Id='{key}' Type='{_OFFICE}/{kind}' Target='{to}'/>" for key, (kind, to) in targets.items()
    )
    return f"<Relationships xmlns='{_PACKAGE}/relationships'>{listed}</Relationships>"


def _sheet(rows: Rows, texts: list[str], shared: bool) -> str:
    lines = (
        f'<row r="{number}">'
        + "".join(_cell(f"{column_name(index)}{number}", cell, texts, shared) for index, cell in enumerate(row))
        + "</row>"
        for number, row in enumerate(rows, 1)
    )
    return f"<worksheet xmlns='{_MAIN}'><sheetData>{''.join(lines)}</sheetData></worksheet>"


def _cell(place: str, cell: object, texts: list[str], shared: bool) -> str:
    if cell is None:
        return ""
    if isinstance(cell, Error):
        return f'<c r="{place}" t="e"><v>{cell}</v></c>'
    if isinstance(cell, bool):
        return f'<c r="{place}" t="b"><v>{int(cell)}</v></c>'
    if isinstance(cell, int | float):
        style = f' s="{_DATE_STYLE}"' if isinstance(cell, Date) else ""
        return f'<c r="{place}"{style}><v>{float(cell) if isinstance(cell, Date) else cell!r}</v></c>'
    if shared:
        texts.append(str(cell))
        return f'<c r="{place}" t="s"><v>{len(texts) - 1}</v></c>'
    return f'<c r="{place}" t="inlineStr"><is><t xml:space="preserve">{escape(str(cell))}</t></is></c>'


def _ods_cell(cell: object) -> str:
    if cell is None:
        return "<table:table-cell/>"
    if isinstance(cell, bool):
        return f"<table:table-cell office:value-type='boolean' office:boolean-value='{str(cell).lower()}'/>"
    if isinstance(cell, int | float):
        return f"<table:table-cell office:value-type='float' office:value='{cell!r}'/>"
    return f"<table:table-cell office:value-type='string'><text:p>{escape(str(cell))}</text:p></table:table-cell>"
