"""Small random models of every family, a small tokenizer and small data, at a size that suits tests."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from feathertune.model.base import build_random
from feathertune.model.classifier import PackedClassifier
from feathertune.model.substitution import conv1d_names
from feathertune.tokens.tokenized import TokenizedTexts

VOCABULARY = 120
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"

_COMMON = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 300,
}
_GROUPED = {**_COMMON, "num_key_value_heads": 2, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_ROBERTA = {**_COMMON, "max_position_embeddings": 302, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
_DEBERTA = {
    **_COMMON,
    "relative_attention": True,
    "position_buckets": 16,  # logarithmic beyond a distance of 8
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "type_vocab_size": 0,
}
_MODERN = {
    **_COMMON,
    "num_hidden_layers": 4,
    "local_attention": 8,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "cls_token_id": 1,
    "eos_token_id": 2,
    "sep_token_id": 2,
}

# name -> (transformers config class, its arguments): an entry for each family, and for each variant within a family.
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": (
        "GPT2Config",
        {
            "n_embd": 32,
            "n_layer": 2,
            "n_head": 4,
            "vocab_size": VOCABULARY,
            "n_positions": 300,
            "bos_token_id": 0,
            "eos_token_id": 0,
        },
    ),
    "bert": ("BertConfig", _COMMON),
    "roberta": ("RobertaConfig", _ROBERTA),
    "xlm-roberta": ("XLMRobertaConfig", _ROBERTA),
    "camembert": ("CamembertConfig", _ROBERTA),
    "data2vec": ("Data2VecTextConfig", _ROBERTA),
    "mpnet": ("MPNetConfig", _ROBERTA),
    "albert": ("AlbertConfig", {**_COMMON, "embedding_size": 16, "num_hidden_layers": 3, "hidden_act": "gelu_new"}),
    "eurobert": ("EuroBertConfig", _GROUPED),
    "nomic-bert": ("NomicBertConfig", _COMMON),
    "distilbert": (
        "DistilBertConfig",
        {
            "dim": 32,
            "n_layers": 2,
            "n_heads": 4,
            "hidden_dim": 64,
            "vocab_size": VOCABULARY,
            "max_position_embeddings": 300,
        },
    ),
    "electra": ("ElectraConfig", {**_COMMON, "embedding_size": 16}),
    "deberta-v3": ("DebertaV2Config", _DEBERTA),
    "llama": ("LlamaConfig", _GROUPED),
    "mistral-window": ("MistralConfig", {**_GROUPED, "sliding_window": 8}),
    "qwen2": ("Qwen2Config", _GROUPED),
    "qwen3": ("Qwen3Config", {**_GROUPED, "head_dim": 8}),
    "gemma3-window": (
        "Gemma3TextConfig",
        {**_GROUPED, "head_dim": 8, "sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"]},
    ),
    "modernbert": ("ModernBertConfig", _MODERN),
    "modernbert-mean": ("ModernBertConfig", {**_MODERN, "classifier_pooling": "mean"}),
}


def column(texts: Sequence[str]) -> pa.ChunkedArray:
    """Texts as a split has them."""
    return pa.chunked_array([pa.array(list(texts), pa.string())])


def tiny_config(name: str) -> Any:
    """The transformers config of one of `FAMILIES`."""
    import transformers

    kind, arguments = FAMILIES[name]
    return getattr(transformers, kind)(**arguments)


def tiny_classifier(name: str, labels: tuple[str, ...] = ("no", "yes", "maybe"), seed: int = 0) -> PackedClassifier:
    """A packed classifier of one of `FAMILIES`, with weights large enough that logits differ by more than rounding."""
    classifier = build_random(tiny_config(name), labels, seed)
    with torch.no_grad():
        for parameter in classifier.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4)
    return classifier


def transformers_twin(classifier: PackedClassifier) -> Any:
    """transformers' own eager model with the same weights, in evaluation mode."""
    from transformers import AutoModelForSequenceClassification

    config = copy.deepcopy(classifier.model.config)
    twin = AutoModelForSequenceClassification.from_config(config, attn_implementation="eager")
    state = dict(classifier.model.state_dict())
    for name in conv1d_names(classifier.model):
        state[f"{name}.weight"] = state[f"{name}.weight"].T
    twin.load_state_dict(state)
    return twin.float().eval()


def token_rows(rows: list[list[int]]) -> TokenizedTexts:
    """Texts with exactly these tokens."""
    ids = np.array([token for row in rows for token in row], dtype=np.int32)
    return TokenizedTexts(ids, np.cumsum([0, *map(len, rows)]).astype(np.int64))


def random_texts(lengths: list[int], seed: int = 0) -> TokenizedTexts:
    """Texts of these lengths, with random tokens that are not special."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(3, VOCABULARY, size=sum(lengths)).astype(np.int32)
    return TokenizedTexts(ids, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))


def padded_logits(twin: Any, texts: TokenizedTexts, indices: np.ndarray) -> torch.Tensor:
    """[B, C]: the logits of transformers' own model, with texts padded on the right and a mask."""
    longest = int(texts.lengths[indices].max())
    ids_BL = torch.full((len(indices), longest), int(twin.config.pad_token_id))
    mask_BL = torch.zeros((len(indices), longest), dtype=torch.long)
    for row, index in enumerate(indices):
        tokens = torch.from_numpy(texts[int(index)].astype(np.int64))
        ids_BL[row, : len(tokens)] = tokens
        mask_BL[row, : len(tokens)] = 1
    with torch.no_grad():
        return twin(input_ids=ids_BL, attention_mask=mask_BL).logits


WORDS = """
what is the a how do does why are you we they it cat dog sun moon tree river long far high red blue cold warm deep old
run sing grow fall burn eat sleep in on of to from with for ? . and or not can will big small many much where when who
which bread milk salt fire stone glass wood iron book song game car boat train road north south
""".split()  # noqa: SIM905 - prose is easier to read and to change than a list


def tiny_tokenizer() -> Any:
    """A word tokenizer over `WORDS` with BERT's special tokens, small enough for the tiny models' vocabulary."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: index for index, token in enumerate(["[PAD]", "[CLS]", "[SEP]", "[UNK]", *WORDS])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


def tiny_unigram_tokenizer() -> Any:
    """DeBERTa's own kind of tokenizer over `WORDS`: pieces of words, with the space before a word as part of it."""
    from transformers import DebertaV2Tokenizer

    special = [("[PAD]", 0.0), ("[CLS]", 0.0), ("[SEP]", 0.0), ("[UNK]", 0.0)]
    pieces = [(f"\u2581{word}", -3.0) for word in WORDS]
    letters = [(letter, -9.0) for letter in "aeiou"]
    return DebertaV2Tokenizer(vocab=[*special, *pieces, *letters])


def save_tiny_base(folder: Path, name: str = "bert", seed: int = 0) -> Path:
    """A base model's folder as on the Hub: config, safetensors, tokenizer; no classification head."""
    import transformers

    config = tiny_config(name)
    torch.manual_seed(seed)
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def write_tiny_data(folder: Path, train: int = 96, validation: int = 32, test: int = 0, seed: int = 0) -> Path:
    """Texts that a tiny model can learn, as jsonl (text, label): 'yes' if the text contains the word cat."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    words = [word for word in WORDS if word != "cat"]
    seen: set[str] = set()
    for split, count in (("train", train), ("validation", validation), ("test", test)):
        rows = []
        while len(rows) < count:
            text = list(rng.choice(words, size=int(rng.integers(2, 9))))
            positive = len(rows) % 2 == 1
            if positive:
                text[int(rng.integers(len(text)))] = "cat"
            line = " ".join(text)
            if line not in seen:
                seen.add(line)
                rows.append(json.dumps({"text": line, "label": "yes" if positive else "no"}))
        if rows:
            (folder / f"{split}.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder
