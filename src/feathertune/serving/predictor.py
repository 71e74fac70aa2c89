"""The predictor: texts in, labels with probabilities out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from feathertune.baselines.baseline import baseline_logits
from feathertune.baselines.files import load_baseline
from feathertune.data.texts import has_surrogates
from feathertune.errors import UserError
from feathertune.evaluation.calibration import read_decision
from feathertune.export.exported import ExportedModel, OnnxRuntimeName
from feathertune.folders.adapter import is_adapter
from feathertune.folders.export import is_export
from feathertune.folders.opened import OpenedRun
from feathertune.prediction.decision import Decision
from feathertune.prediction.finite import check_logits
from feathertune.recipe.schema import BASELINES, DataSection

if TYPE_CHECKING:  # for types alone: exports and baselines need no torch
    from feathertune.model.precision import Precision
    from feathertune.run.load import TrainedModel


@dataclass(frozen=True)
class Prediction:
    """The prediction for one text: the label, its probability, and the probability of every label.

    The label is the most likely one, unless the run has its own threshold. `truncated`: the text had more tokens than
    the model reads, `Predictor.max_length`, so the rest was not read. `logits`: the model's output in the order of the
    labels, before temperature and softmax.
    """

    text: str
    label: str
    score: float
    probabilities: dict[str, float]
    truncated: bool = False
    logits: tuple[float, ...] = ()


class _Model(Protocol):
    """What predicts: the model of a run, a baseline, or an export in its runtime."""

    @property
    def label_names(self) -> tuple[str, ...]: ...

    @property
    def data(self) -> DataSection: ...

    @property
    def decision(self) -> Decision: ...

    @property
    def max_length(self) -> int | None:
        """The tokens of a text that are read; None where all are."""
        ...

    def logits_and_cuts(self, texts: Sequence[str]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """[N, C] for N texts, and [N]: which of them were cut."""
        ...

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has, before it is cut."""
        ...


class _BaselineModel:
    def __init__(self, opened: OpenedRun) -> None:
        self._baseline = load_baseline(opened.folder.baseline)
        self.label_names, self.data = self._baseline.label_names, opened.recipe.data
        self.decision = read_decision(opened.folder.calibration, opened.recipe.evaluation)
        self.max_length: int | None = None

    def logits_and_cuts(self, texts: Sequence[str]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        return baseline_logits(self._baseline, texts), np.zeros(len(texts), dtype=np.bool_)

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]


class Predictor:
    """Predicts labels with the model of a finished run, or with an export of it.

    ```python
    predictor = Predictor("runs/quickstart")
    predictor.predict("how do magnets work?")[0].label
    ```
    """

    def __init__(
        self,
        run: str | Path | OpenedRun | TrainedModel,
        *,
        base: str | None = None,
        precision: Precision = "fp32",
        runtime: OnnxRuntimeName | None = None,
        independent: bool = False,
        threads: int | None = None,
    ) -> None:
        """Open a run folder or an export folder.

        Args:
            run: the folder, or what was opened from it.
            base, precision: of a run: see `load_trained`, also for the errors.
            runtime: of an ONNX export; by default onnxruntime.
            independent: a text's prediction is the same to the last bit whatever the other texts are, as in a server,
                for which a run takes up to half as long again; an export and a baseline are always so.
            threads: of an ONNX export, that its runtime computes with; by default one for each core. A run computes
                with torch's, see `torch.set_num_threads`.
        """
        opened = Path(run) if isinstance(run, str | Path) else run
        self._model = _open(opened, base, precision, runtime, independent=independent, threads=threads)

    @property
    def label_names(self) -> tuple[str, ...]:
        """Class index -> name."""
        return self._model.label_names

    @property
    def data(self) -> DataSection:
        """The layout of the data that the model was trained on."""
        return self._model.data

    @property
    def max_length(self) -> int | None:
        """How many tokens of a text are read; None for a baseline, which reads all."""
        return self._model.max_length

    @property
    def decision(self) -> Decision:
        """How the model's logits become probabilities and labels."""
        return self._model.decision

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has, before it is cut; of a baseline, how many words."""
        return self._model.token_counts(texts)

    def predict(self, texts: str | Sequence[str]) -> list[Prediction]:
        """One prediction for each text, in order. It does not depend on the other texts, but for rounding.

        Raises:
            UserError: something is not a text (None, a number, bytes), or is empty or only white space; `texts` is a
                table or a mapping; or (a `TextError`) a text has no tokens, or a token that the model has no
                embedding for, or a logit is not finite, because the weights are damaged.
        """
        texts = _checked(texts)
        if not texts:
            return []
        decision = self._model.decision
        logits_NC, cut_N = self._model.logits_and_cuts(texts)
        check_logits(logits_NC, lambda index: f"text {index + 1}")
        probabilities_NC = decision.probabilities(logits_NC)
        predictions = []
        classes_N = decision.classes(probabilities_NC).tolist()
        for text, index, probabilities_C, cut, logits_C in zip(
            texts, classes_N, probabilities_NC.tolist(), cut_N.tolist(), logits_NC.tolist(), strict=True
        ):
            by_label = dict(zip(self.label_names, probabilities_C, strict=True))
            predictions.append(
                Prediction(text, self.label_names[index], probabilities_C[index], by_label, cut, tuple(logits_C))
            )
        return predictions


def _open(
    run: Path | OpenedRun | TrainedModel,
    base: str | None,
    precision: Precision,
    runtime: OnnxRuntimeName | None,
    *,
    independent: bool,
    threads: int | None,
) -> _Model:
    if isinstance(run, Path) and is_export(run) and not is_adapter(run):
        _refuse_options("an export", base, precision)
        return ExportedModel(run, threads=threads, runtime=runtime)
    if runtime is not None:
        raise UserError(
            "only an ONNX export has a choice of runtimes", where=f"--runtime {runtime}", fix="Leave --runtime out."
        )
    opened = OpenedRun.at(run) if isinstance(run, Path) else run
    if isinstance(opened, OpenedRun) and opened.recipe.method in BASELINES:
        _refuse_options("the run of a baseline", base, precision)
        return _BaselineModel(opened)
    from feathertune.run.load import load_trained
    from feathertune.serving.run_model import RunModel

    if isinstance(opened, OpenedRun):
        return RunModel(load_trained(opened, base, precision=precision), independent=independent)
    if base is not None or precision != "fp32":
        raise UserError("the model is already loaded, so its base and precision cannot be changed")
    return RunModel(opened, independent=independent)


def _refuse_options(kind: str, base: str | None, precision: Precision) -> None:
    """Raise a UserError for options that only a run with a base model has."""
    if base is not None:
        raise UserError(f"{kind} holds the whole model", where="--base", fix="Leave --base out.")
    if precision != "fp32":
        raise UserError(f"{kind} has its own precision", where=f"precision {precision}")


def _checked(texts: str | Sequence[str]) -> list[str]:
    """The texts as a list. Callers often pass a column with missing values, hence the plain messages."""
    if isinstance(texts, str):
        texts = [texts]
    if isinstance(texts, bytes | Mapping) or hasattr(texts, "columns") or not isinstance(texts, Iterable):
        raise UserError(
            f"expected a text or a list of texts, not {type(texts).__name__}",
            fix="From a table or a mapping, give the texts themselves, such as list(table['text']).",
        )
    texts = list(texts)
    for number, text in enumerate(texts, start=1):
        if not isinstance(text, str):
            raise UserError(f"not a text but {repr(text)[:40]}", where=f"text {number}")
        if not text.strip():
            raise UserError("the text is empty", where=f"text {number}")
        if has_surrogates(text):
            raise UserError("the text is not valid UTF-8", where=f"text {number}")
    return texts
