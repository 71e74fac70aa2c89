// For each {folder, texts, batches, helper} of the JSON on stdin: the probability of every label, once for each size of a
// batch, by `pipeline` without options or, where `helper` is true, by the example. Run beside predict.mjs and node_modules.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { pipeline } from '@huggingface/transformers';

const warned = [];
for (const name of ['warn', 'error']) console[name] = (...words) => warned.push(words.join(' '));

async function byPipeline(folder) {
    const classify = await pipeline('text-classification', folder);
    return async (texts) =>
        (await classify(texts, { top_k: null })).map((scores) => ({
            label: scores[0].label,
            scores: Object.fromEntries(scores.map(({ label, score }) => [label, score])),
        }));
}

async function byHelper(folder) {
    const { Classifier } = await import(pathToFileURL('predict.mjs').href);
    const classifier = await Classifier.open(folder);
    return async (texts) =>
        (await classifier.predict(texts, { batch: texts.length })).map(({ label, probabilities }) => ({
            label,
            scores: Object.fromEntries(probabilities.map((score, index) => [classifier.labels[index], score])),
        }));
}

const outputs = [];
for (const { folder, texts, batches, helper } of JSON.parse(readFileSync(0, 'utf8'))) {
    const predict = await (helper ? byHelper : byPipeline)(folder);
    const rows = [];
    for (const batch of batches) {
        const some = [];
        for (let begin = 0; begin < texts.length; begin += batch) {
            some.push(...(await predict(texts.slice(begin, begin + batch))));
        }
        rows.push(some);
    }
    outputs.push({ rows, warned: warned.splice(0) });
}
process.stdout.write(JSON.stringify(outputs));
