from functools import cache
from io import StringIO

import torch
from rich.console import Console

from feathertune.model.adapt import (
    LoraShape,
    add_lora,
    count_parameters,
    find_targets,
    train_everything,
)
from feathertune.model.base import build_random
from feathertune.model.classifier import PackedClassifier
from feathertune.model.description import describe_model
from feathertune.system.files import write_json
from feathertune.terminal.model_tree import draw_model
from lively import adapt, lively_classifier


@cache
def gpt2_with_lora() -> PackedClassifier:
    from transformers import GPT2Config

    with torch.device("meta"):
        classifier = build_random(GPT2Config(), ("no", "yes"), seed=0)
    names = find_targets(classifier, ("c_attn", "c_proj"))
    add_lora(classifier, LoraShape(8, 32.0, 0.1, False, names), seed=0)
    return classifier


def drawn(classifier: PackedClassifier) -> str:
    out = StringIO()
    Console(file=out, width=120, color_system=None).print(draw_model(classifier))
    return out.getvalue()


GPT2 = """\
GPT2ForSequenceClassification  gpt2  125,252,352
├── transformer  GPT2Model  125,250,816
│   ├── wte  Embedding  50257 x 768  38,597,376
│   ├── wpe  Embedding  1024 x 768  786,432
│   ├── h  ModuleList  85,865,472
│   │   └── 0 ... 11  (12 alike)  GPT2Block  7,155,456
│   │       ├── ln_1  LayerNorm  768  1,536
│   │       ├── attn  GPT2Attention  2,399,232
│   │       │   ├── c_attn  AdaptedLinear  768 -> 2304  1,796,352  + LoRA r8 24,576
│   │       │   └── c_proj  AdaptedLinear  768 -> 768  602,880  + LoRA r8 12,288
│   │       ├── ln_2  LayerNorm  768  1,536
│   │       └── mlp  GPT2MLP  4,753,152
│   │           ├── c_fc  Linear  768 -> 3072  2,362,368
│   │           └── c_proj  AdaptedLinear  3072 -> 768  2,390,784  + LoRA r8 30,720
│   └── ln_f  LayerNorm  768  1,536
└── score  Linear  768 -> 2, no bias  1,536  trained
"""


def test_gpt2_with_lora_as_a_tree() -> None:
    assert drawn(gpt2_with_lora()) == GPT2


def test_layers_that_differ_are_not_folded() -> None:
    classifier = lively_classifier("modernbert")
    add_lora(classifier, LoraShape(4, 8.0, 0.0, False, find_targets(classifier, ("2.attn.Wqkv",))), seed=0)
    tree = drawn(classifier)
    assert "0  ModernBertEncoderLayer" in tree  # the first has no attention norm
    assert "2  ModernBertEncoderLayer" in tree
    assert "alike" not in tree
    assert tree.count("LoRA r4") == 1


def test_a_model_that_is_trained_in_full_is_marked_everywhere() -> None:
    classifier = lively_classifier("bert")
    train_everything(classifier)
    tree = drawn(classifier)
    assert "LoRA" not in tree
    assert tree.splitlines()[0].endswith("trained")
    assert "0 ... 1  (2 alike)  BertLayer" in tree


def test_the_same_as_data() -> None:
    description = describe_model(gpt2_with_lora())
    modules = {module["name"]: module for module in description["modules"]}
    assert description["architecture"] == "GPT2ForSequenceClassification"
    assert description["model_type"] == "gpt2"
    assert (description["trainable_parameters"], description["total_parameters"]) == (812_544, 125_253_888)
    assert sum(module["trainable"] for module in description["modules"]) == 812_544
    assert sum(module["parameters"] for module in description["modules"]) + 1536 == 125_253_888  # PEFT's second head
    assert modules["transformer.h.11.attn.c_attn"] == {
        "name": "transformer.h.11.attn.c_attn",
        "type": "AdaptedLinear",
        "shapes": {"weight": [2304, 768], "bias": [2304], "lora_A": [8, 768], "lora_B": [2304, 8]},
        "parameters": 2304 * 768 + 2304 + 24_576,
        "trainable": 24_576,
        "adapted": True,
    }
    assert modules["score"]["trainable"] == 1536
    assert not modules["transformer.h.0.mlp.c_fc"]["adapted"]


def test_the_data_is_fit_for_json(tmp_path) -> None:
    classifier = lively_classifier("llama")
    adapt(classifier)
    write_json(tmp_path / "model.json", describe_model(classifier))
    assert describe_model(classifier)["trainable_parameters"] == count_parameters(classifier).trainable
