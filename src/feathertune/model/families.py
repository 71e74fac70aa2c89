"""The model families: how each pools a sequence, which modules are its head, and which layers are its attention.

To add a family, add an entry to `FAMILIES` here and a tiny model to `FAMILIES` in tests/tiny.py. No other module knows
about families, but those that an entry here names (albert.py, deberta.py, mpnet.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn import functional

from feathertune.errors import UserError
from feathertune.model.albert import unroll_albert
from feathertune.model.mpnet import pack_mpnet
from feathertune.model.relatives import nearest_family

Pooling = Literal["first", "last", "mean", "late"]


@dataclass(frozen=True)
class Family:
    """One family of transformers' `...ForSequenceClassification` models.

    Attributes:
        pooling: which row represents a sequence, given the model's config. `late`: the head is computed for every row,
            and a sequence's logits are the mean of its rows' logits.
        head: (model, pooled rows [B, D]) -> logits [B, C], computed by the modules of transformers' own head.
        head_modules: names of the head's modules, which every method trains in full.
        attention: name endings of the linear layers that `targets: attention` adapts.
        first_position: position id of a sequence's first token, given the config.
        last_linear: the linear layer with one row per class, if it is not the last of `head_modules`.
        use_packed_attention: changes a model, in place, whose layers do not reach the attention interface by themselves
            or do not run one after the other. Names and weights stay transformers'.
    """

    pooling: Callable[[Any], Pooling]
    head: Callable[[Any, Tensor], Tensor]
    head_modules: tuple[str, ...]
    attention: tuple[str, ...]
    first_position: Callable[[Any], int] = lambda _: 0
    last_linear: str | None = None
    use_packed_attention: Callable[[Any], None] = lambda _: None

    @property
    def class_rows(self) -> str:
        """The name of the linear layer with one row per class."""
        return self.last_linear or self.head_modules[-1]


def _score(model: Any, rows_BD: Tensor) -> Tensor:
    logits: Tensor = model.score(rows_BD)
    return logits


def _pooler(model: Any, rows_BD: Tensor) -> Tensor:
    """BERT's pooler selects the first token of [B, L, D] itself; here L is 1."""
    logits: Tensor = model.classifier(model.dropout(model.base_model.pooler(rows_BD[:, None])))
    return logits


def _albert(model: Any, rows_BD: Tensor) -> Tensor:
    albert = model.base_model
    logits: Tensor = model.classifier(model.dropout(albert.pooler_activation(albert.pooler(rows_BD))))
    return logits


def _distilbert(model: Any, rows_BD: Tensor) -> Tensor:
    logits: Tensor = model.classifier(model.dropout(functional.relu(model.pre_classifier(rows_BD))))
    return logits


def _classifier(model: Any, rows_BD: Tensor) -> Tensor:
    """RoBERTa's and ELECTRA's heads select the first token of [B, L, D] themselves; here L is 1."""
    logits: Tensor = model.classifier(rows_BD[:, None])
    return logits


def _modernbert(model: Any, rows_BD: Tensor) -> Tensor:
    logits: Tensor = model.classifier(model.drop(model.head(rows_BD)))
    return logits


def _after_padding(config: Any) -> int:
    """RoBERTa's first position. Raises UserError without a pad token: transformers cannot count positions then."""
    if config.pad_token_id is None:
        raise UserError(
            f"the model counts positions from its pad token ({config.model_type}), and its config has no pad_token_id",
            where="config.json",
            fix="Write the id of the tokenizer's pad token there, as in the model that it was made from (<pad> is 1).",
        )
    return int(config.pad_token_id) + 1


def _deberta(model: Any, rows_BD: Tensor) -> Tensor:
    logits: Tensor = model.classifier(model.dropout(model.pooler(rows_BD[:, None])))
    return logits


def _packed_deberta(model: Any) -> None:
    from feathertune.model.deberta import run_on_packed_tokens  # imports transformers, which takes seconds

    run_on_packed_tokens(model)


def _eurobert(model: Any, rows_BD: Tensor) -> Tensor:
    logits: Tensor = model.classifier(model.activation(model.dense(rows_BD)))
    return logits


_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj")
_CAUSAL = Family(lambda _: "last", _score, ("score",), _PROJECTIONS)
_BERT_ATTENTION = ("query", "key", "value", "attention.output.dense")
_ROBERTA = Family(
    lambda _: "first",
    _classifier,
    ("classifier",),
    _BERT_ATTENTION,
    first_position=_after_padding,
    last_linear="classifier.out_proj",
)

_EUROBERT_POOLING: dict[str, Pooling] = {"bos": "first", "mean": "mean", "late": "late"}


def _eurobert_pooling(config: Any) -> Pooling:
    """Raises UserError for a value that transformers has no rule for either."""
    if config.classifier_pooling not in _EUROBERT_POOLING:
        raise UserError(
            f"classifier_pooling={config.classifier_pooling!r} is none of {', '.join(_EUROBERT_POOLING)}",
            where="config.json",
            fix="Write the pooling that the head was trained with; `late` is transformers' default.",
        )
    return _EUROBERT_POOLING[config.classifier_pooling]


FAMILIES: dict[str, Family] = {
    "gpt2": Family(lambda _: "last", _score, ("score",), ("attn.c_attn", "attn.c_proj")),
    "bert": Family(lambda _: "first", _pooler, ("classifier",), _BERT_ATTENTION),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "data2vec-text": _ROBERTA,
    "distilbert": Family(
        lambda _: "first", _distilbert, ("pre_classifier", "classifier"), ("q_lin", "k_lin", "v_lin", "out_lin")
    ),
    "electra": Family(
        lambda _: "first", _classifier, ("classifier",), _BERT_ATTENTION, last_linear="classifier.out_proj"
    ),
    "deberta-v2": Family(  # v3 as well
        lambda _: "first",
        _deberta,
        ("pooler", "classifier"),
        ("query_proj", "key_proj", "value_proj", "attention.output.dense"),
        use_packed_attention=_packed_deberta,
    ),
    "modernbert": Family(
        lambda config: "mean" if config.classifier_pooling == "mean" else "first",
        _modernbert,
        ("head", "classifier"),
        ("attn.Wqkv", "attn.Wo"),
    ),
    "albert": Family(
        lambda _: "first",
        _albert,
        ("classifier",),
        ("attention.query", "attention.key", "attention.value", "attention.dense"),
        use_packed_attention=unroll_albert,
    ),
    "mpnet": Family(
        lambda _: "first",
        _classifier,
        ("classifier",),
        ("attn.q", "attn.k", "attn.v", "attn.o"),
        first_position=lambda _: 2,  # transformers counts from 1 + 1 whatever the config's pad token is
        last_linear="classifier.out_proj",
        use_packed_attention=pack_mpnet,
    ),
    "eurobert": Family(_eurobert_pooling, _eurobert, ("dense", "classifier"), _PROJECTIONS),
    "nomic_bert": Family(lambda _: "first", _pooler, ("classifier",), _PROJECTIONS),
    "llama": _CAUSAL,
    "mistral": _CAUSAL,
    "qwen2": _CAUSAL,
    "qwen3": _CAUSAL,
    "gemma3_text": _CAUSAL,
}


def family_of(model_type: str, where: str) -> Family:
    """The family of a config's `model_type`. Raises UserError if it is not supported."""
    if model_type in FAMILIES:
        return FAMILIES[model_type]
    near = nearest_family(model_type, FAMILIES)
    raise UserError(
        f"the architecture {model_type!r} is not supported",
        where=where,
        fix=f"Supported: {', '.join(sorted(FAMILIES))}." + (f" The nearest is {near!r}." if near else ""),
    )


def head_parameters(model: nn.Module, family: Family) -> list[str]:
    """The names of the head's parameters, in the model's order."""
    prefixes = tuple(f"{name}." for name in family.head_modules)
    return [name for name, _ in model.named_parameters() if name.startswith(prefixes)]
