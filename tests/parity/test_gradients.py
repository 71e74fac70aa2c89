"""Training gradients equal those of PEFT and transformers: in float32 to 1e-4, in bfloat16 in direction."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from torch.nn import functional

from feathertune.model.adapt import (
    train_everything,
    train_head_only,
    trainable_state,
)
from feathertune.model.classifier import PackedClassifier
from feathertune.model.precision import Precision, set_precision
from feathertune.model.substitution import conv1d_names
from feathertune.tokens.batch import TOKEN_MULTIPLE, TokenBatch, pack
from feathertune.tokens.tokenized import TokenizedTexts
from lively import LABELS, MODELS, adapt, adapted_names, lively_classifier
from tiny import FAMILIES, random_texts, transformers_twin

SHORT = random_texts([5, 1, 30, 9, 2, 17, 8])
LONG = random_texts([140, 3, 60])
TEXTS = {"explicit": SHORT, "sdpa": LONG}

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # PEFT's


def batch(texts: TokenizedTexts) -> TokenBatch:
    """A batch as the training loop packs it."""
    return pack(texts, np.arange(len(texts)), multiple=TOKEN_MULTIPLE)


def labels(texts: TokenizedTexts) -> Tensor:
    return torch.arange(len(texts)) % len(LABELS)


def train_step(classifier: PackedClassifier, texts: TokenizedTexts) -> tuple[float, dict[str, Tensor]]:
    """The loss of a batch, and the gradients of all trainable parameters."""
    loss = functional.cross_entropy(classifier(batch(texts)), labels(texts))
    loss.backward()
    return float(loss.detach()), {key: p.grad for key, p in trainable_state(classifier).items() if p.grad is not None}


def padded_loss(model: Any, texts: TokenizedTexts, pad_token: int) -> Tensor:
    """The loss computed by transformers, for padded texts."""
    ids_BL = torch.full((len(texts), int(texts.lengths.max())), pad_token)
    for row, length in enumerate(texts.lengths):
        ids_BL[row, :length] = torch.from_numpy(texts[row].astype(np.int64))
    mask_BL = torch.arange(ids_BL.shape[1]) < torch.from_numpy(texts.lengths)[:, None]
    loss: Tensor = model(input_ids=ids_BL, attention_mask=mask_BL.long(), labels=labels(texts)).loss
    return loss


def peft_step(name: str, classifier: PackedClassifier, texts: TokenizedTexts) -> tuple[float, dict[str, Tensor]]:
    """The same by PEFT and transformers, with the same factors and head, under our parameter names."""
    plain = lively_classifier(name)
    heads = list(classifier.family.head_modules)
    config = LoraConfig(
        task_type="SEQ_CLS",
        r=4,
        lora_alpha=8,
        lora_dropout=0.0,
        target_modules=list(adapted_names(classifier.model)),
        modules_to_save=heads,
        fan_in_fan_out=bool(conv1d_names(plain.model)),
    )
    model = get_peft_model(transformers_twin(plain), config).eval()
    trained = {_our_name(name): p for name, p in model.named_parameters() if p.requires_grad}
    ours = trainable_state(classifier)
    assert trained.keys() == ours.keys()
    with torch.no_grad():
        for key, parameter in trained.items():
            parameter.copy_(ours[key])
    loss = padded_loss(model, texts, int(plain.model.config.pad_token_id))
    loss.backward()
    return float(loss.detach()), {key: p.grad for key, p in trained.items() if p.grad is not None}


def _our_name(name: str) -> str:
    name = name.removeprefix("base_model.model.").replace(".modules_to_save.default", "")
    return name.replace(".default.weight", "").replace(".default", "")


def adapted(name: str, precision: Precision) -> PackedClassifier:
    classifier = lively_classifier(name)
    adapt(classifier, "all-linear")
    set_precision(classifier, precision)
    return classifier


def require_equal(found: dict[str, Tensor], wanted: dict[str, Tensor], relative: float) -> None:
    """Compare each gradient by its norm. That of a key's bias is only rounding, hence the second term."""
    whole = torch.cat([gradient.flatten() for gradient in wanted.values()]).norm()
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        assert (found[name] - gradient).norm() <= relative * gradient.norm() + 1e-6 * whole, name


@pytest.mark.parametrize("texts", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("name", FAMILIES)
def test_lora_in_float32_is_pefts(name: str, texts: TokenizedTexts) -> None:
    classifier = adapted(name, "fp32")
    (loss, gradients), (wanted, wanted_gradients) = train_step(classifier, texts), peft_step(name, classifier, texts)
    assert loss == pytest.approx(wanted, rel=1e-4)
    assert {key.rpartition(".")[2] for key in gradients} >= {"lora_A", "lora_B", "weight"}
    require_equal(gradients, wanted_gradients, 1e-4)


def transformers_gradients(
    classifier: PackedClassifier, texts: TokenizedTexts
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Our gradients of trained parameters and theirs of all, in float32, with equal names; losses are equal."""
    twin = transformers_twin(classifier)
    set_precision(classifier, "fp32")
    loss, gradients = train_step(classifier, texts)
    wanted = padded_loss(twin, texts, int(twin.config.pad_token_id))
    wanted.backward()
    assert loss == pytest.approx(float(wanted.detach()), rel=1e-4)
    transposed = {f"{module}.weight" for module in conv1d_names(classifier.model)}
    theirs = {
        key: p.grad.T if key in transposed else p.grad for key, p in twin.named_parameters() if p.grad is not None
    }
    return gradients, theirs


@pytest.mark.parametrize("name", FAMILIES)
def test_head_alone_in_float32_is_transformers(name: str) -> None:
    classifier = lively_classifier(name)
    train_head_only(classifier)
    ours, theirs = transformers_gradients(classifier, SHORT)
    require_equal(ours, {key: theirs[key] for key in ours}, 1e-4)


@pytest.mark.parametrize("texts", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("name", FAMILIES)
def test_everything_in_float32_is_transformers(name: str, texts: TokenizedTexts) -> None:
    classifier = lively_classifier(name)
    train_everything(classifier)
    require_equal(*transformers_gradients(classifier, texts), 1e-4)


@cache
def exact(name: str, method: str, long: bool) -> tuple[float, dict[str, Tensor]]:
    return train_step(prepared(name, method, "fp32"), LONG if long else SHORT)


def prepared(name: str, method: str, precision: Precision) -> PackedClassifier:
    classifier = MODELS[name]()
    if method == "lora":
        adapt(classifier, "all-linear")
    else:
        train_everything(classifier)
    set_precision(classifier, precision)
    return classifier


@pytest.mark.parametrize("long", [False, True], ids=TEXTS)
@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize("name", FAMILIES)
def test_bfloat16_gradients_have_the_same_direction(name: str, method: str, long: bool) -> None:
    """The cosine with the float32 gradient is above 0.99 for all parameters, and above 0.95 for each matrix."""
    loss, gradients = train_step(prepared(name, method, "bf16"), LONG if long else SHORT)
    exact_loss, exact_gradients = exact(name, method, long)
    assert loss == pytest.approx(exact_loss, rel=0.05)
    assert gradients.keys() == exact_gradients.keys()
    ours, wanted = (torch.cat([grads[key].flatten() for key in gradients]) for grads in (gradients, exact_gradients))
    assert functional.cosine_similarity(ours, wanted, dim=0) > 0.99
    assert not torch.equal(ours, wanted)
    for key, gradient in gradients.items():
        assert gradient.dtype == torch.float32, key
        if gradient.ndim > 1:
            cosine = functional.cosine_similarity(gradient.flatten(), exact_gradients[key].flatten(), dim=0)
            assert cosine > 0.95, key
