// Predict with an ONNX export in Node.js or a browser, by transformers.js, as the run was evaluated.
//
//     npm install @huggingface/transformers@4.3.2
//     node predict.mjs EXPORT_FOLDER "how do magnets work?" "how magnets does work?"
//
// It prints one line for each text: the label, its probability and the text, separated by tabs.
//
// `pipeline('text-classification', './EXPORT_FOLDER')` gives the same labels and scores without this file, unless the
// export has a temperature other than 1 or a threshold other than 0.5 (see export.json), or its tokenizer cuts long
// texts at their beginning (`truncation_side` in tokenizer_config.json). Then copy the class.

import { AutoModelForSequenceClassification, AutoTokenizer, Tensor } from '@huggingface/transformers';

const inNode = typeof process !== 'undefined' && process.versions?.node !== undefined;

export class Classifier {
    /**
     * Open an export.
     *
     * @param {string} folder Its path or address: /path/exported or ./exported. A bare name would be one on the Hub. A
     *   browser also needs `env.allowLocalModels = true`.
     * @param {Object} [options] Of transformers.js, such as `device`.
     */
    static async open(folder, options = {}) {
        const [tokenizer, model, decision] = await Promise.all([
            AutoTokenizer.from_pretrained(folder, options),
            AutoModelForSequenceClassification.from_pretrained(folder, options),
            readJSON(`${folder}/export.json`),
        ]);
        return new Classifier(tokenizer, model, decision);
    }

    constructor(tokenizer, model, { temperature = 1, threshold = 0.5 } = {}) {
        const names = model.config.id2label;
        const labels = Object.keys(names).map((index) => names[index]);
        Object.assign(this, { tokenizer, model, temperature, threshold, labels });
    }

    /** The evaluated label of each text, its probability, and the probabilities of all labels in the model's order. */
    async predict(texts, { batch = 16 } = {}) {
        const predictions = [];
        for (let begin = 0; begin < texts.length; begin += batch) {
            const { logits } = await this.model(this.encode(texts.slice(begin, begin + batch)));
            for (const row of logits.tolist()) {
                const probabilities = softmax(row.map((logit) => logit / this.temperature));
                const chosen = this.choose(probabilities);
                predictions.push({ label: this.labels[chosen], score: probabilities[chosen], probabilities });
            }
        }
        return predictions;
    }

    /** Of two labels, the second if it reaches the threshold; of more, the most likely. */
    choose(probabilities) {
        if (probabilities.length === 2) return probabilities[1] >= this.threshold ? 1 : 0;
        return probabilities.indexOf(Math.max(...probabilities));
    }

    /** The model's inputs, padded on the right. */
    encode(texts) {
        const empty = texts.find((text) => this.tokenizer.encode(text).length === 0);
        if (empty !== undefined) throw new Error(`the text ${JSON.stringify(empty)} has no tokens`);
        if (this.tokenizer.config.truncation_side === 'left') return this.padded(this.cutAtBeginning(texts));
        return this.tokenizer(texts, { padding: true, truncation: true }); // the model puts a closing [SEP] back
    }

    /** Token ids of texts that lose their beginning if they are too long. transformers.js cuts at the end only. */
    cutAtBeginning(texts) {
        const fixed = this.tokenizer.encode(''); // what stands around every text
        const plain = texts.map((text) => this.tokenizer.encode(text, { add_special_tokens: false }));
        const around = (ids, place) => [...fixed.slice(0, place), ...ids, ...fixed.slice(place)];
        const whole = texts.map((text) => this.tokenizer.encode(text).join());
        const fits = (place) => plain.every((ids, index) => around(ids, place).join() === whole[index]);
        const place = Array.from({ length: fixed.length + 1 }, (_, index) => index).find(fits);
        const room = this.tokenizer.model_max_length - fixed.length;
        return plain.map((ids) => around(ids.slice(Math.max(0, ids.length - room)), place));
    }

    padded(rows) {
        const longest = Math.max(...rows.map((ids) => ids.length));
        const filled = (values, filler) => [...values, ...Array(longest - values.length).fill(filler)];
        const tensor = (matrix) =>
            new Tensor('int64', BigInt64Array.from(matrix.flat(), BigInt), [rows.length, longest]);
        return {
            input_ids: tensor(rows.map((ids) => filled(ids, this.tokenizer.pad_token_id))),
            attention_mask: tensor(rows.map((ids) => filled(ids.map(() => 1), 0))),
        };
    }
}

function softmax(logits) {
    const largest = Math.max(...logits);
    const powers = logits.map((logit) => Math.exp(logit - largest));
    const sum = powers.reduce((total, power) => total + power, 0);
    return powers.map((power) => power / sum);
}

async function readJSON(address) {
    if (!inNode || /^https?:/.test(address)) return (await fetch(address)).json();
    const { readFile } = await import('node:fs/promises');
    return JSON.parse(await readFile(address, 'utf8'));
}

async function main([folder, ...texts]) {
    if (texts.length === 0) {
        console.error('usage: node predict.mjs EXPORT_FOLDER TEXT ...');
        process.exit(2);
    }
    const { resolve } = await import('node:path');
    const classifier = await Classifier.open(resolve(folder));
    const predictions = await classifier.predict(texts);
    predictions.forEach(({ label, score }, index) => console.log([label, score.toFixed(6), texts[index]].join('\t')));
}

if (inNode && process.argv[1]) {
    const { pathToFileURL } = await import('node:url');
    const { realpathSync } = await import('node:fs');
    if (import.meta.url === pathToFileURL(realpathSync(process.argv[1])).href) await main(process.argv.slice(2));
}
