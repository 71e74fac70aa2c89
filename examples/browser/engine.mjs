// Predict with an ONNX export by onnxruntime-web's wasm and @huggingface/tokenizers, as the run was evaluated.
//
//     npm ci --ignore-scripts
//     node engine.mjs EXPORT_FOLDER "how do magnets work?" "how magnets does work?"
//
// It prints one line for each text: the label, its probability and the text, separated by tabs. In a browser, import
// the class; a bundler or an import map finds the two packages.

import { Tokenizer } from '@huggingface/tokenizers';
import * as ort from 'onnxruntime-web/wasm';

const inNode = typeof process !== 'undefined' && process.versions?.node !== undefined;
const PROBES = ['a', 'b a', '1 ?']; // texts that show where the tokens around a text stand

export class Engine {
    /**
     * Open an export, on one thread: more need the headers COOP and COEP.
     *
     * @param {string} folder Its path, or its address if that begins with http.
     */
    static async open(folder) {
        ort.env.wasm.numThreads = 1;
        const json = async (name) => JSON.parse(new TextDecoder().decode(await read(`${folder}/${name}`)));
        const names = ['tokenizer.json', 'tokenizer_config.json', 'labels.json', 'export.json'];
        const [tokenizer, config, labels, settings] = await Promise.all(names.map(json));
        const session = await ort.InferenceSession.create(await read(`${folder}/model.onnx`));
        return new Engine(new Tokenizer(tokenizer, config), session, labels, settings, config.truncation_side);
    }

    constructor(tokenizer, session, labels, settings, side) {
        Object.assign(this, { tokenizer, session, labels, settings, side });
        this.around = tokenizer.encode('').ids; // [CLS], [SEP] and a prompt
        const places = Array.from({ length: this.around.length + 1 }, (_, place) => place);
        this.place = places.find((place) => PROBES.every((text) => this.joinsAt(place, text)));
        if (this.place === undefined) throw new Error('the tokens around a text depend on the text');
    }

    /** The evaluated label of each text, the probabilities of all labels in the model's order, and its token ids. */
    async predict(texts) {
        const predictions = [];
        for (const text of texts) {
            const { tokens, truncated } = this.encode(text);
            const shape = [1, tokens.length];
            const { logits } = await this.session.run({
                input_ids: new ort.Tensor('int64', BigInt64Array.from(tokens, BigInt), shape),
                attention_mask: new ort.Tensor('int64', new BigInt64Array(tokens.length).fill(1n), shape),
            });
            const probabilities = softmax(Array.from(logits.data, (logit) => logit / this.settings.temperature));
            predictions.push({ label: this.labels[this.choose(probabilities)], probabilities, tokens, truncated });
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
        let tokens = this.tokenizer.encode(text).ids;
        const truncated = tokens.length > limit;
        if (truncated) {
            const own = this.tokenizer.encode(text, { add_special_tokens: false }).ids;
            const room = limit - this.around.length;
            tokens = this.joined(this.place, this.side === 'left' ? own.slice(own.length - room) : own.slice(0, room));
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
        const own = this.tokenizer.encode(text, { add_special_tokens: false }).ids;
        return this.joined(place, own).join() === this.tokenizer.encode(text).ids.join();
    }
}

function softmax(logits) {
    const largest = Math.max(...logits);
    const powers = logits.map((logit) => Math.exp(logit - largest));
    const sum = powers.reduce((total, power) => total + power, 0);
    return powers.map((power) => power / sum);
}

async function read(address) {
    if (inNode && !/^https?:/.test(address)) return (await import('node:fs/promises')).readFile(address);
    const response = await fetch(address);
    if (!response.ok) throw new Error(`${address}: ${response.status} ${response.statusText}`);
    return new Uint8Array(await response.arrayBuffer());
}

async function main([folder, ...texts]) {
    if (texts.length === 0) {
        console.error('usage: node engine.mjs EXPORT_FOLDER TEXT ...');
        process.exit(2);
    }
    const engine = await Engine.open(folder);
    (await engine.predict(texts)).forEach(({ label, probabilities }, index) => {
        const score = probabilities[engine.labels.indexOf(label)];
        console.log([label, score.toFixed(6), texts[index]].join('\t'));
    });
}

if (inNode && process.argv[1]) {
    const { pathToFileURL } = await import('node:url');
    const { realpathSync } = await import('node:fs');
    if (import.meta.url === pathToFileURL(realpathSync(process.argv[1])).href) await main(process.argv.slice(2));
}
