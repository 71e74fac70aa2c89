// The page: texts in, answers of one to three models in a table.

import { hasHeader, parse, textColumn } from "./csv.js";
import { Refused } from "./refused.js";
import { count, element, percent, Results, seconds } from "./results.js";

const $ = (id) => document.getElementById(id);
let models = null, file = null, results = null, running = null, openModels, takeKey;

/**
 * Bring the page to life.
 *
 * `open` gives the models, or throws: each has `info`, `classify` and `explain` (see server.js). `setKey` gets the API
 * key that a person has typed.
 */
export function start(open, setKey) {
  openModels = open;
  takeKey = setKey;
  listen();
  $("labels").textContent = "Loading ...";
  describe().catch((error) => {
    $("labels").textContent = "";
    complain(error);
  });
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

async function describe() {
  models = await openModels();
  document.title = $("title").textContent = models[0].info.model_id;
  $("labels").textContent = `Labels: ${models[0].info.labels.join(", ")}.`;
  $("about").replaceChildren(...models.map(({ info }) => {
    const accuracies = Object.entries(info.evaluation ?? {}).filter(([, metrics]) => metrics.accuracy != null);
    const measured = accuracies.map(([split, metrics]) => `${percent(metrics.accuracy)} of ${split} right`).join(", ");
    const about = `${info.method}${info.base ? ` on ${info.base}` : ""}, ${info.precision}${measured && `; ${measured}`}.`;
    return element("li", models.length > 1 ? `${info.model_id}: ${about}` : about);
  }));
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
    models ?? (await describe());
  } catch (error) {
    return complain(error);
  }
  const controller = (running = new AbortController()), started = performance.now();
  results = new Results(models, given, complain);
  $("go").disabled = true;
  $("stop").hidden = false;
  say(`Classifying ${count(given.length, "text")} ...`);
  try {
    for (const number of models.keys()) await ask(number, given, controller.signal);
    const by = models.length > 1 ? ` by ${models.length} models` : "";
    say(`${count(given.length, "text")}${by} in ${seconds(performance.now() - started)}.`);
  } catch (error) {
    if (error.name === "AbortError") say(`Stopped after ${count(results.answers[0].length, "text")}.`);
    else complain(error);
  }
  running = null;
  $("go").disabled = false;
  $("stop").hidden = true;
}

/** The answers of one model: they are asked one after another, so that none slows down the other. */
async function ask(number, given, signal) {
  const started = performance.now(), name = models.length > 1 ? `${models[number].info.model_id}: ` : "";
  await models[number].classify(given, signal, (part) => {
    results.add(number, part);
    say(`${name}${count(results.answers[number].length, "text")} of ${given.length.toLocaleString("en")} ...`);
  });
  results.finish(number, performance.now() - started);
}

function download() {
  const link = element("a");
  link.href = URL.createObjectURL(new Blob(["\ufeff", results.csv()], { type: "text/csv" }));
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

function listen() {
  $("form").addEventListener("submit", (event) => { event.preventDefault(); if (!running) classify(); });
  $("texts").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("form").requestSubmit();
  });
  $("stop").addEventListener("click", () => running?.abort());
  $("download").addEventListener("click", download);
  $("only").addEventListener("change", () => results.show());
  $("file").addEventListener("change", () => $("file").files[0] && take($("file").files[0]));
  $("header").addEventListener("change", () => listColumns($("column").value));
  $("remove").addEventListener("click", removeFile);
  $("key").addEventListener("input", () => takeKey($("key").value.trim()));
  document.addEventListener("dragover", (event) => { event.preventDefault(); $("texts").classList.add("dropping"); });
  document.addEventListener("dragleave", () => $("texts").classList.remove("dropping"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    $("texts").classList.remove("dropping");
    if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
  });
}
