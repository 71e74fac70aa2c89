"""Loading a base model in float32, ready for packed tokens: attention plugged in, Conv1D turned into Linear."""

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
from feathertune.model.sources import BaseFiles, read_config
from feathertune.model.substitution import convert_conv1d, replace_dropouts, replace_gelus

# What transformers raises over files that are cut short, or that ask for what it cannot do.
_UNREADABLE = (
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
_GENERIC = re.compile(r"LABEL_\d+")  # what transformers calls a class that nobody has named
_CONSTANTS = re.compile(r"\.(masked_bias|inv_freq)$")  # no weights; older versions stored them in every layer


def load_base(files: BaseFiles, label_names: tuple[str, ...], seed: int) -> PackedClassifier:
    """The base with a classification head for `label_names`, in float32 and evaluation mode.

    A head that the checkpoint does not have is initialized as transformers does, from `seed`. So is the last layer of
    one whose rows are classes of other names; where only their order is another, its rows are put into ours. Dropout
    rates and the rest of the config stay the checkpoint's.

    Raises:
        UserError: an architecture that is not supported, weights that do not fit it.
    """
    from transformers import AutoConfig, AutoModelForSequenceClassification

    gguf = {} if files.gguf_file is None else {"gguf_file": files.gguf_file}
    if files.gguf_file is None:
        family_of(read_config(files)["model_type"], where=files.source)  # before anything large is read
    with quiet():
        try:
            config = AutoConfig.from_pretrained(files.folder, local_files_only=True, trust_remote_code=False, **gguf)
        except _UNREADABLE as error:
            raise UserError(f"cannot read the model's config: {_in_short(error)}", where=files.source) from None
        family = family_of(config.model_type, where=files.source)
        rows = _rows_of(label_names, _own_labels(config))
        _set_labels(config, label_names)
        _set_pad_token(config)
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
        except _UNREADABLE as error:
            raise UserError(f"cannot load the model: {_in_short(error)}", where=files.source) from None
    fresh = {*report["missing_keys"], *(item[0] for item in report["mismatched_keys"])}
    head = head_parameters(model, family)
    _check_report(model, report, set(head), where=files.source)
    fresh |= _place_rows(model, family.class_rows, rows, fresh, seed)
    _check_surplus(model, report["unexpected_keys"], family, set(head) - fresh, where=files.source)
    model.config.quantization_config = None  # a dequantized GGUF is an ordinary float32 model
    convert_conv1d(model)
    replace_dropouts(model)
    replace_gelus(model)
    return PackedClassifier(model, frozenset(fresh)).eval()


def load_config(folder: Path) -> Any:
    """The transformers config in `folder`. Raises UserError where it cannot be read or is not supported."""
    from transformers import AutoConfig

    family_of(read_config(BaseFiles(str(folder), folder, None, (), None))["model_type"], where=str(folder))
    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except _UNREADABLE as error:
        raise UserError(f"cannot read the model's config: {_in_short(error)}", where=str(folder)) from None


def build_empty(config: Any, label_names: tuple[str, ...]) -> PackedClassifier:
    """A model of `config`'s shape whose parameters take no memory (they are on `meta`) and are to be put in."""
    from accelerate import init_empty_weights

    with init_empty_weights(include_buffers=False):
        return build_random(config, label_names, seed=0)


def build_random(config: Any, label_names: tuple[str, ...], seed: int) -> PackedClassifier:
    """A model of `config`'s shape with random weights, for tests and benchmarks."""
    from transformers import AutoModelForSequenceClassification

    _set_labels(config, label_names)
    _set_pad_token(config)
    torch.manual_seed(seed)
    model = AutoModelForSequenceClassification.from_config(config, attn_implementation=attention.register())
    convert_conv1d(model)
    replace_dropouts(model)
    replace_gelus(model)
    return PackedClassifier(model.float()).eval()


def _set_labels(config: Any, label_names: tuple[str, ...]) -> None:
    config.num_labels = len(label_names)
    config.id2label = dict(enumerate(label_names))
    config.label2id = {name: index for index, name in enumerate(label_names)}
    config.problem_type = "single_label_classification"


def _own_labels(config: Any) -> list[str]:
    """The checkpoint's own names of its head's rows."""
    return [str(name) for _, name in sorted((config.id2label or {}).items())]


def _rows_of(label_names: tuple[str, ...], own: list[str]) -> list[int] | None:
    """For each class the row of the checkpoint's head that means it; None where the rows mean other classes.

    'NEGATIVE' and 'negative' are one class, unless both are there. Generic names say nothing: rows stay where they are.
    """
    for spelled in (str, str.casefold):
        place = {spelled(name): row for row, name in enumerate(own)}
        rows = [place[spelled(name)] for name in label_names if spelled(name) in place]
        if sorted(rows) == list(range(len(own))) and len(rows) == len(label_names):
            return rows
    return list(range(len(label_names))) if all(map(_GENERIC.fullmatch, own)) else None


def _place_rows(model: Any, name: str, rows: list[int] | None, fresh: set[str], seed: int) -> set[str]:
    """Put the rows of the head's last layer into the order of our classes, in place; draw them where `rows` is None.

    Args:
        name: the layer's.
        fresh: the parameters that were drawn already.

    Returns:
        The names of what was drawn here.
    """
    layer = model.get_submodule(name)
    kept = {f"{name}.{key}": parameter for key, parameter in layer.named_parameters() if f"{name}.{key}" not in fresh}
    if rows is not None:
        for parameter in kept.values():
            parameter.data = parameter.data[rows]
        return set()
    torch.manual_seed(seed)
    for parameter in kept.values():
        parameter._is_hf_initialized = False  # without this mark, transformers draws it
    with torch.no_grad():
        for module in (layer, model):  # some families draw a head as a linear, ModernBERT as a part of the model
            model._init_weights(module)
    return set(kept)


def _set_pad_token(config: Any) -> None:
    """GPT-2 has no pad token and transformers wants one to pool by; packed, nothing is ever padded with it.

    A model that is saved gets its tokenizer's, if there is one: see `model_folder.padding_token`.
    """
    if getattr(config, "pad_token_id", None) is None and getattr(config, "eos_token_id", None) is not None:
        eos = config.eos_token_id
        config.pad_token_id = eos if isinstance(eos, int) else eos[0]


def _check_report(model: Any, report: dict[str, Any], head: set[str], where: str) -> None:
    """Only the head may be missing from a checkpoint, or of another size. The pooler of BERT may be missing too."""
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


def _check_surplus(model: Any, unexpected: Iterable[str], family: Family, kept: set[str], where: str) -> None:
    """Refuse what the model has no place for, where the checkpoint's own model computed the same rows with it.

    That is in a repeated layer, or in a part of the head whose weights were kept: biases that the config leaves out,
    for one. All else is another model's head, and passed over.

    Args:
        kept: the head's parameters that are the checkpoint's.
    """
    stacks = {name for name, module in model.named_modules() if isinstance(module, nn.ModuleList)}
    stacks |= {name.removeprefix(f"{model.base_model_prefix}.") for name in stacks}
    heads = tuple(f"{part}." for part in family.head_modules if any(name.startswith(f"{part}.") for name in kept))
    surplus = []
    for name in sorted(unexpected):
        layer = re.match(r"(.+?)\.\d+\.", name)
        if name.startswith(heads) or (layer and layer[1] in stacks and not _CONSTANTS.search(name)):
            surplus.append(name)
    if surplus:
        more = f" and {len(surplus) - 3} more" if len(surplus) > 3 else ""
        raise UserError(
            f"the weights do not fit the config: it has no place for {', '.join(surplus[:3])}{more}",
            where=where,
            fix="Give the config that the weights were saved with; if it is that, transformers has no such model now.",
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the load report, the progress bars and the reading libraries' warnings: nothing a user can use."""
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


def _in_short(error: Exception) -> str:
    text = textwrap.shorten(str(error), 300, placeholder=" ...")
    return text if " " in text else f"{type(error).__name__} {text}".strip()
