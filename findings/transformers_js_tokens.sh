#!/usr/bin/env bash
# transformers.js (@huggingface/tokenizers) gives other token ids than the tokenizers library for the same tokenizer.json,
# in silence, in three places that ordinary texts reach:
#
# 1. BertNormalizer with lowercase: a Greek word in capitals. JavaScript's toLowerCase() turns a word's last capital sigma
#    into a final sigma; Rust lower-cases character by character.
# 2. BertNormalizer with handle_chinese_chars: ideographs beyond U+FFFF. The loop goes over UTF-16 units, so a pair of
#    surrogates is never found to be Chinese, and such characters are not parted.
# 3. The pre-tokenizer Whitespace: \w without the flag u knows ASCII letters only, so a word is split at an accent.
#
# So a model served in a browser may get other tokens than it was trained on; no error, no warning. If the behaviour is
# another, CHANGED is printed and the exit status is 1.
#
# Output:
# tokenizers 0.23.3, @huggingface/transformers 4.3.2, @huggingface/tokenizers 0.2.0
# final sigma          python [1,2]  node [1,3]
# rare ideographs      python [1,2]  node [0]
# accented word        python [1]    node [2,0,3]
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
python3 -m venv venv
venv/bin/pip --quiet --disable-pip-version-check install tokenizers==0.23.3
npm init --yes >/dev/null
npm install --silent --ignore-scripts --no-audit --no-fund @huggingface/transformers@4.3.2 @huggingface/tokenizers@0.2.0

cat > make.py <<'PYTHON'
import json
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

ODYSSEUS = "\u039f\u0394\u03a5\u03a3\u03a3\u0395\u03a5\u03a3"  # in capitals
lower = ODYSSEUS.lower()[:-1]  # without the last letter
cases = []
for name, text, vocabulary, pre in (
    ("final sigma", ODYSSEUS, ["[UNK]", lower, "##\u03c3", "##\u03c2"], pre_tokenizers.BertPreTokenizer()),
    ("rare ideographs", "\U00020000\U00020001", ["[UNK]", "\U00020000", "\U00020001"], pre_tokenizers.BertPreTokenizer()),
    ("accented word", "h\u00f4tel", ["[UNK]", "h\u00f4tel", "h", "tel"], pre_tokenizers.Whitespace()),
):
    tokenizer = Tokenizer(models.WordPiece({token: i for i, token in enumerate(vocabulary)}, unk_token="[UNK]"))
    if name != "accented word":
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre
    cases.append({"name": name, "text": text, "json": json.loads(tokenizer.to_str()), "python": tokenizer.encode(text).ids})
json.dump(cases, open("cases.json", "w"))
PYTHON
venv/bin/python make.py

cat > compare.mjs <<'NODE'
import { readFileSync } from 'node:fs';
import { PreTrainedTokenizer } from '@huggingface/transformers';
let equal = 0;
for (const { name, text, json, python } of JSON.parse(readFileSync('cases.json', 'utf8'))) {
    const node = new PreTrainedTokenizer(json, {}).encode(text);
    console.log(name.padEnd(20), 'python', JSON.stringify(python), ' node', JSON.stringify(node));
    equal += JSON.stringify(node) === JSON.stringify(python);
}
process.exit(equal === 0 ? 0 : 1);
NODE
version() { node -p "JSON.parse(require('fs').readFileSync('node_modules/@huggingface/$1/package.json')).version"; }
echo "tokenizers $(venv/bin/python -c 'import tokenizers; print(tokenizers.__version__)'), @huggingface/transformers $(version transformers), @huggingface/tokenizers $(version tokenizers)"
if ! node compare.mjs; then
    echo "CHANGED: expected other ids in node for all three texts"
    exit 1
fi
