"""Training learns: one word determines the label; a tiny model with random weights finds it in seconds."""

from pathlib import Path

import pytest
import torch

from feathertune.evaluation.metrics import compute_metrics
from feathertune.prediction.inference import predict_split
from feathertune.recipe.files import parse_recipe
from feathertune.recipe.schema import Recipe
from feathertune.run.prepare import prepare
from feathertune.training.dataset import TrainingSet
from short_training import metrics, train
from tiny import save_tiny_base, write_tiny_data


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    folder = tmp_path_factory.mktemp("learning")
    base = save_tiny_base(folder / "base")
    data = write_tiny_data(folder / "data", train=256, validation=100)
    return parse_recipe(
        f"""
        model: {{source: '{base}'}}
        data: {{source: '{data}'}}
        lora: {{rank: 8, alpha: 16, dropout: 0.0, targets: all-linear}}
        """,
        [],
        where="here",
    )


@pytest.mark.parametrize(("method", "rate"), [("lora", 1e-2), ("full", 3e-3)])
def test_learning(recipe: Recipe, method: str, rate: float, tmp_path: Path) -> None:
    prepared = prepare(recipe.model_copy(update={"method": method}), torch.device("cpu"))
    split, validation = prepared.dataset.splits["train"], prepared.dataset.splits["validation"]

    def accuracy() -> float:
        predictions = predict_split(prepared.classifier, validation, prepared.texts["validation"])
        return compute_metrics(predictions, intervals=False).accuracy

    before = accuracy()
    outcome = train(
        tmp_path,
        prepared.classifier,
        TrainingSet(prepared.texts["train"], split.labels, split.rows),
        evaluate=lambda: metrics(0.5, accuracy=accuracy()),
        best_metric="accuracy",
        learning_rate=rate,
        epochs=8,
        batch_size=16,
        checkpoint_seconds=600.0,
    )
    assert accuracy() == outcome.progress.best_value, "the classifier has the weights of the best epoch"
    assert before < 0.7, "chance"
    assert accuracy() > 0.9
