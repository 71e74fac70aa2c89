// A model that computes in a worker of this page, as the page uses it (see server.js for the other kind).

import { Refused } from "./refused.js";

const PART = 16; // texts between two reports of progress
const WARM_UP = 5; // texts: a browser compiles wasm quickly at first, and well while it runs
const waiting = new Map(); // number of a request -> what takes its answer
let worker = null, asked = 0;

export class Local {
  /** `folder` is the address of a folder with export.json and the model. */
  constructor(name, folder) {
    this.name = name;
    this.folder = new URL(folder, document.baseURI).href.replace(/\/$/, "");
  }

  /** Load the model; `this.info` is what is known about it. */
  async open() {
    const json = (file) => fetch(`${this.folder}/${file}`).then((response) => response.json());
    const [settings, labels, parity] = await Promise.all(["export.json", "labels.json", "parity.json"].map(json));
    const metrics = Object.entries(parity.metrics).map(([metric, sides]) => [metric, sides.exported]);
    this.info = {
      model_id: this.name,
      labels,
      method: settings.method,
      base: settings.model,
      precision: settings.precision,
      evaluation: { [parity.split]: Object.fromEntries(metrics) },
    };
    await ask(this.folder, "predict", Array(WARM_UP).fill("some words, so that what follows is as fast as it will be"));
    return this;
  }

  /** The answers to some texts, in their order: {label, probabilities}. `progress` gets each part. */
  async classify(texts, signal, progress) {
    for (let begin = 0; begin < texts.length; begin += PART) {
      const answers = await ask(this.folder, "predict", texts.slice(begin, begin + PART));
      signal.throwIfAborted();
      progress(answers);
    }
  }

  /** {label, score, words: [{start, end, weight}]}, in Unicode code points. */
  async explain(text) {
    return ask(this.folder, "explain", text);
  }
}

/** What `method` of the engine of that folder gives. Throws Refused with the engine's sentence. */
export function ask(folder, method, argument) {
  if (!worker) {
    worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    worker.addEventListener("message", ({ data }) => {
      const { resolve, reject } = waiting.get(data.number);
      waiting.delete(data.number);
      if (data.error === undefined) resolve(data.value);
      else reject(new Refused(0, data.error));
    });
    worker.addEventListener("error", (event) => {
      for (const { reject } of waiting.values()) reject(new Refused(0, `the model cannot start: ${event.message ?? ""}`));
      waiting.clear();
    });
  }
  const number = ++asked;
  return new Promise((resolve, reject) => {
    waiting.set(number, { resolve, reject });
    worker.postMessage({ number, folder, method, argument });
  });
}
