// Predict with an ONNX export by onnxruntime-web's wasm and @huggingface/tokenizers, as the run was evaluated: in a page,
// in a worker, in Node.js.
//
//     import { Engine } from "./page/engine.js";
//     const engine = await Engine.open("https://example.org/exported");
//     await engine.predict(["how do magnets work?"]); // [{ label, probabilities, logits, tokens, truncated }]

import { tokenizing } from "./tokenizing.js";
import * as ort from "./vendor/onnxruntime-web.js";

const inNode = typeof process !== "undefined" && process.versions?.node !== undefined;
const MODELS = { fp32: "model.onnx", int8: "model_int8.onnx", int4: "model_q4.onnx" };
const MOST_THREADS = 4;
const PROBES = ["a", "b a", "1 ?"]; // texts that show where the tokens around a text stand

export class Engine {
  /**
   * Open an export.
   *
   * @param {string} folder Its address, or in Node.js its path.
   * @param {number} [threads] More than one need a page with the headers COOP and COEP; by default as many as are useful.
   */
  static async open(folder, threads = usefulThreads()) {
    ort.env.wasm.numThreads = threads;
    const place = folder.replace(/\/$/, "");
    const json = async (name) => JSON.parse(new TextDecoder().decode(await read(`${place}/${name}`)));
    const names = ["tokenizer.json", "tokenizer_config.json", "labels.json", "export.json"];
    const [tokenizer, config, labels, settings] = await Promise.all(names.map(json));
    const session = await ort.InferenceSession.create(await read(`${place}/onnx/${MODELS[settings.precision]}`));
    return new Engine(tokenizing(tokenizer, config), session, labels, settings, config.truncation_side);
  }

  constructor(ids, session, labels, settings, side) {
    Object.assign(this, { ids, session, labels, settings, side });
    this.around = ids(""); // [CLS], [SEP] and a prompt
    const places = Array.from({ length: this.around.length + 1 }, (_, place) => place);
    this.place = places.find((place) => PROBES.every((text) => this.joinsAt(place, text)));
    if (this.place === undefined) throw new Error("the tokens around a text depend on the text");
  }

  /** Of each text: the evaluated label, the probabilities and logits of all labels in their order, its token ids. */
  async predict(texts) {
    const predictions = [];
    for (const text of texts) {
      const { tokens, truncated } = this.encode(text);
      const shape = [1, tokens.length];
      const output = await this.session.run({
        input_ids: new ort.Tensor("int64", BigInt64Array.from(tokens, BigInt), shape),
        attention_mask: new ort.Tensor("int64", new BigInt64Array(tokens.length).fill(1n), shape),
      });
      const logits = Array.from(output.logits.data);
      const probabilities = softmax(logits.map((logit) => logit / this.settings.temperature));
      predictions.push({ label: this.labels[this.choose(probabilities)], probabilities, logits, tokens, truncated });
    }
    return predictions;
  }

  /** Of two labels, the second if it reaches the threshold; of more, the most likely. */
  choose(probabilities) {
    if (probabilities.length === 2) return probabilities[1] >= this.settings.threshold ? 1 : 0;
    return probabilities.indexOf(Math.max(...probabilities));
  }

  /** Token ids of a text. A text that is too long loses tokens of its own, never those around it. */
  encode(text) {
    const { max_length: limit, vocabulary } = this.settings;
    let tokens = this.ids(text);
    const truncated = tokens.length > limit;
    if (truncated) {
      const own = this.ids(text, false);
      const room = limit - this.around.length;
      tokens = this.joined(this.place, this.side === "left" ? own.slice(own.length - room) : own.slice(0, room));
    }
    if (tokens.length === 0) throw new Error(`the text ${JSON.stringify(text)} has no tokens`);
    const beyond = tokens.find((id) => id >= (vocabulary ?? Infinity));
    if (beyond !== undefined) throw new Error(`the model has no embedding for the token ${beyond}`);
    return { tokens, truncated };
  }

  joined(place, own) {
    return [...this.around.slice(0, place), ...own, ...this.around.slice(place)];
  }

  joinsAt(place, text) {
    const own = this.ids(text, false);
    return this.joined(place, own).join() === this.ids(text).join();
  }
}

function usefulThreads() {
  return globalThis.crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency) : 1;
}

function softmax(logits) {
  const largest = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - largest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

async function read(address) {
  if (inNode && !/^https?:/.test(address)) return (await import("node:fs/promises")).readFile(address);
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address}: ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
}
