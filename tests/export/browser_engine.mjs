// For each {folder, texts} of the JSON on stdin: what the example's engine predicts. Run beside engine.mjs.
import { readFileSync } from 'node:fs';
import { Engine } from './engine.mjs';

const outputs = [];
for (const { folder, texts } of JSON.parse(readFileSync(0, 'utf8'))) {
    const engine = await Engine.open(folder);
    const refused = await engine.predict(['']).then(() => null, (error) => error.message);
    const begin = performance.now();
    const predictions = await engine.predict(texts);
    outputs.push({ predictions, refused, milliseconds: (performance.now() - begin) / texts.length });
}
process.stdout.write(JSON.stringify(outputs));
