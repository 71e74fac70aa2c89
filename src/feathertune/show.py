"""Data, models, results and predictions as tables for rich's `print`, and figures for a notebook.

```python
from rich import print
from feathertune import show

print(show.data("quickstart"))
print(show.summary(feathertune.train(recipe, "runs/mine")))
show.pictures("runs/mine")["loss"]
```
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import RenderableType

    from feathertune.folders.metrics import Metrics
    from feathertune.folders.summary import Summary
    from feathertune.serving.predictor import Prediction

DPI = 100  # of a picture in a notebook


def data(source: str, overrides: list[str] | None = None, **arguments: Any) -> RenderableType:
    """Counts, lengths, labels, duplicates, leaks, examples and remarks of a recipe's data, or of a bare source.

    Arguments and errors are those of `feathertune.inspect_data`.
    """
    from feathertune.run.inspect import inspect_source
    from feathertune.terminal.data_tables import render

    return render(inspect_source(source, overrides, **arguments))


def model(source: str, overrides: list[str] | None = None) -> RenderableType:
    """The model of a recipe, or a bare model, as a tree: what the method adapts, and the parameter counts."""
    from rich.console import Group

    from feathertune.model.adapt import count_parameters
    from feathertune.run.inspect import inspect_base
    from feathertune.terminal.model_tree import draw_model

    classifier = inspect_base(source, overrides)
    return Group(draw_model(classifier), str(count_parameters(classifier)))


def tokens(source: str, texts: Sequence[str]) -> RenderableType:
    """The tokens of some texts by a model's tokenizer, and their number."""
    from rich.table import Table
    from rich.text import Text

    from feathertune.model.sources import find_base
    from feathertune.tokens.loading import load_tokenizer
    from feathertune.tokens.special_tokens import as_text, special_tokens
    from feathertune.wording.visible import visible

    base = find_base(source)
    tokenizer = load_tokenizer(base.folder, base.gguf_file)
    counter = as_text(tokenizer.backend_tokenizer, special_tokens(tokenizer))
    counter.no_padding()  # some models' files turn it on
    counter.no_truncation()
    table = Table()
    for header in ("text", "tokens", "count"):
        table.add_column(header)
    for text in texts:
        pieces = counter.encode(text).tokens
        table.add_row(Text(visible(text)), Text(visible(" ".join(pieces))), str(len(pieces)))
    return table


def summary(result: Summary | Mapping[str, Any]) -> RenderableType:
    """What `train` returned: the metrics before and after training, those of the majority class, and a verdict."""
    from feathertune.folders.summary import Summary
    from feathertune.terminal.run_tables import before_after_table

    return before_after_table(result if isinstance(result, Summary) else Summary.of(dict(result), where="summary"))


def metrics(evaluated: Metrics) -> RenderableType:
    """One evaluation: each metric with its 95% interval."""
    from feathertune.terminal.run_tables import metrics_table

    return metrics_table(evaluated)


def predictions(results: Sequence[Prediction]) -> RenderableType:
    """One line for each text: its label, and the probability of each label."""
    from feathertune.serving.outputs import Answer
    from feathertune.terminal.prediction_table import predictions_table

    names = tuple(results[0].probabilities) if results else ()
    return predictions_table([Answer(row, one.text, one, {}) for row, one in enumerate(results, start=1)], names)


def pictures(run: Path | str) -> dict[str, Figure]:
    """Name -> Matplotlib figure of a finished run, drawn from its files: accuracy, loss, metrics, roc, and others.

    A notebook shows a figure that is the last expression of a cell (`%matplotlib inline`).
    """
    from feathertune.folders.run import open_run
    from feathertune.folders.summary import Summary
    from feathertune.report.facts import RunFacts
    from feathertune.report.figures.canvas import plain
    from feathertune.report.pictures import run_pictures

    folder = open_run(Path(run))
    facts = RunFacts(folder, Summary.read(folder.summary))
    figures = {name: plain(picture.figure) for name, picture in run_pictures(facts).items()}
    for figure in figures.values():
        figure.set_dpi(DPI)
    return figures
