// The answers of one to three models: table, counts, times, words that mattered, csv. Texts reach the document as text.

import { format } from "./csv.js";

const SHOWN = 200; // rows of the table; the csv has all
const FAINTEST = 0.05; // of the weight of the strongest word; what is below stays unmarked
const $ = (id) => document.getElementById(id);

export const percent = (probability) => `${(100 * probability).toFixed(1)}%`;
export const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
export const seconds = (passed) => (passed < 1000 ? `${Math.round(passed)} ms` : `${(passed / 1000).toFixed(1)} s`);

export function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

export class Results {
  #rows = new Map(); // index of a text -> its row in the table: {line, text, cells: one for each model}

  /** `complain` gets an error of a request for words. */
  constructor(models, texts, complain) {
    Object.assign(this, { models, texts, complain });
    this.answers = models.map(() => []);
    this.times = models.map(() => null);
    this.names = models.map((model) => model.info.model_id);
    $("rows").replaceChildren();
    $("method").hidden = true;
    $("only").checked = false;
    $("only-row").hidden = models.length === 1;
    const heads = models.length === 1 ? ["Label", "Probability", "Words"] : this.names;
    $("heads").replaceChildren(...["Text", ...heads].map((name) => {
      const head = element("th", name);
      head.scope = "col";
      return head;
    }));
  }

  /** Take the next answers of the model with that number. */
  add(number, part) {
    for (const answer of part) {
      const index = this.answers[number].push(answer) - 1;
      if (number === 0 && index < SHOWN && !$("only").checked) this.#addRow(index);
      if (this.#rows.has(index)) this.#fill(this.#rows.get(index), index, number);
    }
    this.#summarize();
  }

  /** The milliseconds that the model with that number took for all texts. */
  finish(number, passed) {
    this.times[number] = passed;
    this.#summarize();
  }

  /** Whether the models give different labels for that text, as far as they have answered. */
  differ(index) {
    return new Set(this.answers.map((answers) => answers[index]?.label).filter((label) => label !== undefined)).size > 1;
  }

  /** Show the first rows again: only those where the models differ, or all. */
  show() {
    const indices = [...this.answers[0].keys()].filter((index) => !$("only").checked || this.differ(index));
    $("rows").replaceChildren();
    this.#rows.clear();
    for (const index of indices.slice(0, SHOWN)) {
      const row = this.#addRow(index);
      this.models.forEach((_, number) => { if (this.answers[number][index]) this.#fill(row, index, number); });
    }
    this.#tellMore(indices.length);
  }

  #addRow(index) {
    const line = element("tr"), text = element("td", this.texts[index]);
    const several = this.models.length > 1;
    const cells = this.models.map((_, number) => {
      const cell = element("td", undefined, several ? "answer" : undefined);
      if (several) cell.dataset.name = this.names[number];
      return cell;
    });
    const row = { text, cells, line };
    this.#rows.set(index, row);
    line.append(text, ...cells);
    $("rows").append(line);
    return row;
  }

  #fill(row, index, number) {
    const answer = this.answers[number][index], probability = answer.probabilities[this.#labels(number).indexOf(answer.label)];
    const meter = element("meter"), value = element(this.models.length > 1 ? "span" : "td", undefined, "number");
    meter.value = probability;
    meter.setAttribute("aria-label", `probability of ${answer.label}`);
    value.append(meter, ` ${percent(probability)}`);
    const button = this.#button(row, index, number);
    if (this.models.length > 1) {
      row.cells[number].replaceChildren(element("span", answer.label, "label"), value, button);
      row.line.classList.toggle("differ", this.differ(index));
      return;
    }
    const words = element("td");
    words.append(button);
    row.cells[0].textContent = answer.label;
    row.line.append(value, words);
  }

  #button(row, index, number) {
    const button = element("button", "Show"), of = this.models.length > 1 ? ` to ${this.names[number]}` : "";
    button.type = "button";
    if (of) button.textContent = "Words";
    button.setAttribute("aria-label", `${button.textContent}: which words mattered${of} in ${this.texts[index].slice(0, 60)}`);
    button.setAttribute("aria-expanded", "false");
    button.addEventListener("click", () => this.#toggle(row, index, number, button));
    return button;
  }

  async #toggle(row, index, number, button) {
    const open = button.getAttribute("aria-expanded") === "true";
    for (const other of row.line.querySelectorAll("button")) other.setAttribute("aria-expanded", "false");
    row.text.textContent = this.texts[index];
    if (this.models.length === 1) button.textContent = open ? "Show" : "Hide";
    if (open) return;
    button.disabled = true;
    try {
      const { words } = await this.models[number].explain(this.texts[index]);
      row.text.replaceChildren(...marked(this.texts[index], words, this.answers[number][index].label));
      $("method").hidden = false;
      button.setAttribute("aria-expanded", "true");
    } catch (error) {
      if (this.models.length === 1) button.textContent = "Show";
      this.complain(error);
    }
    button.disabled = false;
  }

  #labels(number) {
    return this.models[number].info.labels;
  }

  #summarize() {
    $("results").hidden = false;
    const lines = this.models.map((_, number) => this.#summary(number));
    $("summary").replaceChildren(...lines.filter((line) => line).map((line) => element("li", line)));
    this.#tellMore(this.answers[0].length);
  }

  #summary(number) {
    const answers = this.answers[number];
    if (!answers.length) return "";
    const counts = this.#labels(number).map((label) => [label, answers.filter((answer) => answer.label === label).length]);
    const parts = counts.filter(([, times]) => times).map(([label, times]) => `${label}: ${times.toLocaleString("en")}`);
    if (this.models.length === 1) return parts.join(", ");
    const time = this.times[number], each = time / answers.length;
    const took = time === null ? "" : `; ${seconds(time)}, ${each < 10 ? each.toFixed(1) : Math.round(each)} ms a text`;
    const others = answers.filter((answer, index) => answer.label !== this.answers[0][index].label).length;
    const apart = number === 0 ? "" : `; another label than ${this.names[0]} for ${count(others, "text")}`;
    return `${this.names[number]}: ${parts.join(", ")}${took}${apart}`;
  }

  #tellMore(all) {
    $("more").hidden = all <= SHOWN;
    $("more").textContent = `The table shows the first ${SHOWN} of ${count(all, "text")}; the csv has all.`;
  }

  /** All answers as csv. */
  csv() {
    const several = this.models.length > 1;
    const heads = this.models.flatMap((_, number) => {
      const of = several ? ` by ${this.names[number]}` : "";
      return [`label${of}`, ...this.#labels(number).map((label) => `p(${label})${of}`)];
    });
    const rows = this.answers[0].map((_, index) => [
      this.texts[index],
      ...this.answers.flatMap((answers, number) => {
        const answer = answers[index]; // the last models may have been stopped
        return answer ? [answer.label, ...answer.probabilities] : ["", ...this.#labels(number).map(() => "")];
      }),
    ]);
    return format([["text", ...heads], ...rows]);
  }
}

/** The text with its words marked by their weights for the label. */
function marked(text, words, label) {
  const signs = [...text], most = Math.max(...words.map((word) => Math.abs(word.weight)), 1e-9), pieces = [];
  let at = 0;
  for (const word of words.filter((one) => Math.abs(one.weight) >= FAINTEST * most)) {
    pieces.push(signs.slice(at, word.start).join(""));
    const mark = element("mark", signs.slice(word.start, word.end).join(""), word.weight < 0 ? "against" : "for");
    const points = Math.abs(100 * word.weight).toFixed(1);
    mark.style.setProperty("--strength", Math.round((35 * Math.abs(word.weight)) / most));
    mark.title = `without it, ${label} is ${points} points ${word.weight < 0 ? "more" : "less"} probable`;
    pieces.push(mark);
    at = word.end;
  }
  return [...pieces, signs.slice(at).join("")];
}
