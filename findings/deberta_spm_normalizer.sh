#!/bin/sh
# transformers 5.23 reads a DeBERTa-v3 folder that has spm.model and no tokenizer.json (as microsoft/deberta-v3-* have
# on the Hub) without the normalization stored in that model: ligatures, full-width letters and digits, and zero-width
# spaces become pieces that the vocabulary does not have, without a warning.
#
# SentencePiece's own encoder applies the model's compiled NFKC rules (normalizer_spec.precompiled_charsmap), with which
# the model was trained. DebertaV2Tokenizer builds its own normalizer instead (blanks, NFC, strip). XLMRobertaTokenizer,
# given the same file, does apply the rules.
#
# Output; if the behaviour is another, CHANGED is printed and the exit status is 1:
#   transformers 5.23.0, sentencepiece 0.2.3, tokenizers 0.23.3
#   'what is the cat': SentencePiece ['▁what', '▁is', '▁the', '▁cat'], DebertaV2Tokenizer ['▁what', '▁is', '▁the', '▁cat']
#   'o\ufb03ce': SentencePiece ['▁office'], DebertaV2Tokenizer ['▁', 'o', 'ﬃ', 'c', 'e']
#   '\uff30\uff41\uff52\uff49\uff53': SentencePiece ['▁Paris'], DebertaV2Tokenizer ['▁', 'Ｐａｒｉｓ']
#   '\uff12\uff10\uff12\uff14': SentencePiece ['▁2024'], DebertaV2Tokenizer ['▁', '２０２４']
#   'the\u200bcat': SentencePiece ['▁the', '▁cat'], DebertaV2Tokenizer ['▁the', '\u200b', 'c', 'a', 't']
#   texts tokenized otherwise than by SentencePiece: {'deberta': 4, 'xlmr': 0}
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q transformers==5.23.0 tokenizers==0.23.3 sentencepiece==0.2.3 protobuf==7.36.2
cd "$folder"
if ! TRANSFORMERS_VERBOSITY=error HF_HUB_OFFLINE=1 "$folder/venv/bin/python" - <<'PYTHON'
import json
import random
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

import sentencepiece
from transformers import AutoTokenizer, XLMRobertaTokenizer

print(", ".join(f"{name} {version(name)}" for name in ("transformers", "sentencepiece", "tokenizers")))
random.seed(0)
words = "what is the cat dog running ran fire file office coffee Paris tree 2024 how does a river flow long far".split()
Path("corpus.txt").write_text("".join(" ".join(random.choices(words, k=8)) + "\n" for _ in range(2000)))
sentencepiece.SentencePieceTrainer.train(
    input="corpus.txt", model_prefix="spm", vocab_size=47, model_type="unigram", minloglevel=2,
    pad_id=0, bos_id=1, eos_id=2, unk_id=3,
    pad_piece="[PAD]", bos_piece="[CLS]", eos_piece="[SEP]", unk_piece="[UNK]",
)
for name, file, settings in (
    ("deberta-v2", "spm.model", {"do_lower_case": False, "vocab_type": "spm"}),  # as on the Hub
    ("xlm-roberta", "sentencepiece.bpe.model", {}),
):
    Path(name).mkdir()
    shutil.copy("spm.model", Path(name, file))
    Path(name, "config.json").write_text(json.dumps({"model_type": name}))
    Path(name, "tokenizer_config.json").write_text(json.dumps(settings))
trained = sentencepiece.SentencePieceProcessor("spm.model")
deberta, xlmr = AutoTokenizer.from_pretrained("deberta-v2"), XLMRobertaTokenizer.from_pretrained("xlm-roberta")
wrong = {"deberta": 0, "xlmr": 0}
for text in ("what is the cat", "o\ufb03ce", "\uff30\uff41\uff52\uff49\uff53", "\uff12\uff10\uff12\uff14", "the\u200bcat"):
    pieces = [trained.id_to_piece(number) for number in trained.encode(text)]
    wrong["deberta"] += deberta.tokenize(text) != pieces
    wrong["xlmr"] += xlmr.tokenize(text) != pieces
    print(f"{ascii(text)}: SentencePiece {pieces}, {type(deberta).__name__} {deberta.tokenize(text)}")
print("texts tokenized otherwise than by SentencePiece:", wrong)
sys.exit(wrong != {"deberta": 4, "xlmr": 0})
PYTHON
then
    echo "CHANGED: expected 4 texts tokenized otherwise by DeBERTa's tokenizer, and none by XLM-RoBERTa's"
    exit 1
fi
