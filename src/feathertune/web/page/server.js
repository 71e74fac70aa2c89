// A model of the server as the page uses it: POST classify in requests that keep to its limits, POST explain.

import { Refused } from "./refused.js";

const RETRIES = 5; // of a request that an overloaded server refused

export class Server {
  #path;
  #key;

  /** `path` is before the names of the routes, and `key` gives the API key, or an empty string. */
  constructor(path, key) {
    this.#path = path;
    this.#key = key;
  }

  /** GET info, which is `this.info` from now on. */
  async open() {
    this.info = await this.#request("info");
    return this;
  }

  /**
   * The answers to some texts, in their order: {label, probabilities}. `progress` gets each part as it arrives.
   * Throws Refused, or an AbortError once `signal` is aborted.
   */
  async classify(texts, signal, progress) {
    for (const part of parts(texts, this.info.limits)) {
      const body = { input: part, truncate_prompt_tokens: -1 };
      const { data } = await this.#request("classify", body, signal);
      progress(data.map((one) => ({ label: one.label, probabilities: one.probs })));
    }
  }

  /** POST explain: {label, score, words: [{start, end, weight}]}, in Unicode code points. */
  async explain(text) {
    return this.#request("explain", { text });
  }

  async #request(route, body, signal) {
    for (let attempt = 0; ; attempt++) {
      const headers = { ...(body && { "Content-Type": "application/json" }) };
      const key = this.#key();
      if (key) headers.Authorization = `Bearer ${key}`;
      const options = body ? { method: "POST", body: JSON.stringify(body) } : {};
      const response = await fetch(this.#path + route, { ...options, headers, signal });
      if (response.ok) return response.json();
      if (response.status === 429 && attempt < RETRIES) {
        await new Promise((go) => setTimeout(go, 1000 * (Number(response.headers.get("Retry-After")) || 1)));
        continue;
      }
      const problem = await response.json().catch(() => ({}));
      throw new Refused(response.status, problem.error ?? `the server answered ${response.status}`);
    }
  }
}

/** The texts in lists that a request may hold. A token has at least one byte. */
function* parts(texts, limits) {
  const most = Math.min(limits.max_texts, 256);
  const bytes = Math.min(limits.max_body_bytes / 8, limits.max_request_tokens / 2);
  const size = (text) => new TextEncoder().encode(text).length + 8;
  let part = [], used = 0;
  for (const text of texts) {
    if (part.length && (part.length === most || used + size(text) > bytes)) {
      yield part;
      part = [];
      used = 0;
    }
    part.push(text);
    used += size(text);
  }
  if (part.length) yield part;
}
