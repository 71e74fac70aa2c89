// Predict in Node.js with the engine of the page:
//
//     node FOLDER/page/predict.js "how do magnets work?" "how magnets does work?"
//
// It prints one line for each text: the label, its probability and the text, separated by tabs.

import { fileURLToPath } from "node:url";
import { Engine } from "./engine.js";

const texts = process.argv.slice(2);
if (texts.length === 0) {
  console.error("usage: node FOLDER/page/predict.js TEXT ...");
  process.exit(2);
}
const engine = await Engine.open(fileURLToPath(new URL("..", import.meta.url)));
for (const [index, { label, probabilities }] of (await engine.predict(texts)).entries()) {
  console.log([label, probabilities[engine.labels.indexOf(label)].toFixed(6), texts[index]].join("\t"));
}
