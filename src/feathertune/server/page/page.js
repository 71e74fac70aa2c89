// The page: texts in, answers in a table. Texts reach the document as text only, never as HTML.

import { format, hasHeader, parse, textColumn } from "/page/csv.js";
import { Refused, Server } from "/page/server.js";

const SHOWN = 200; // rows of the table; the csv has all
const FAINTEST = 0.05; // of the weight of the strongest word; what is below stays unmarked
const $ = (id) => document.getElementById(id);
const server = new Server();
let info = null, file = null, answers = [], running = null;

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function say(sentence, wrong = false) {
  $("status").textContent = sentence;
  $("status").classList.toggle("wrong", wrong);
}

function complain(error) {
  if (error instanceof Refused && error.status === 401) {
    $("key-row").hidden = false;
    $("key").focus();
    say("This server wants an API key.", true);
  } else say(error instanceof Refused ? error.message : `The server cannot be reached: ${error.message}`, true);
}

const percent = (probability) => `${(100 * probability).toFixed(1)}%`;
const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

async function describe() {
  info = await server.info();
  document.title = $("title").textContent = info.model_id;
  const accuracies = Object.entries(info.evaluation ?? {}).filter(([, metrics]) => metrics.accuracy != null);
  const measured = accuracies.map(([split, metrics]) => `${percent(metrics.accuracy)} of ${split} right`).join(", ");
  const base = info.base ? ` on ${info.base}` : "";
  $("about").textContent =
    `${info.labels.join(", ")}: ${info.method}${base}, ${info.precision}${measured && `; ${measured}`}.`;
}

function texts() {
  if (!file) return $("texts").value.split(/\r?\n/).filter((line) => line.trim());
  const column = Number($("column").value), rows = file.rows.slice($("header").checked ? 1 : 0);
  return rows.map((row) => row[column] ?? "").filter((text) => text.trim());
}

async function classify() {
  const given = texts();
  if (!given.length) return say("There are no texts yet.", true);
  try {
    info ?? (await describe());
  } catch (error) {
    return complain(error);
  }
  answers = [];
  $("rows").replaceChildren();
  $("method").hidden = true;
  const controller = (running = new AbortController()), started = performance.now();
  $("go").disabled = true;
  $("stop").hidden = false;
  say(`Classifying ${count(given.length, "text")} ...`);
  try {
    await server.classify(given, info.limits, controller.signal, (part) => {
      for (const answer of part) add({ ...answer, text: given[answers.length] });
      summarize(given.length);
      say(`${count(answers.length, "text")} of ${given.length.toLocaleString("en")} ...`);
    });
    const passed = performance.now() - started;
    say(`${count(given.length, "text")} in ${passed < 1000 ? `${Math.round(passed)} ms` : `${(passed / 1000).toFixed(1)} s`}.`);
  } catch (error) {
    if (error.name === "AbortError") say(`Stopped after ${count(answers.length, "text")}.`);
    else complain(error);
  }
  running = null;
  $("go").disabled = false;
  $("stop").hidden = true;
}

function add(answer) {
  answers.push(answer);
  if (answers.length > SHOWN) return;
  const probability = answer.probabilities[info.labels.indexOf(answer.label)];
  const row = element("tr"), shown = element("td", answer.text), meter = element("meter"), number = element("td", "", "number");
  meter.value = probability;
  meter.setAttribute("aria-label", `probability of ${answer.label}`);
  number.append(meter, ` ${percent(probability)}`);
  const words = element("td"), button = element("button", "Show");
  button.type = "button";
  button.setAttribute("aria-label", `Show which words mattered in: ${answer.text.slice(0, 60)}`);
  button.setAttribute("aria-expanded", "false");
  button.addEventListener("click", () => toggle(answer, shown, button));
  words.append(button);
  row.append(shown, element("td", answer.label), number, words);
  $("rows").append(row);
}

function summarize(all) {
  $("results").hidden = false;
  const counts = info.labels.map((label) => [label, answers.filter((answer) => answer.label === label).length]);
  const parts = counts.filter(([, number]) => number).map(([label, number]) => `${label}: ${number.toLocaleString("en")}`);
  $("summary").textContent = parts.join(", ");
  $("more").hidden = all <= SHOWN;
  $("more").textContent = `The table shows the first ${SHOWN}; the csv has all.`;
}

async function toggle(answer, cell, button) {
  if (button.getAttribute("aria-expanded") === "true") {
    cell.textContent = answer.text;
    button.textContent = "Show";
    button.setAttribute("aria-expanded", "false");
    return;
  }
  button.disabled = true;
  try {
    const { words } = await server.explain(answer.text);
    const signs = [...answer.text], most = Math.max(...words.map((word) => Math.abs(word.weight)), 1e-9);
    const pieces = [];
    let at = 0;
    for (const word of words.filter((one) => Math.abs(one.weight) >= FAINTEST * most)) {
      pieces.push(signs.slice(at, word.start).join(""));
      const marked = element("mark", signs.slice(word.start, word.end).join(""), word.weight < 0 ? "against" : "for");
      const points = Math.abs(100 * word.weight).toFixed(1);
      marked.style.setProperty("--strength", Math.round((35 * Math.abs(word.weight)) / most));
      marked.title = `without it, ${answer.label} is ${points} points ${word.weight < 0 ? "more" : "less"} probable`;
      pieces.push(marked);
      at = word.end;
    }
    cell.replaceChildren(...pieces, signs.slice(at).join(""));
    $("method").hidden = false;
    button.textContent = "Hide";
    button.setAttribute("aria-expanded", "true");
  } catch (error) {
    complain(error);
  }
  button.disabled = false;
}

function download() {
  const heads = ["text", "label", ...info.labels.map((label) => `p(${label})`)];
  const rows = answers.map((answer) => [answer.text, answer.label, ...answer.probabilities]);
  const link = element("a");
  link.href = URL.createObjectURL(new Blob(["\ufeff", format([heads, ...rows])], { type: "text/csv" }));
  link.download = "answers.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

async function take(chosen) {
  try {
    const content = new TextDecoder("utf-8", { fatal: true }).decode(await chosen.arrayBuffer());
    const plain = /\.txt$/i.test(chosen.name);
    const rows = plain ? content.split(/\r?\n/).filter((line) => line.trim()).map((line) => [line]) : parse(content);
    if (!rows.length) return say(`${chosen.name} is empty.`, true);
    file = { rows };
    $("header").checked = !plain && hasHeader(rows);
    $("file-name").textContent = `${chosen.name}, ${count(rows.length, "row")}`;
    listColumns(textColumn(rows));
    $("table").hidden = false;
    $("texts").disabled = true;
    say("");
  } catch (error) {
    say(error instanceof TypeError ? `${chosen.name} is not a text in UTF-8.` : `${chosen.name}: ${error.message}.`, true);
  }
}

function listColumns(selected) {
  const width = Math.max(...file.rows.slice(0, 200).map((row) => row.length));
  const options = [...Array(width).keys()].map((column) => {
    const name = $("header").checked ? file.rows[0][column] : undefined;
    const option = element("option", name || `column ${column + 1}`);
    option.value = column;
    return option;
  });
  $("column").replaceChildren(...options);
  $("column").value = selected;
}

function removeFile() {
  file = null;
  $("file").value = "";
  $("table").hidden = true;
  $("texts").disabled = false;
}

$("form").addEventListener("submit", (event) => { event.preventDefault(); if (!running) classify(); });
$("texts").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("form").requestSubmit();
});
$("stop").addEventListener("click", () => running?.abort());
$("download").addEventListener("click", download);
$("file").addEventListener("change", () => $("file").files[0] && take($("file").files[0]));
$("header").addEventListener("change", () => listColumns($("column").value));
$("remove").addEventListener("click", removeFile);
$("key").addEventListener("input", () => { server.key = $("key").value.trim(); });
document.addEventListener("dragover", (event) => { event.preventDefault(); $("texts").classList.add("dropping"); });
document.addEventListener("dragleave", () => $("texts").classList.remove("dropping"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  $("texts").classList.remove("dropping");
  if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
});
describe().catch(complain);
