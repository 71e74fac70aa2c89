"""Tokens in the browser are those of the tokenizers library, also where the package for browsers alone differs."""

import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from browsers import NEEDS_PACKAGES
from feathertune.web import pages
from feathertune.web.packages import packages_folder

pytestmark = [
    NEEDS_PACKAGES,
    pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed"),
]
LETTERS = "aZ19\u00df\u00e9\u0130\u03a3\u03c3\u03c2\u0394\u0416\u05d0\u0e01\u3042\u4e2d"
LETTERS += "\u00b2\u0661_-'.\u00a0 \u0301\u200d"
RARE = "\U00020000\U0002a6df\U0002a700\U0002b740\U0002b920\U0002f800\U0001f600\U00010400"
SCRIPT = """
import { readFileSync } from "node:fs";
import { tokenizing } from "./tokenizing.js";
const { file, texts } = JSON.parse(readFileSync(0, "utf8"));
const ids = tokenizing(file, {});
process.stdout.write(JSON.stringify(texts.map((text) => ids(text))));
"""
KINDS = {
    "bert": (normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()),
    "cased bert": (normalizers.BertNormalizer(lowercase=False), pre_tokenizers.BertPreTokenizer()),
    "bert without Chinese": (normalizers.BertNormalizer(handle_chinese_chars=False), pre_tokenizers.BertPreTokenizer()),
    "lowered in a sequence": (
        normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()]),
        pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Digits()]),
    ),
    "words": (None, pre_tokenizers.Whitespace()),
    "digits": (None, pre_tokenizers.Digits(individual_digits=True)),
    "numbers": (
        normalizers.NFKC(),
        pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Digits()]),
    ),
}


def tokenizer_of(kind: str) -> Tokenizer:
    """Each letter is a token, at the beginning of a word and within one, so that any difference shows."""
    signs = sorted({*LETTERS, *LETTERS.lower(), *RARE, *RARE.lower()})
    vocabulary = {"[UNK]": 0} | {sign: 2 * i + 1 for i, sign in enumerate(signs)}
    vocabulary |= {f"##{sign}": 2 * i + 2 for i, sign in enumerate(signs)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    normalizer, pre_tokenizer = KINDS[kind]
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    return tokenizer


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_equal_those_of_the_library(kind: str, tmp_path: Path) -> None:
    shutil.copytree(packages_folder(), tmp_path / "vendor")
    for name in ("tokenizing.js", "package.json"):
        shutil.copy(pages.PAGE.parent / "local" / name, tmp_path)
    (tmp_path / "run.js").write_text(SCRIPT)
    draw = random.Random(0)  # noqa: S311 - texts, no secrets
    texts = ["\u039f\u0394\u03a5\u03a3 \u03a3", RARE, "h\u00f4tel"]
    texts += ["".join(draw.choices(LETTERS + RARE, k=draw.randint(1, 12))) for _ in range(300)]
    tokenizer = tokenizer_of(kind)
    request = json.dumps({"file": json.loads(tokenizer.to_str()), "texts": texts})
    done = subprocess.run(["node", tmp_path / "run.js"], input=request, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    theirs = json.loads(done.stdout)
    different = [text for text, ids in zip(texts, theirs, strict=True) if ids != tokenizer.encode(text).ids]
    assert different == []
