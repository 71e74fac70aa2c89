"""Everything a run needs, loaded and checked before anything is trained or written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from feathertune.data.example import Dataset, Split
from feathertune.data.loading import load_dataset
from feathertune.data.overlap import Overlap, find_overlap
from feathertune.data.remarks import Reading
from feathertune.data.statistics import describe
from feathertune.data.texts import StoredTexts, iterate
from feathertune.evaluation.calibration import check_threshold
from feathertune.evaluation.defined import check_maximized, check_metric
from feathertune.folders.adapter import is_adapter
from feathertune.folders.inputs import BaseRecord, DataRecord
from feathertune.folders.run import RunFolder
from feathertune.model.adapt import LoraShape, copy_trained, count_parameters, trainable_state
from feathertune.model.classifier import PackedClassifier, ParameterCount
from feathertune.model.precision import PrecisionChoice, choose_precision, set_precision
from feathertune.model.sources import BaseFiles, find_base
from feathertune.quantization.scheme import Plan, Scheme, plan_quantization
from feathertune.recipe.schema import DataSection, QuantizeSection, Recipe
from feathertune.run.adapter import tokenizer_files
from feathertune.run.build import ModelBuilder, free
from feathertune.run.checks import check_max_length, check_prefix_sharing, longest_text
from feathertune.run.start import find_start
from feathertune.system.files import expanded
from feathertune.tokens.checks import check_ids, check_known, check_vocabulary, unknown_share
from feathertune.tokens.loading import load_base_tokenizer
from feathertune.tokens.run_tokenizer import run_tokenizer
from feathertune.tokens.special_tokens import count_texts_with, special_tokens
from feathertune.tokens.tokenized import TokenizedTexts, tokenize


@dataclass(frozen=True)
class Prepared:
    """What every run needs.

    Attributes:
        recipe: the run's.
        dataset: the splits.
    """

    recipe: Recipe
    dataset: Dataset

    @property
    def train(self) -> Split:
        """The split to train on."""
        return self.dataset.splits["train"]

    @property
    def evaluated(self) -> list[Split]:
        """The splits to evaluate: all except train."""
        return [split for name, split in self.dataset.splits.items() if name != "train"]

    @cached_property
    def data_record(self) -> DataRecord:
        """The content of data.json."""
        return describe(self.dataset, None)

    def base_record(self) -> BaseRecord | None:
        """The content of base.json, or None without a base model."""
        return None


@dataclass(frozen=True)
class PreparedBaseline(Prepared):
    """A run of a baseline: majority or bag_of_words."""


@dataclass(frozen=True)
class PreparedRun(Prepared):
    """A run that trains a transformer.

    Attributes:
        overlap: texts that occur more than once.
        tokenizer: the base model's, with the prompt (see `run_tokenizer`).
        texts: split name -> its texts, tokenized.
        builder: builds the model, at any time.
        base_checksums: file of the base (weights, config, tokenizer) -> sha256.
        classifier: the base with its head, adapted by the method, in float32.
        lora: the shape of the LoRA layers, or None.
        precision: what the layers compute in during training, and why.
        count: the model's parameters, and the trained ones, those of all members of a model soup included.
        plan: what is quantized in the end, or None.
        start: the finished run that training starts from, or None.
        tokenizer_warnings: what a person should know about the base's tokenizer.
        reading: how the model reads the texts.
        retokenized: whether earlier versions gave some texts other tokens, apart from special ones.
    """

    overlap: Overlap
    tokenizer: Any
    texts: dict[str, TokenizedTexts]
    builder: ModelBuilder
    base_checksums: dict[str, str]
    classifier: PackedClassifier
    lora: LoraShape | None
    precision: PrecisionChoice
    count: ParameterCount
    plan: Plan | None = None
    start: RunFolder | None = None
    tokenizer_warnings: tuple[str, ...] = ()
    reading: Reading | None = None
    retokenized: bool = False

    @property
    def special_token_texts(self) -> dict[str, int]:
        """Split -> how many texts contain a special token, written out."""
        return {} if self.reading is None else dict(self.reading.special_texts)

    @cached_property
    def data_record(self) -> DataRecord:
        """The content of data.json."""
        tokens = {name: texts.full_lengths for name, texts in self.texts.items()}
        record = describe(self.dataset, tokens, overlap=self.overlap, reading=self.reading)
        truncated = {name: texts.truncated for name, texts in self.texts.items()}
        update = {"truncated_texts": truncated, "special_token_texts": self.special_token_texts}
        return record.model_copy(update=update)

    def base_record(self) -> BaseRecord | None:
        """The content of base.json."""
        base = self.builder.base
        return BaseRecord(
            source=base.source,
            revision=base.revision,
            folder=str(base.folder / (base.gguf_file or "")),
            architecture=type(self.classifier.model).__name__,
            model_type=self.classifier.model.config.model_type,
            max_length=self.recipe.model.max_length,
            sha256=self.base_checksums,
        )


def prepare_baseline(recipe: Recipe) -> PreparedBaseline:
    """Load and check the data of a baseline. Raises UserError for anything wrong with data or recipe."""
    dataset = load_dataset(recipe.data, recipe.training.seed)
    _check_choices(recipe, dataset)
    return PreparedBaseline(_with_columns(recipe, dataset), dataset)


def prepare(recipe: Recipe, device: torch.device, started: RunFolder | None = None) -> PreparedRun:
    """Load and check everything that training needs. Writes nothing.

    Args:
        recipe: the run's.
        device: where the model computes.
        started: the folder of a run to resume: data and base are those of the Hub commits that it started with.

    Raises:
        UserError: anything wrong with data, model or recipe.
    """
    data, revision = (recipe.data, recipe.model.revision) if started is None else _pinned(recipe, started)
    dataset = load_dataset(data, recipe.training.seed)
    recipe = _with_columns(recipe, dataset)
    _check_choices(recipe, dataset)
    base = find_base(recipe.model.source, revision)
    model = recipe.model
    of_base = load_base_tokenizer(*_tokenizer_files(recipe, base))
    tokenizer = run_tokenizer(
        of_base.tokenizer, prompt=model.prompt, max_length=model.max_length, special=model.special_tokens_in_text
    )
    texts = {
        name: tokenize(tokenizer, iterate(split.texts), model.max_length, split.place)
        for name, split in dataset.splits.items()
    }
    unknown = unknown_share(texts["train"], tokenizer)
    check_known(unknown, tokenizer.unk_token, StoredTexts(dataset.splits["train"].texts), base.source)
    checksums = base.checksums()
    start = None if recipe.init_from is None else find_start(recipe, dataset, checksums)
    builder = ModelBuilder(recipe, base, dataset.label_names, device, tokenizer)
    classifier, lora = builder.build() if start is None else builder.build_like(start)
    check_max_length(classifier, model.max_length)
    rows = classifier.model.config.vocab_size
    check_vocabulary(tokenizer, rows, base.source)
    for name, split in dataset.splits.items():
        check_ids(texts[name], rows, tokenizer, StoredTexts(split.texts).__getitem__, split.place)
    if recipe.training.share_prefixes:
        check_prefix_sharing(classifier)
    overridden = of_base.overridden(iterate(dataset.splits["train"].texts))
    return PreparedRun(
        recipe=recipe,
        dataset=dataset,
        overlap=find_overlap(dataset),
        tokenizer=tokenizer,
        texts=texts,
        builder=builder,
        base_checksums=checksums,
        classifier=classifier,
        lora=lora,
        precision=choose_precision(recipe.training.precision, device),
        count=count_parameters(classifier, recipe.lora.members),
        plan=None if recipe.quantize is None else plan_quantization(classifier, _scheme(recipe.quantize)),
        start=start,
        tokenizer_warnings=(*of_base.warnings, *(() if overridden is None else (overridden,))),
        reading=Reading(
            base=base.source,
            max_length=model.max_length,
            limit=longest_text(classifier),
            around=len(tokenizer.backend_tokenizer.encode("").ids),
            unknown_share=unknown,
            unknown_token=tokenizer.unk_token,
            special_texts=count_special(dataset, special_tokens(of_base.tokenizer)),
            special_as=model.special_tokens_in_text,
        ),
        retokenized=of_base.changed or overridden is not None,
    )


def count_special(dataset: Dataset, special: tuple[str, ...]) -> dict[str, int]:
    """Split -> how many of its texts contain one of the special tokens, written out."""
    return {name: count_texts_with(special, split.texts) for name, split in dataset.splits.items()}


def in_float32(prepared: PreparedRun) -> PreparedRun:
    """The run with its model as it will be deployed: in float32, with the trained weights (or those of its start).

    Training in bfloat16 keeps no float32 copy of the frozen weights, so the base is loaded again. It is also loaded
    again for quantization, so that QAT starts from a model in which nothing is left of the first training's layers.
    """
    if prepared.plan is None and prepared.precision.precision == "fp32":
        return prepared
    if prepared.recipe.method == "full":  # its weights are float32 in any precision
        set_precision(prepared.classifier, "fp32")
        return prepared
    if prepared.start is not None:
        free(prepared.classifier)
        classifier, _ = prepared.builder.build_trained(prepared.start)
    else:
        state = {name: tensor.detach().clone() for name, tensor in trainable_state(prepared.classifier).items()}
        free(prepared.classifier)
        classifier, _ = prepared.builder.build(prepared.lora)
        copy_trained(state, classifier)
    return replace(prepared, classifier=classifier)


def _pinned(recipe: Recipe, started: RunFolder) -> tuple[DataSection, str | None]:
    """The recipe's data and its base's revision, at the Hub commits that the run started with: branches move on."""
    data, revision = recipe.data, recipe.model.revision
    if not (started.data.is_file() and started.base.is_file()):
        return data, revision
    commit = DataRecord.read(started.data).origin.get("revision", data.revision)
    return data.model_copy(update={"revision": commit}), BaseRecord.read(started.base).revision or revision


def _with_columns(recipe: Recipe, dataset: Dataset) -> Recipe:
    """The recipe with the columns that were found."""
    section = dataset.section
    if section is None:
        return recipe
    found = {"text": section.text, "label": section.label, "own_columns": True}
    return recipe.model_copy(update={"data": recipe.data.model_copy(update=found)})


def _check_choices(recipe: Recipe, dataset: Dataset) -> None:
    """Raise a UserError if what the recipe chooses on validation cannot be chosen there.

    A baseline has no epochs, but what is not comparable is refused in all runs of a comparison or search alike.
    """
    labels_N, names = dataset.splits["validation"].labels, dataset.label_names
    check_threshold(recipe.evaluation, names)
    check_metric(recipe.training.best_metric, labels_N, names)
    check_maximized(recipe.evaluation, labels_N, names)


def _tokenizer_files(recipe: Recipe, base: BaseFiles) -> tuple[Path, str | None]:
    """The folder, and the GGUF file, of the run's tokenizer: the base's, or that of the adapter to start from."""
    if recipe.init_from is not None and is_adapter(start := expanded(recipe.init_from)):
        return tokenizer_files(start, base)
    return base.folder, base.gguf_file


def _scheme(section: QuantizeSection) -> Scheme:
    return Scheme(section.weights, section.embeddings, section.head, section.exclude, section.activations)
