"""Predicting with an export folder: onnxruntime or ExecuTorch, and the tokenizers library."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from feathertune.errors import TextError, UserError, in_short
from feathertune.export.exact_products import OPTION, option_is_needed
from feathertune.export.openvino import OpenvinoRuntime
from feathertune.folders.export import ExportDescription, ExportFolder, Need, Target
from feathertune.prediction.decision import Decision
from feathertune.recipe.schema import DataSection
from feathertune.system.cores import usable_cores
from feathertune.system.files import read_json
from feathertune.tokens.checks import no_row

OnnxRuntimeName = Literal["onnxruntime", "openvino"]
TOKEN_BUDGET = 1024  # tokens of a batch


class Runtime(Protocol):
    """Runs an exported model."""

    def logits(self, ids_BL: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """[B, L] token ids of texts of one length -> [B, C]."""
        ...


class ExportedModel:
    """An export folder that predicts. Nothing of the training code is used."""

    def __init__(
        self, path: Path, threads: int | None = None, runtime: OnnxRuntimeName | Runtime | None = None
    ) -> None:
        """Open the export folder at `path`.

        Args:
            path: the folder.
            threads: of onnxruntime or OpenVINO; by default one per core.
            runtime: of an ONNX export, by default onnxruntime; or an open one, which benchmarks give.

        Raises:
            UserError: the folder is damaged, its target has no runtime here, or the runtime is not installed.
        """
        from tokenizers import Tokenizer

        folder = ExportFolder(path)
        self.description = ExportDescription.read(folder.description)
        _require_runtime(folder, self.description)
        names = read_json(folder.labels)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise UserError("this is not a list of label names", where=str(folder.labels))
        self.label_names: tuple[str, ...] = tuple(names)
        try:
            self._tokenizer = Tokenizer.from_file(str(folder.tokenizer))
        except Exception as error:  # the tokenizers library raises Exception itself
            raise UserError(f"cannot load the tokenizer: {in_short(error)}", where=str(folder.tokenizer)) from None
        if runtime is None or isinstance(runtime, str):
            runtime = _runtime(folder, self.description, threads, runtime)
        self._runtime: Runtime = runtime

    @property
    def data(self) -> DataSection:
        """The layout of the data that the model was trained on."""
        return self.description.data

    @property
    def decision(self) -> Decision:
        """How its logits become labels."""
        return Decision(self.description.temperature, self.description.threshold)

    @property
    def max_length(self) -> int:
        """Tokens; longer texts are cut."""
        return self.description.max_length

    def logits(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """[N, C] float32, in the order of `texts`.

        A batch holds texts of one length: nothing is padded, and no text's prediction depends on another's.
        """
        return self.logits_and_cuts(texts)[0]

    def logits_and_cuts(self, texts: Sequence[str]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """The same, and [N]: which texts were cut at `max_length` tokens."""
        encodings = self._tokenizer.encode_batch(list(texts))
        ids = [encoding.ids for encoding in encodings]
        cut_N = np.array([bool(encoding.overflowing) for encoding in encodings], dtype=np.bool_)
        lengths_N = np.array([len(row) for row in ids], dtype=np.int64)
        if not lengths_N.all():
            empty = int((lengths_N == 0).argmax())
            raise TextError(f"the text {texts[empty]!r} has no tokens", empty, fix="Leave out empty texts.")
        logits_NC = np.empty((len(ids), len(self.label_names)), dtype=np.float32)
        for length in np.unique(lengths_N).tolist():
            (rows_N,) = np.nonzero(lengths_N == length)
            size = max(1, TOKEN_BUDGET // length)
            for begin in range(0, len(rows_N), size):
                rows_B = rows_N[begin : begin + size]
                ids_BL = np.array([ids[row] for row in rows_B], dtype=np.int64)
                self._check(ids_BL, rows_B, texts)
                logits_NC[rows_B] = self._runtime.logits(ids_BL)
        return logits_NC, cut_N

    @cached_property
    def _counting(self) -> Any:
        """A tokenizer that does not cut."""
        from tokenizers import Tokenizer

        copy = Tokenizer.from_str(self._tokenizer.to_str())
        copy.no_truncation()
        return copy

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has, before it is cut."""
        return [len(encoding) for encoding in self._counting.encode_batch_fast(list(texts))]

    def begin_thread(self) -> None:
        """The runtime has threads of its own, as many as it was opened with."""

    def padded_logits(self, texts: Sequence[str], batch: int) -> npt.NDArray[np.float32]:
        """The same for an ONNX export in batches of `batch` texts as they come, padded on the right with id 0."""
        assert isinstance(self._runtime, OnnxRuntime | OpenvinoRuntime)
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        parts = []
        for begin in range(0, len(ids), batch):
            lengths_B = np.array([len(row) for row in ids[begin : begin + batch]])
            mask_BL = np.arange(lengths_B.max()) < lengths_B[:, None]
            ids_BL = np.zeros(mask_BL.shape, dtype=np.int64)
            ids_BL[mask_BL] = np.concatenate(ids[begin : begin + batch])
            self._check(ids_BL, np.arange(begin, begin + len(ids_BL)), texts)
            parts.append(self._runtime.logits(ids_BL, mask_BL.astype(np.int64)))
        return np.concatenate(parts)

    def _check(self, ids_BL: npt.NDArray[np.int64], rows_B: npt.NDArray[np.int64], texts: Sequence[str]) -> None:
        """Raise a TextError if a token has no embedding: a runtime would crash, or read beyond its end."""
        vocabulary = self.description.vocabulary
        if vocabulary is not None and ids_BL.max() >= vocabulary:
            row, position = np.argwhere(ids_BL >= vocabulary)[0]
            index = int(rows_B[row])
            raise no_row(int(ids_BL[row, position]), vocabulary, self._tokenizer, texts[index], index)


class OnnxRuntime:
    """model.onnx in onnxruntime, on the CPU."""

    def __init__(self, path: Path, threads: int | None = None, needs: Sequence[Need] = ()) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise UserError(
                "an ONNX export needs onnxruntime, which is not installed", fix="pip install 'feathertune[onnx]'"
            ) from None
        options = session_options(threads, needs)
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions have no common type of their own
            message, fix = in_short(error), None
            if "opset" in message:  # 'Current official support for domain ai.onnx is till opset N'
                installed = f"onnxruntime {onnxruntime.__version__}"
                fix = f"Installed is {installed}: pip install -U onnxruntime, or export with a lower --opset."
            raise UserError(f"onnxruntime cannot load the model: {message}", where=str(path), fix=fix) from None

    def logits(
        self, ids_BL: npt.NDArray[np.int64], mask_BL: npt.NDArray[np.int64] | None = None
    ) -> npt.NDArray[np.float32]:
        """[B, L], and the attention mask [B, L] where texts are padded -> [B, C]."""
        feed = {"input_ids": ids_BL, "attention_mask": np.ones_like(ids_BL) if mask_BL is None else mask_BL}
        logits_BC: npt.NDArray[np.float32] = self._session.run(["logits"], feed)[0]
        return logits_BC


def session_options(threads: int | None = None, needs: Sequence[Need] = ()) -> Any:
    """Onnxruntime's options for an export that needs this. Raises UserError if its products cannot be made exact."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    if threads is None and (cores := usable_cores()) < (os.cpu_count() or 1):
        threads = cores  # by itself it counts the machine's
    if threads is not None:
        options.intra_op_num_threads = threads
    if "exact-int8-products" in needs and option_is_needed():
        options.add_session_config_entry(OPTION, "1")
    options.log_severity_level = 3
    return options


def _onnxruntime(folder: ExportFolder, description: ExportDescription, threads: int | None) -> Runtime:
    return OnnxRuntime(folder.onnx, threads, description.needs)


def _openvino(folder: ExportFolder, _description: ExportDescription, threads: int | None) -> Runtime:
    return OpenvinoRuntime(folder.onnx, threads)


def _executorch(folder: ExportFolder, _description: ExportDescription, _threads: int | None) -> Runtime:
    from feathertune.export.executorch import ExecutorchRuntime

    return ExecutorchRuntime(folder.executorch)


@dataclass(frozen=True)
class RuntimeEntry:
    """One runtime: the targets whose exports it runs, and how it opens one (with a number of threads)."""

    targets: tuple[Target, ...]
    open: Callable[[ExportFolder, ExportDescription, int | None], Runtime]


RUNTIMES: dict[str, RuntimeEntry] = {  # the first one of a target is its default
    "onnxruntime": RuntimeEntry(("onnx", "web"), _onnxruntime),
    "openvino": RuntimeEntry(("onnx",), _openvino),
    "executorch": RuntimeEntry(("executorch",), _executorch),
}


def _runtime(
    folder: ExportFolder, description: ExportDescription, threads: int | None, name: OnnxRuntimeName | None
) -> Runtime:
    of_target = {key: entry for key, entry in RUNTIMES.items() if description.target in entry.targets}
    if name is not None and name not in of_target:
        raise UserError(
            f"only an ONNX export has a choice of runtimes, and this one is of the target {description.target}",
            where=f"--runtime {name}",
            fix="Leave --runtime out.",
        )
    chosen = of_target[name] if name is not None else next(iter(of_target.values()))
    return chosen.open(folder, description, threads)


def _require_runtime(folder: ExportFolder, description: ExportDescription) -> None:
    if not any(description.target in entry.targets for entry in RUNTIMES.values()):
        raise UserError(
            f"an export of the target {description.target} is read by transformers or PEFT, not by `predict`",
            where=str(folder.path),
            fix="Predict with the run it was made from, or with an ONNX export.",
        )
