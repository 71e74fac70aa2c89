"""Finished tiny runs, each trained once: by family, weights (float32, int8 or int4) and kind of activations."""

from collections.abc import Callable
from pathlib import Path

import pytest

from feathertune.recipe.files import parse_recipe
from feathertune.run.train import train
from tiny import save_tiny_base, write_tiny_data

_CHANGES = {
    "fp32": (),
    "int8": ("method=qat", "quantize={weights: int8, training: ptq}"),
    "int4": ("method=qat", "quantize={weights: int4, training: ptq}"),
    "int8-symmetric": ("method=qat", "quantize={weights: int8, activations: symmetric, training: ptq}"),
    "int4-symmetric": ("method=qat", "quantize={weights: int4, activations: symmetric, training: ptq}"),
}


@pytest.fixture(scope="package")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """(family, weights) -> the run's folder."""
    folder = tmp_path_factory.mktemp("exports")
    write_tiny_data(folder / "data", train=160, validation=60)

    def find(base: str, weights: str) -> Path:
        run = folder / "runs" / f"{base}-{weights}"
        if not run.is_dir():
            if not (folder / base).is_dir():
                save_tiny_base(folder / base, base)
            recipe = f"""
            model: {{source: '{folder / base}'}}
            data: {{source: '{folder / "data"}'}}
            lora: {{rank: 4, alpha: 8, targets: all-linear}}
            training: {{epochs: 2, learning_rate: 0.01, precision: fp32}}
            """
            train(parse_recipe(recipe, list(_CHANGES[weights]), where="here"), run)
        return run

    return find
