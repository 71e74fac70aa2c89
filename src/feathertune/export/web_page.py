"""The target `web`: an ONNX export with a page that computes in the browser, checked in Chromium and Node.js."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from feathertune.errors import UserError
from feathertune.export.onnx import require_onnx
from feathertune.export.parity import Outputs
from feathertune.export.ways import MAX_SINGLE, Ways, chosen_rows
from feathertune.folders.export import ExportDescription, ExportFolder, is_export
from feathertune.folders.parity import Parity
from feathertune.prediction.decision import Decision
from feathertune.run.load import TrainedModel
from feathertune.system.cores import usable_cores
from feathertune.system.files import read_json
from feathertune.web.chromium import require_chromium
from feathertune.web.engine import Answers, find_node, in_chromium, in_node
from feathertune.web.packages import require_packages
from feathertune.web.pages import MAX_BESIDE, write_page

ROUNDING = 1e-6  # of a probability
_COPIED = ("export.json", "labels.json", "parity.json", "tokenizer.json", "tokenizer_config.json", "onnx")


def require_web() -> None:
    """Raise a UserError if something is missing that writes or checks the page."""
    require_onnx()
    require_packages()
    require_chromium()


def write_web_page(trained: TrainedModel, folder: ExportFolder, beside: Sequence[Path]) -> None:
    """Complete an ONNX export with the page, and with other web exports whose answers it shows beside its own."""
    name = trained.run.path.resolve().name
    others = check_beside(beside, trained.classifier.label_names, name)
    for other, source in others.items():
        place = folder.path / "beside" / other
        place.mkdir(parents=True)
        for part in _COPIED:
            copy = shutil.copytree if (source / part).is_dir() else shutil.copyfile
            copy(source / part, place / part)
    write_page(folder.path, {name: "."} | {other: f"beside/{other}" for other in others}, require_packages())


def check_beside(beside: Sequence[Path], label_names: Sequence[str], name: str) -> dict[str, Path]:
    """Name -> folder of web exports that a page of these labels can show. Raises UserError if one cannot be shown."""
    if len(beside) > MAX_BESIDE:
        raise UserError(f"a page shows {MAX_BESIDE + 1} models at most", where="--beside", fix=f"Give {MAX_BESIDE}.")
    others: dict[str, Path] = {}
    for path in beside:
        where = f"--beside {path}"
        folder = ExportFolder(path)
        if not is_export(path) or ExportDescription.read(folder.description).target != "web":
            raise UserError("this is not an export for browsers", where=where, fix="Make it with --to web.")
        if not Parity.read(folder.parity).passed:
            raise UserError("the parity gate has refused this export", where=where, fix="Leave it out.")
        if sorted(read_json(folder.labels)) != sorted(label_names):
            raise UserError("this export has other labels", where=where, fix="Models are compared on the same labels.")
        other = read_json(path / "page" / "models.json")[0]["name"]
        if other in {name, *others}:
            raise UserError(
                f"two models of the page would be called {other}",
                where=where,
                fix="The name is that of the run's folder: rename one, and export it again.",
            )
        others[other] = path
    return others


def predict_in_browser(folder: ExportFolder, texts: Sequence[str], trained: TrainedModel, _base: str | None) -> Outputs:
    """All texts in headless Chromium, on one thread, since most hosts do not send the headers that more would need."""
    # The page reads parity.json, which is not there yet, for its heading only; the gate's page has no heading.
    return outputs_of_page(
        "Chromium, one thread", in_chromium(folder.path, texts, isolated=False), trained, texts, None
    )


def browser_ways(folder: ExportFolder, texts: Sequence[str], trained: TrainedModel, _base: str | None) -> Ways:
    """All texts in Node.js, and some in a Chromium whose page may use several threads."""
    outputs, not_checked = [], []
    if (node := find_node()) is None:
        not_checked.append("in Node.js, which is not installed")
    else:
        outputs.append(outputs_of_page("Node.js, one thread", in_node(node, folder.path, texts), trained, texts, None))
    if usable_cores() == 1:
        not_checked.append("in Chromium with several threads: this machine has one core")
    else:
        rows_K = chosen_rows(texts, MAX_SINGLE)
        chosen = [texts[row] for row in rows_K.tolist()]
        answers = in_chromium(folder.path, chosen, isolated=True)
        if answers.isolated:
            outputs.append(outputs_of_page("Chromium, several threads", answers, trained, chosen, rows_K))
        else:
            not_checked.append("in Chromium with several threads: it did not isolate the page")
    return Ways(tuple(outputs), tuple(not_checked))


def outputs_of_page(
    how: str, answers: Answers, trained: TrainedModel, texts: Sequence[str], rows_K: npt.NDArray[np.int64] | None
) -> Outputs:
    """The engine's logits for the texts (those of `rows_K`), and in what its tokens and its labels are not ours."""
    refused = []
    ours = trained.tokenize(list(texts))
    if other := [index for index, ids in enumerate(answers.tokens) if ids != ours[index].tolist()]:
        refused.append(f"the tokens of {len(other)} texts differ, the first of them of {texts[other[0]]!r:.80}")
    probabilities_NC = trained.decision.probabilities(answers.logits_NC)
    chosen_N = trained.decision.classes(probabilities_NC)
    theirs_N = np.array([trained.classifier.label_names.index(label) for label in answers.labels])
    if wrong := int(((chosen_N != theirs_N) & ~_tied(probabilities_NC, trained.decision)).sum()):
        refused.append(f"{wrong} labels do not follow from the logits by temperature and threshold")
    return Outputs(how, answers.logits_NC, rows_K, refused=tuple(refused), milliseconds=answers.milliseconds)


def _tied(probabilities_NC: npt.NDArray[np.float64], decision: Decision) -> npt.NDArray[np.bool_]:
    """[N]: where rounding may decide, since they compute in float64 and we in part in float32."""
    if probabilities_NC.shape[1] == 2:
        return np.abs(probabilities_NC[:, 1] - decision.threshold) < ROUNDING
    second_N, first_N = np.sort(probabilities_NC, axis=1)[:, -2:].T
    return np.asarray(first_N - second_N < ROUNDING)
