"""A run on DeBERTa with its own kind of tokenizer; its adapter, which has the pooler, predicts the same in PEFT."""

from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from feathertune.folders.run import RunFolder
from feathertune.prediction.files import read_predictions
from feathertune.recipe.files import parse_recipe
from feathertune.run.train import train
from feathertune.serving.predictor import Predictor
from tiny import save_tiny_base, tiny_unigram_tokenizer, write_tiny_data


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deberta")
    save_tiny_base(folder / "base", "deberta-v3")
    tiny_unigram_tokenizer().save_pretrained(folder / "base")
    recipe = f"""
    model: {{source: '{folder / "base"}', max_length: 32}}
    data: {{source: '{write_tiny_data(folder / "data", train=256)}'}}
    lora: {{rank: 8, targets: all-linear}}
    training: {{epochs: 6, learning_rate: 0.01, gradient_checkpointing: true}}
    """
    train(parse_recipe(recipe, [], where="here"), folder / "run")
    return folder


def test_it_learns_and_predicts_what_was_evaluated(place: Path) -> None:
    stored = read_predictions(RunFolder(place / "run").predictions("after", "validation"), "validation")
    assert (stored.logits_NC.argmax(1) == stored.labels).mean() > 0.9
    predicted = [list(one.probabilities.values()) for one in Predictor(place / "run").predict(list(stored.texts))]
    np.testing.assert_allclose(predicted, stored.probabilities_NC, rtol=0, atol=1e-6)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
@pytest.mark.filterwarnings("ignore:Could not find a config file in:UserWarning")  # PEFT looks on the Hub
def test_peft_and_transformers_predict_the_same_in_padded_batches(place: Path) -> None:
    stored = read_predictions(RunFolder(place / "run").predictions("after", "validation"), "validation")
    base = AutoModelForSequenceClassification.from_pretrained(place / "base", num_labels=2)
    model = PeftModel.from_pretrained(base, str(place / "run" / "adapter")).eval()
    inputs = AutoTokenizer.from_pretrained(place / "base")(list(stored.texts), padding=True, return_tensors="pt")
    with torch.no_grad():
        logits_NC = model(**inputs).logits.numpy()
    np.testing.assert_allclose(np.diff(logits_NC), np.diff(stored.logits_NC), rtol=0, atol=1e-4)
