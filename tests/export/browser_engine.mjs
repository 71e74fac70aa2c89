// For each {folder, texts} of the JSON on stdin: what the engine of that folder's page predicts.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const outputs = [];
for (const { folder, texts } of JSON.parse(readFileSync(0, 'utf8'))) {
    const { Engine } = await import(pathToFileURL(`${folder}/page/engine.js`));
    const engine = await Engine.open(folder);
    const refused = await engine.predict(['']).then(() => null, (error) => error.message);
    outputs.push({ predictions: await engine.predict(texts), refused });
}
process.stdout.write(JSON.stringify(outputs));
