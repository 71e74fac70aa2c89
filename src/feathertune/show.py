"""What people look at, on a terminal or in a notebook: tables for rich's `print`, pictures that a notebook draws.

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

from feathertune.system.files import read_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import RenderableType

    from feathertune.evaluation.metrics import Metrics
    from feathertune.serving.predictor import Prediction

DPI = 100  # of a picture in a notebook


def data(source: str, overrides: list[str] | None = None, **columns: Any) -> RenderableType:
    """Counts, lengths, labels, duplicates, leaks and examples of a recipe's data, or of a bare source.

    Arguments and errors are those of `feathertune.inspect_data`.
    """
    from feathertune.run.inspect import inspect_source
    from feathertune.terminal.data_tables import render

    return render(inspect_source(source, overrides, **columns))


def model(source: str, overrides: list[str] | None = None) -> RenderableType:
    """A recipe's model, or a bare one, as a tree, with what the method adapts and the parameter counts."""
    from rich.console import Group

    from feathertune.model.adapt import count_parameters
    from feathertune.run.inspect import inspect_base
    from feathertune.terminal.model_tree import draw_model

    classifier = inspect_base(source, overrides)
    return Group(draw_model(classifier), str(count_parameters(classifier)))


def tokens(source: str, texts: Sequence[str]) -> RenderableType:
    """What a model's tokenizer makes of some texts: the pieces, and how many they are."""
    from rich.table import Table
    from rich.text import Text

    from feathertune.model.sources import find_base
    from feathertune.tokens.loading import load_counter
    from feathertune.wording.visible import visible

    base = find_base(source)
    counter = load_counter(base.folder, base.gguf_file)
    counter.no_padding()  # some models' files ask for it
    table = Table()
    for header in ("text", "tokens", "count"):
        table.add_column(header)
    for text in texts:
        pieces = counter.encode(text).tokens
        table.add_row(Text(visible(text)), Text(visible(" ".join(pieces))), str(len(pieces)))
    return table


def summary(content: Mapping[str, Any]) -> RenderableType:
    """Before, after and the majority class, from what `train` returned, with a verdict in words."""
    from feathertune.terminal.run_tables import before_after_table

    return before_after_table(content)


def metrics(evaluated: Metrics) -> RenderableType:
    """One evaluation, each metric with its 95% interval."""
    from feathertune.terminal.run_tables import metrics_table

    return metrics_table(evaluated.to_json())


def predictions(answers: Sequence[Prediction]) -> RenderableType:
    """One line a text: its label and each label's probability."""
    from feathertune.terminal.prediction_table import predictions_table

    names = tuple(answers[0].probabilities) if answers else ()
    return predictions_table(enumerate(answers, start=1), names)


def pictures(run: Path | str) -> dict[str, Figure]:
    """Name -> Matplotlib figure of a finished run, drawn from its files: accuracy, loss, metrics, roc, ...

    A notebook draws a figure that is a cell's last expression (`%matplotlib inline`).
    """
    from feathertune.folders.run import open_run
    from feathertune.report.facts import RunFacts
    from feathertune.report.figures.canvas import plain
    from feathertune.report.pictures import run_pictures

    folder = open_run(Path(run))
    drawn = {name: plain(one.figure) for name, one in run_pictures(RunFacts(folder, read_json(folder.summary))).items()}
    for figure in drawn.values():
        figure.set_dpi(DPI)
    return drawn
