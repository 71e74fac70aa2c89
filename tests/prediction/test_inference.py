"""Predicting many texts at once: whatever is shared between texts, the logits are those of each text by itself."""

import numpy as np
import pytest
import torch

from feathertune.model.classifier import PackedClassifier
from feathertune.prediction.inference import predict_logits
from feathertune.tokens.batch import pack
from feathertune.tokens.tokenized import TokenizedTexts
from lively import MODELS, adapt, adapted_names, largest_difference, lively_classifier
from tiny import random_texts, token_rows

# Texts that begin alike, end alike, occur twice, are prefixes of others, and are longer than 128 tokens.
ROWS = [[5, 6, 7], [5, 6], [5, 6, 7, 9], [9, 6, 7], [5, 6], [5, *range(3, 110), *range(3, 60)], [5, 6, 8] * 9, [4]]
TEXTS = token_rows(ROWS)


def each_alone(classifier: PackedClassifier, texts: TokenizedTexts) -> torch.Tensor:
    classifier.eval()
    with torch.no_grad():
        return torch.cat([classifier(pack(texts, np.array([index]))) for index in range(len(texts))])


@pytest.mark.parametrize("budget", [1, 40, 2048])
@pytest.mark.parametrize("name", MODELS)
def test_logits_are_those_of_each_text_alone(name: str, budget: int) -> None:
    classifier = MODELS[name]()
    together = torch.from_numpy(predict_logits(classifier, TEXTS, budget))
    assert largest_difference(together, each_alone(classifier, TEXTS)) < 1e-5


@pytest.mark.parametrize("name", ["gpt2", "bert"])
def test_many_texts_are_sorted_in_windows_with_the_same_logits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = lively_classifier(name)
    wanted = each_alone(classifier, TEXTS)
    for window in (1, 3, len(TEXTS)):
        monkeypatch.setattr("feathertune.prediction.inference._WINDOW", window)
        assert largest_difference(torch.from_numpy(predict_logits(classifier, TEXTS)), wanted) < 1e-5


@pytest.mark.parametrize("name", ["gpt2", "bert"])
def test_adapters_are_merged_for_prediction_and_restored_afterwards(name: str) -> None:
    classifier = lively_classifier(name)
    adapt(classifier)
    wanted, names = each_alone(classifier, TEXTS), adapted_names(classifier.model)
    classifier.train()
    before = {key: value.clone() for key, value in classifier.state_dict().items()}
    assert largest_difference(torch.from_numpy(predict_logits(classifier, TEXTS)), wanted) < 1e-5
    assert adapted_names(classifier.model) == names
    assert all(module.training for module in classifier.modules())
    assert all(torch.equal(value, before[key]) for key, value in classifier.state_dict().items())


def test_causal_models_compute_shared_prefixes_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = []

    def counted(self: PackedClassifier, batch: object) -> torch.Tensor:
        tokens.append(len(batch.ids_T))  # type: ignore[attr-defined]
        return forward(self, batch)

    forward = PackedClassifier.forward
    monkeypatch.setattr(PackedClassifier, "forward", counted)
    texts = token_rows([[3, 4, 5, 6]] * 8 + [[3, 4, 5, token] for token in range(10, 15)])
    predict_logits(lively_classifier("llama"), texts)
    assert tokens == [16]  # 3 shared tokens and 6 others, padded to a multiple of 8
    predict_logits(lively_classifier("bert"), texts)
    assert tokens == [16, 24]  # 6 texts of 4


def test_which_models_are_causal() -> None:
    causal = {name for name in MODELS if MODELS[name]().causal}
    assert causal == {name for name in MODELS if name.startswith(("gpt2", "llama", "mistral", "qwen", "gemma3-window"))}


@pytest.mark.parametrize("name", MODELS)
def test_independent_logits_are_the_same_to_the_last_bit_whatever_the_other_texts_are(name: str) -> None:
    """Lengths around the borders of the classes, of attention's padding, and of SDPA (128 tokens)."""
    lengths = [1, 2, 3, 7, 8, 9, 9, 12, 15, 16, 17, 23, 24, 40, 64, 127, 129, 130, 136] + [11] * 40
    assert_independent(MODELS[name](), random_texts(lengths))


def test_that_holds_on_two_threads() -> None:
    """A wider model, since torch leaves small tensors to one thread."""
    classifier, before = lively_classifier("bert", hidden_size=128, intermediate_size=512), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert_independent(classifier, random_texts([*range(1, 40), 129, 129] + [11] * 100))
    finally:
        torch.set_num_threads(before)


def assert_independent(classifier: PackedClassifier, texts: TokenizedTexts) -> None:
    together = predict_logits(classifier, texts, independent=True)
    few = predict_logits(classifier, texts.window(5, 23), 200, independent=True)
    np.testing.assert_array_equal(few, together[5:23])
    for index in range(21):
        alone = predict_logits(classifier, texts.window(index, index + 1), independent=True)
        np.testing.assert_array_equal(alone[0], together[index])
