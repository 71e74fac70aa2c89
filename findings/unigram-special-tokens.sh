#!/bin/sh
# tokenizers: `encode_special_tokens = True` does not keep a special token out of a text where the model is Unigram
# (XLM-RoBERTa, CamemBERT, ALBERT, DeBERTa-v2): the token is a piece of the model's own vocabulary, with the best score
# of all, so the model itself chooses it. transformers' `split_special_tokens` rests on this setting.
#
# Output:
#   tokenizers 0.23.3
#   encode_special_tokens=False: ['▁a', '</s>']
#   encode_special_tokens=True : ['▁a', '</s>']
# Exits with status 1 if the text's characters are given instead.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check "tokenizers==0.23.3"
"$place/venv/bin/python" - <<'PY'
import sys

import tokenizers
from tokenizers import Tokenizer, models, pre_tokenizers

print("tokenizers", tokenizers.__version__)
pieces = [("<s>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((letter, -3.0) for letter in "▁a</s>")]
tokenizer = Tokenizer(models.Unigram(list(dict(pieces).items()) + [("▁a", -2.0)], unk_id=2))
tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
tokenizer.add_special_tokens(["<s>", "</s>"])
for value in (False, True):
    tokenizer.encode_special_tokens = value
    tokens = tokenizer.encode("a</s>").tokens
    print(f"encode_special_tokens={value!s:5}:", tokens)
sys.exit("</s>" not in tokens)
PY
