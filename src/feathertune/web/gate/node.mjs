// In Node.js: the same. `node node.mjs ADDRESS_OF_ENGINE FOLDER < texts.json` prints rows as JSON.

import { readFileSync } from "node:fs";

const [, , address, folder] = process.argv;
const { Engine } = await import(address);
const texts = JSON.parse(readFileSync(0, "utf8"));
const engine = await Engine.open(folder);
await engine.predict(texts.slice(0, 3)); // the first runs are slow
const rows = [];
for (const text of texts) {
  const started = performance.now();
  const [{ label, logits, tokens }] = await engine.predict([text]);
  rows.push({ label, logits, tokens, milliseconds: performance.now() - started });
}
process.stdout.write(JSON.stringify(rows));
