// Computes beside the page, so that the page stays awake.

import { Engine } from "./engine.js";
import { explain } from "./occlusion.js";

const engines = new Map(); // address of a folder -> its engine

self.addEventListener("message", async ({ data: { number, folder, method, argument } }) => {
  try {
    if (!engines.has(folder)) engines.set(folder, Engine.open(folder));
    const engine = await engines.get(folder);
    const value = method === "explain" ? await explain(engine, argument) : await engine.predict(argument);
    self.postMessage({ number, value });
  } catch (error) {
    self.postMessage({ number, error: error.message ?? String(error) });
  }
});
