"""A run's model for the predictor. Only this part of it imports torch, which takes seconds and exports do without."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from threading import Lock

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer

from feathertune.prediction.inference import predict_logits
from feathertune.run.load import TrainedModel


class RunModel:
    """Predicts with a loaded model; see `Predictor` for `threads` and `independent`."""

    def __init__(self, trained: TrainedModel, threads: int | None, *, independent: bool) -> None:
        self._trained, self._threads, self._independent = trained, threads, independent
        self._tokenizing = Lock()  # truncation is set and unset in the tokenizer
        self.label_names = trained.classifier.label_names
        self.data = trained.recipe.data
        self.decision = trained.decision
        self.max_length: int | None = trained.max_length

    def logits_and_cuts(self, texts: Sequence[str]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """[N, C] for N texts, and [N]: which of them were cut."""
        with self._tokenizing:
            tokens = self._trained.tokenize(texts)
        logits_NC = predict_logits(self._trained.classifier, tokens, independent=self._independent)
        return logits_NC, tokens.full_lengths > tokens.lengths

    @cached_property
    def _counting(self) -> Tokenizer:
        """A copy, since truncation is set and unset in the tokenizer while another thread may count."""
        copy: Tokenizer = Tokenizer.from_str(self._trained.tokenizer.backend_tokenizer.to_str())
        copy.no_truncation()
        copy.no_padding()
        return copy

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has, before it is cut."""
        return [len(encoding) for encoding in self._counting.encode_batch_fast(list(texts))]

    def begin_thread(self) -> None:
        """Each thread of Python has threads of OpenMP of its own."""
        if self._threads is not None:
            torch.set_num_threads(self._threads)
