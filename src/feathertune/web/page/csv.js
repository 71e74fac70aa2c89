// Tables as text: what a person drops on the page, and what the page gives back.

/** The rows of a csv or tsv text, by RFC 4180; the separator is the one that the first line has most of. */
export function parse(text) {
  text = text.replace(/^\ufeff/, "");
  const first = text.slice(0, (text.search(/\r|\n/) + 1 || text.length + 1) - 1);
  const count = (separator) => first.split(separator).length;
  const separator = [",", ";", "\t", "|"].reduce((best, one) => (count(one) > count(best) ? one : best));
  const rows = [];
  let row = [], cell = "", quoted = false;
  const endCell = () => { row.push(cell); cell = ""; };
  const endRow = () => { endCell(); if (row.some((one) => one.trim())) rows.push(row); row = []; };
  for (let at = 0; at < text.length; at++) {
    const sign = text[at];
    if (quoted) {
      if (sign !== '"') cell += sign;
      else if (text[at + 1] === '"') { cell += '"'; at++; }
      else quoted = false;
    } else if (sign === '"' && !cell) quoted = true;
    else if (sign === separator) endCell();
    else if (sign === "\n" || sign === "\r") { if (sign === "\r" && text[at + 1] === "\n") at++; endRow(); }
    else cell += sign;
  }
  if (quoted) throw new Error("a quote is opened in the file and never closed");
  if (cell || row.length) endRow();
  return rows;
}

/** Whether the first row has names: no cell of it is empty, a number or long, and none occurs below in its column. */
export function hasHeader(rows) {
  if (rows.length < 2) return false;
  return rows[0].every((name, column) =>
    name.trim() && !/^[-+]?[\d.,]+$/.test(name) && name.length <= 40 &&
    !rows.slice(1, 200).some((row) => row[column] === name));
}

/** The column with the longest texts, by their mean over the first rows. */
export function textColumn(rows) {
  const sample = rows.slice(0, 200), width = Math.max(...sample.map((row) => row.length));
  const total = (column) => sample.reduce((sum, row) => sum + (row[column] ?? "").length, 0);
  return [...Array(width).keys()].reduce((best, one) => (total(one) > total(best) ? one : best));
}

/** Rows as csv. A cell that a spreadsheet would compute is written behind an apostrophe. */
export function format(rows) {
  const cell = (value) => {
    if (typeof value === "number") return String(value);
    const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return rows.map((row) => row.map(cell).join(",") + "\r\n").join("");
}
