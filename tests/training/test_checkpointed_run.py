"""`training.gradient_checkpointing` in a recipe reaches the model and does not change the results."""

from pathlib import Path
from typing import Any

import pytest

from feathertune.model import gradient_checkpointing as checkpointing
from feathertune.recipe.files import parse_recipe
from feathertune.run.train import train
from feathertune.system.files import read_json
from tiny import save_tiny_base, write_tiny_data


@pytest.mark.parametrize("method", ["lora", "full", "head", "qat"])
def test_a_run_with_it_equals_the_run_without_it(tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    base, data = save_tiny_base(tmp_path / "base", "gpt2"), write_tiny_data(tmp_path / "data")
    recomputed = []

    def counted(*arguments: Any, **options: Any) -> Any:
        recomputed.append(1)
        return checkpoint(*arguments, **options)

    checkpoint = checkpointing.checkpoint
    monkeypatch.setattr(checkpointing, "checkpoint", counted)
    results = []
    for checkpointed in ("false", "true"):
        recipe = parse_recipe(
            f"model: {{source: {base}, max_length: 64}}\ndata: {{source: {data}}}\nmethod: {method}\n"
            f"training: {{epochs: 2, learning_rate: 1.0e-2, gradient_checkpointing: {checkpointed}}}",
            [],
            where="test",
        )
        folder = tmp_path / f"run-{checkpointed}"
        train(recipe, folder)
        results.append(read_json(folder / "summary.json")["after"])
        assert bool(recomputed) == (checkpointed == "true")
    assert results[0] == results[1]
