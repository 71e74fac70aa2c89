"""Feathertune: LoRA fine-tuning of small transformers for text classification, with evidence.

```python
import feathertune

recipe = feathertune.load_recipe("recipes/quickstart.yaml", ["training.epochs=3"])
summary = feathertune.train(recipe, output="runs/mine")
feathertune.Predictor("runs/mine").predict("how do magnets work?")
```
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from feathertune.comparison.compare import compare
    from feathertune.errors import UserError
    from feathertune.evaluation.evaluate import evaluate_run as evaluate
    from feathertune.recipe import Recipe, load_recipe
    from feathertune.run import train
    from feathertune.serving.predictor import Prediction, Predictor

__version__ = "0.1.0"
__all__ = ["Prediction", "Predictor", "Recipe", "UserError", "compare", "evaluate", "load_recipe", "train"]

_HOMES = {
    "Prediction": ("feathertune.serving.predictor", "Prediction"),
    "Predictor": ("feathertune.serving.predictor", "Predictor"),
    "Recipe": ("feathertune.recipe", "Recipe"),
    "UserError": ("feathertune.errors", "UserError"),
    "compare": ("feathertune.comparison.compare", "compare"),
    "evaluate": ("feathertune.evaluation.evaluate", "evaluate_run"),
    "load_recipe": ("feathertune.recipe", "load_recipe"),
    "train": ("feathertune.run", "train"),
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for, so that `import feathertune` costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'feathertune' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)
