"""The predictor: texts in, labels with probabilities out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from feathertune.baselines.baseline import baseline_logits
from feathertune.baselines.files import load_baseline
from feathertune.errors import UserError
from feathertune.evaluation.calibration import read_decision
from feathertune.export.exported import ExportedModel
from feathertune.folders.export import is_export
from feathertune.folders.run import RunFolder, open_run
from feathertune.model.precision import Precision
from feathertune.prediction.decision import Decision
from feathertune.prediction.inference import predict_logits
from feathertune.recipe.files import load_recipe
from feathertune.recipe.schema import BASELINES, DataSection, Recipe
from feathertune.run.load import TrainedModel, load_trained
from feathertune.tokens.tokenized import tokenize


@dataclass(frozen=True)
class Prediction:
    """The answer for one text: the label decided on, its probability, and every label's probability.

    The label is the likeliest, unless the run has a threshold of its own.
    """

    text: str
    label: str
    score: float
    probabilities: dict[str, float]


class _Model(Protocol):
    """What answers: a run's model, or an export in its runtime."""

    @property
    def label_names(self) -> tuple[str, ...]: ...

    @property
    def data(self) -> DataSection: ...

    @property
    def decision(self) -> Decision: ...

    def logits(self, texts: Sequence[str]) -> npt.NDArray[np.float32]: ...


class _RunModel:
    def __init__(self, trained: TrainedModel) -> None:
        self._trained = trained
        self.label_names = trained.classifier.label_names
        self.data = trained.recipe.data
        self.decision = trained.decision

    def logits(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return predict_logits(
            self._trained.classifier, tokenize(self._trained.tokenizer, texts, self._trained.max_length)
        )


class _BaselineModel:
    def __init__(self, run: RunFolder, recipe: Recipe) -> None:
        self._baseline = load_baseline(run.baseline)
        self.label_names, self.data = self._baseline.label_names, recipe.data
        self.decision = read_decision(run.calibration, recipe.evaluation)

    def logits(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return baseline_logits(self._baseline, texts)


def _open(path: Path, base: str | None, precision: Precision) -> _Model:
    whole = "an export" if is_export(path) else None
    if whole is None:
        recipe = load_recipe(open_run(path).recipe)
        if recipe.method not in BASELINES:
            return _RunModel(load_trained(path, base, precision=precision))
        whole = "a baseline's run"
    if base is not None:
        raise UserError(f"{whole} holds the whole model", where="--base", fix="Leave --base out.")
    if precision != "fp32":
        raise UserError(f"{whole} has a precision of its own", where=f"precision {precision}")
    return ExportedModel(path) if is_export(path) else _BaselineModel(RunFolder(path), recipe)


class Predictor:
    """A finished run, asked about new texts.

    ```python
    predictor = Predictor("runs/quickstart")
    predictor.predict("how do magnets work?")[0].label
    ```
    """

    def __init__(
        self, run: str | Path | TrainedModel, *, base: str | None = None, precision: Precision = "fp32"
    ) -> None:
        """Open the run folder or export folder `run` (see `load_trained` for the options and the errors raised)."""
        if isinstance(run, TrainedModel) and (base is not None or precision != "fp32"):
            raise UserError("the model is open already: base and precision are those it was opened with")
        self._model: _Model = _RunModel(run) if isinstance(run, TrainedModel) else _open(Path(run), base, precision)

    @property
    def label_names(self) -> tuple[str, ...]:
        """Class index -> name."""
        return self._model.label_names

    @property
    def data(self) -> DataSection:
        """How the data was laid out that the model was trained on."""
        return self._model.data

    def predict(self, texts: str | Sequence[str]) -> list[Prediction]:
        """One prediction a text, in order. A text's answer does not depend on which others are asked with it.

        Raises:
            UserError: what is no text (None, a number, bytes), or is empty or only white space; a table or mapping.
        """
        texts = _checked(texts)
        if not texts:
            return []
        decision = self._model.decision
        probabilities_NC = decision.probabilities(self._model.logits(texts))
        predictions = []
        chosen_N = decision.classes(probabilities_NC).tolist()
        for text, chosen, probabilities_C in zip(texts, chosen_N, probabilities_NC.tolist(), strict=True):
            named = dict(zip(self.label_names, probabilities_C, strict=True))
            predictions.append(Prediction(text, self.label_names[chosen], probabilities_C[chosen], named))
        return predictions


def _checked(texts: str | Sequence[str]) -> list[str]:
    """The texts, each of which is one. What callers hand over is often a column with holes, hence the plain words."""
    if isinstance(texts, str):
        texts = [texts]
    if isinstance(texts, bytes | Mapping) or hasattr(texts, "columns") or not isinstance(texts, Iterable):
        raise UserError(
            f"a text or a list of texts is wanted, not {type(texts).__name__}",
            fix="Of a table or a mapping give the texts themselves, such as list(table['text']).",
        )
    texts = list(texts)
    for number, text in enumerate(texts, start=1):
        if not isinstance(text, str):
            raise UserError(f"not a text but {repr(text)[:40]}", where=f"text {number}")
        if not text.strip():
            raise UserError("the text is empty", where=f"text {number}")
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise UserError("the text is not valid UTF-8", where=f"text {number}")
    return texts
