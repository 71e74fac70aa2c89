"""Feathertune: LoRA fine-tuning of small transformers for text classification, with evidence.

```python
import feathertune

recipe = feathertune.load_recipe("quickstart", ["training.epochs=3"])
summary = feathertune.train(recipe, output="runs/python")
feathertune.Predictor("runs/python").predict("how do magnets work?")
```
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from feathertune.system.threads import prepare_threads
from feathertune.version import __version__ as __version__

if TYPE_CHECKING:
    from feathertune import show
    from feathertune.comparison.compare import compare
    from feathertune.errors import UserError
    from feathertune.export.exporting import export_run
    from feathertune.recipe.files import load_recipe
    from feathertune.recipe.schema import Recipe
    from feathertune.report.writing import write_report
    from feathertune.run.evaluate import evaluate_run as evaluate
    from feathertune.run.evaluate import evaluate_untrained
    from feathertune.run.inspect import inspect_data
    from feathertune.run.train import train
    from feathertune.serving.predictor import Prediction, Predictor

prepare_threads()

__all__ = [
    "Prediction",
    "Predictor",
    "Recipe",
    "UserError",
    "compare",
    "evaluate",
    "evaluate_untrained",
    "export_run",
    "inspect_data",
    "load_recipe",
    "show",
    "train",
    "write_report",
]

_HOMES = {
    "Prediction": ("feathertune.serving.predictor", "Prediction"),
    "Predictor": ("feathertune.serving.predictor", "Predictor"),
    "Recipe": ("feathertune.recipe.schema", "Recipe"),
    "UserError": ("feathertune.errors", "UserError"),
    "compare": ("feathertune.comparison.compare", "compare"),
    "evaluate": ("feathertune.run.evaluate", "evaluate_run"),
    "evaluate_untrained": ("feathertune.run.evaluate", "evaluate_untrained"),
    "export_run": ("feathertune.export.exporting", "export_run"),
    "inspect_data": ("feathertune.run.inspect", "inspect_data"),
    "load_recipe": ("feathertune.recipe.files", "load_recipe"),
    "train": ("feathertune.run.train", "train"),
    "write_report": ("feathertune.report.writing", "write_report"),
}


def __dir__() -> list[str]:
    """The public names too, imported or not."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for, so that `import feathertune` costs nothing."""
    if name == "show":
        return import_module("feathertune.show")
    if name not in _HOMES:
        raise AttributeError(f"module 'feathertune' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)
