"""Tokenizers of the kinds that base models have, trained in a moment on the built-in sample."""

import json
from typing import Any

from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from feathertune.data.sources import SAMPLE_FOLDER

SIZE = 900
_ENDS = [("<s>", 0), ("</s>", 2)]


def sample_texts() -> list[str]:
    """The texts of the sample's train split."""
    lines = (SAMPLE_FOLDER / "train.tsv").read_text(encoding="utf-8").splitlines()[1:]
    return [line.split("\t")[0] for line in lines]


def small_tokenizer(size: int) -> Any:
    """A BERT tokenizer of at most `size` tokens, which are characters and their most frequent pairs."""
    return _bert(size, limit_alphabet=(size - 4) // 3)


def trained_tokenizer(kind: str) -> Any:
    """A transformers tokenizer as that of a BERT, a GPT-2, a RoBERTa, an XLM-RoBERTa or a Llama."""
    return {"bert": _bert, "gpt2": _gpt2, "roberta": _roberta, "xlm-roberta": _xlm_roberta, "llama": _llama}[kind]()


def _bert(size: int = SIZE, **options: Any) -> Any:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    _train(tokenizer, trainers.WordPieceTrainer, ["[PAD]", "[UNK]", "[CLS]", "[SEP]"], size, **options)
    ends = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


def _gpt2() -> Any:
    """Without a pad token, and with nothing around a text."""
    tokenizer = _byte_level(["<|endoftext|>"])
    end = "<|endoftext|>"
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=end, eos_token=end, unk_token=end)


def _roberta() -> Any:
    tokenizer = _byte_level(["<s>", "<pad>", "</s>", "<unk>"])
    tokenizer.post_processor = processors.RobertaProcessing(*reversed(_ENDS))
    return _with_ends(tokenizer, pad_token="<pad>")


def _xlm_roberta() -> Any:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    _train(tokenizer, trainers.UnigramTrainer, ["<s>", "<pad>", "</s>", "<unk>"], unk_token="<unk>")
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=_ENDS)
    return _with_ends(tokenizer, pad_token="<pad>")


def _llama() -> Any:
    """Unknown characters become bytes; no pad token; <s> before a text."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    some_bytes = [f"<0x{byte:02X}>" for byte in range(256)]
    _train(tokenizer, trainers.BpeTrainer, ["<s>", "<unk>", "</s>", *some_bytes])
    settings = json.loads(tokenizer.to_str())
    settings["added_tokens"] = settings["added_tokens"][:3]  # bytes are no special tokens
    prepend = {"type": "Prepend", "prepend": "▁"}
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    settings |= {"pre_tokenizer": None, "normalizer": {"type": "Sequence", "normalizers": [prepend, replace]}}
    tokenizer = Tokenizer.from_str(json.dumps(settings))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=_ENDS)
    return _with_ends(tokenizer)


def _byte_level(special: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    _train(tokenizer, trainers.BpeTrainer, special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    return tokenizer


def _train(tokenizer: Tokenizer, trainer: Any, special: list[str], size: int = SIZE, **options: Any) -> None:
    tokens = [AddedToken(token, special=True) for token in special]
    tokenizer.train_from_iterator(
        sample_texts(), trainer(vocab_size=size, special_tokens=tokens, show_progress=False, **options)
    )


def _with_ends(tokenizer: Tokenizer, **named: str) -> Any:
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", **named
    )
