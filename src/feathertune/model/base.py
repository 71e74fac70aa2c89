"""Loading a base model in float32, ready for packed tokens: with packed attention, and Conv1D converted to Linear."""

from __future__ import annotations

import re
import textwrap
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import nn

from feathertune.errors import UserError
from feathertune.kernels import attention
from feathertune.model.classifier import PackedClassifier
from feathertune.model.families import Family, family_of, head_parameters
from feathertune.model.own_code import check_settings_are_read
from feathertune.model.sources import BaseFiles, read_config
from feathertune.model.substitution import substitute_layers
from feathertune.model.tensors import check_base

# What transformers raises for damaged files, and for files that it does not support.
_LOAD_ERRORS = (
    OSError,
    ValueError,
    RuntimeError,
    LookupError,
    TypeError,
    ArithmeticError,
    ImportError,
    SafetensorError,
    StrictDataclassError,
)
_GENERIC_LABEL = re.compile(r"LABEL_\d+")  # transformers' name for a class without a name
_CONSTANTS = re.compile(r"\.(masked_bias|inv_freq)$")  # not weights; older versions of transformers stored them


def load_base(files: BaseFiles, label_names: tuple[str, ...], seed: int) -> PackedClassifier:
    """The base with a classification head for `label_names`, in float32 and evaluation mode.

    If the checkpoint has no head, one is initialized from `seed` as transformers does it. If it has one for other
    classes, its last layer is initialized; if only the order of the classes differs, its rows are reordered. Dropout
    rates and the rest of the config stay as in the checkpoint.

    Raises:
        UserError: the architecture is not supported, or the weights do not fit it.
    """
    from transformers import AutoConfig, AutoModelForSequenceClassification

    gguf = {} if files.gguf_file is None else {"gguf_file": files.gguf_file}
    if files.gguf_file is None:
        family_of(read_config(files)["model_type"], where=files.source)  # before reading anything large
    with quiet():
        try:
            config = AutoConfig.from_pretrained(files.folder, local_files_only=True, trust_remote_code=False, **gguf)
        except _LOAD_ERRORS as error:
            raise UserError(f"cannot read the model's config: {_shortened(error)}", where=files.source) from None
        family = family_of(config.model_type, where=files.source)
        check_settings_are_read(config, where=files.source)
        config.__dict__.pop("auto_map", None)  # code that is not used, and would be missing where the model is saved
        rows = _row_order(label_names, _checkpoint_labels(config))
        _set_labels(config, label_names)
        base_padding = _set_pad_token(config, family)
        _dequantize(config)
        torch.manual_seed(seed)
        try:
            model, report = AutoModelForSequenceClassification.from_pretrained(
                files.folder,
                config=config,
                dtype=torch.float32,
                use_safetensors=None if gguf else True,
                local_files_only=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,
                attn_implementation=attention.register(),
                output_loading_info=True,
                **gguf,
            )
        except _LOAD_ERRORS as error:
            raise UserError(f"cannot load the model: {_shortened(error)}", where=files.source) from None
        except AssertionError:  # of torch's embedding; GPT-2's has no row for padding, so that any number does
            if base_padding is None or base_padding < config.vocab_size:
                raise
            raise UserError(
                f"pad_token_id is {base_padding}, and the vocabulary has {config.vocab_size} tokens",
                where=files.source,
                fix="Correct pad_token_id in config.json; null is for none.",
            ) from None
    initialized = {*report["missing_keys"], *(item[0] for item in report["mismatched_keys"])}
    head = head_parameters(model, family)
    _check_report(model, report, set(head), where=files.source)
    check_base(model.state_dict(), files)
    initialized |= _order_rows(model, family.class_rows, rows, initialized, seed)
    _check_unexpected(model, report["unexpected_keys"], family, set(head) - initialized, where=files.source)
    model.config.quantization_config = None  # a dequantized GGUF model is an ordinary float32 model
    substitute_layers(model)
    return PackedClassifier(model, frozenset(initialized), base_padding).eval()


def load_config(folder: Path) -> Any:
    """The transformers config in `folder`. Raises UserError if it cannot be read, or the model is not supported."""
    from transformers import AutoConfig

    family_of(read_config(BaseFiles(str(folder), folder, None, (), None))["model_type"], where=str(folder))
    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except _LOAD_ERRORS as error:
        raise UserError(f"cannot read the model's config: {_shortened(error)}", where=str(folder)) from None


def build_empty(config: Any, label_names: tuple[str, ...]) -> PackedClassifier:
    """A model of `config`'s shape whose parameters are on the `meta` device, to be replaced by real ones."""
    from accelerate import init_empty_weights

    with init_empty_weights(include_buffers=False):
        return build_random(config, label_names, seed=0)


def build_random(config: Any, label_names: tuple[str, ...], seed: int) -> PackedClassifier:
    """A model of `config`'s shape with random weights, for tests and benchmarks."""
    from transformers import AutoModelForSequenceClassification

    _set_labels(config, label_names)
    base_padding = _set_pad_token(config, family_of(config.model_type, where=type(config).__name__))
    torch.manual_seed(seed)
    model = AutoModelForSequenceClassification.from_config(config, attn_implementation=attention.register())
    substitute_layers(model)
    return PackedClassifier(model.float(), base_padding=base_padding).eval()


def _set_labels(config: Any, label_names: tuple[str, ...]) -> None:
    config.num_labels = len(label_names)
    config.id2label = dict(enumerate(label_names))
    config.label2id = {name: index for index, name in enumerate(label_names)}
    config.problem_type = "single_label_classification"


def _checkpoint_labels(config: Any) -> list[str]:
    """The class names of the checkpoint's own head, row by row."""
    return [str(name) for _, name in sorted((config.id2label or {}).items())]


def _row_order(label_names: tuple[str, ...], checkpoint_names: list[str]) -> list[int] | None:
    """For each class, its row in the checkpoint's head; None if the head is for other classes.

    'NEGATIVE' and 'negative' are the same class, unless the checkpoint has both. Generic names (LABEL_0) mean nothing,
    so their rows keep their order.
    """
    for normalize in (str, str.casefold):
        row_of = {normalize(name): row for row, name in enumerate(checkpoint_names)}
        rows = [row_of[normalize(name)] for name in label_names if normalize(name) in row_of]
        if sorted(rows) == list(range(len(checkpoint_names))) and len(rows) == len(label_names):
            return rows
    return list(range(len(label_names))) if all(map(_GENERIC_LABEL.fullmatch, checkpoint_names)) else None


def _order_rows(model: Any, name: str, rows: list[int] | None, initialized: set[str], seed: int) -> set[str]:
    """Put the rows of the head's last layer into the order of our classes, or initialize them, in place.

    Args:
        model: transformers' model.
        name: the name of the head's last layer.
        rows: from `_row_order`; None to initialize the layer.
        initialized: the parameters that are initialized already.
        seed: of the initialization.

    Returns:
        The names of the parameters that were initialized here.
    """
    layer = model.get_submodule(name)
    parameters = {f"{name}.{key}": parameter for key, parameter in layer.named_parameters()}
    kept = {key: parameter for key, parameter in parameters.items() if key not in initialized}
    if rows is not None:
        for parameter in kept.values():
            parameter.data = parameter.data[rows]
        return set()
    torch.manual_seed(seed)
    for parameter in kept.values():
        parameter._is_hf_initialized = False  # otherwise transformers would leave it alone
    with torch.no_grad():
        for module in (layer, model):  # ModernBERT initializes its head as part of the model, others as a linear layer
            model._init_weights(module)
    return set(kept)


def _set_pad_token(config: Any, family: Family) -> int | None:
    """Give a causal model a pad token if it has none (GPT-2). Returns the config's own.

    transformers needs one for pooling. The tokenizer may know a better one: see `padding.fit_padding`. Raises UserError
    if positions are counted from a pad token that the config does not name, or the config's pooling is unknown.
    """
    own: int | None = getattr(config, "pad_token_id", None)
    family.first_position(config)
    pooling = family.pooling(config)
    if own is None and pooling == "last" and getattr(config, "eos_token_id", None) is not None:
        eos = config.eos_token_id
        config.pad_token_id = eos if isinstance(eos, int) else eos[0]
    return own


def _dequantize(config: Any) -> None:
    """Have transformers turn fp8 weights into float ones also where a GPU could compute with them."""
    settings = getattr(config, "quantization_config", None)
    if isinstance(settings, dict) and settings:
        settings["dequantize"] = True


def _check_report(model: Any, report: dict[str, Any], head: set[str], where: str) -> None:
    """Refuse missing or mismatched weights, except those of the head and of BERT's optional pooler."""
    optional = f"{model.base_model_prefix}.pooler."
    missing = [name for name in report["missing_keys"] if name not in head and not name.startswith(optional)]
    mismatched = [item[0] for item in report["mismatched_keys"] if item[0] not in head]
    if missing or mismatched:
        problem = f"{missing[0]} is missing" if missing else f"{mismatched[0]} has another shape"
        raise UserError(
            f"the weights do not fit the config: {problem} ({len(missing) + len(mismatched)} tensors in all)",
            where=where,
            fix="Give the folder of a complete checkpoint.",
        )


def _check_unexpected(model: Any, unexpected: Iterable[str], family: Family, kept: set[str], where: str) -> None:
    """Refuse weights that this model does not have but that the checkpoint's model used to compute the same rows.

    Those are weights of a repeated layer, or of a part of the head that was kept: biases that the config switches off,
    for example. All others belong to another head and are ignored.

    Args:
        model: transformers' model.
        unexpected: the names of the weights that the model does not have.
        family: the model's.
        kept: the parameters of the head that came from the checkpoint.
        where: for the message.
    """
    stacks = {name for name, module in model.named_modules() if isinstance(module, nn.ModuleList)}
    stacks |= {name.removeprefix(f"{model.base_model_prefix}.") for name in stacks}
    heads = tuple(f"{part}." for part in family.head_modules if any(name.startswith(f"{part}.") for name in kept))
    refused = []
    for name in sorted(unexpected):
        layer = re.match(r"(.+?)\.\d+\.", name)
        if name.startswith(heads) or (layer and layer[1] in stacks and not _CONSTANTS.search(name)):
            refused.append(name)
    if refused:
        more = f" and {len(refused) - 3} more" if len(refused) > 3 else ""
        raise UserError(
            f"the weights do not fit the config: the model has no {', '.join(refused[:3])}{more}",
            where=where,
            fix="Use the config that was saved with the weights, and a version of transformers that knows this model.",
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers' load report and progress bars, and all warnings: a user cannot act on them."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _shortened(error: Exception) -> str:
    text = textwrap.shorten(str(error), 300, placeholder=" ...")
    return text if " " in text else f"{type(error).__name__} {text}".strip()
