"""What makes an ONNX export a model folder of transformers.js: `pipeline('text-classification', FOLDER)` opens it.

transformers.js reads config.json, tokenizer_config.json and tokenizer.json, and the model from onnx/. Its name there
follows from the `dtype` in config.json, so that nobody has to give one. The sources are those of transformers.js 4.3.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from feathertune.folders.export import WEB_DTYPES, ExportFolder, ExportPrecision
from feathertune.run.load import TrainedModel
from feathertune.system.files import read_json, write_json

# The `model_type`s that have a text classifier there (src/models/registry.js). All of these classes do the same: they
# feed the inputs that the file has and return its outputs.
_CLASSIFIERS = frozenset(
    """
    albert bart bert camembert convbert deberta deberta-v2 distilbert electra esm eurobert mbart mobilebert modernbert
    mpnet neobert roberta roformer squeezebert xlm xlm-roberta
    """.split()  # noqa: SIM905 - as in a table
)
_ANY_CLASSIFIER = "bert"
_SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "cls_token", "mask_token")


def write_web_layout(folder: ExportFolder, precision: ExportPrecision, trained: TrainedModel) -> None:
    """Complete an ONNX export, whose model, tokenizer.json and config.json are written."""
    web = folder.web_onnx(precision)
    web.parent.mkdir(exist_ok=True)
    _link(folder.onnx, web)
    config = read_json(folder.config)
    config["transformers.js_config"] = {"dtype": WEB_DTYPES[precision][0]}
    if config["model_type"] not in _CLASSIFIERS:
        # GPT-2, Llama and others are only generators there: the pipeline refuses them by this name. `architectures`
        # still names what the model is.
        config["model_type"] = _ANY_CLASSIFIER
    write_json(folder.config, config)
    vocabulary = trained.classifier.model.config.vocab_size
    write_json(folder.tokenizer_config, tokenizer_settings(trained.tokenizer, trained.max_length, vocabulary))


def tokenizer_settings(tokenizer: Any, max_length: int, vocabulary: int) -> dict[str, Any]:
    """The content of tokenizer_config.json; `vocabulary` is the number of ids that the model knows.

    Only what tokenizer.json does not hold: other keys of a base, such as `remove_space` or `add_prefix_space`, would be
    applied a second time. The class is the general one, whose inputs are the model's: BERT's own makes token_type_ids.
    """
    settings: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_length,
        "model_input_names": ["input_ids", "attention_mask"],
        "padding_side": "right",
        "truncation_side": tokenizer.truncation_side,
        "clean_up_tokenization_spaces": False,
        "pad_token": _pad_token(tokenizer, vocabulary),
    }
    names = {name: getattr(tokenizer, name, None) for name in _SPECIAL_TOKENS}
    settings |= {name: str(token) for name, token in names.items() if token is not None}
    if getattr(tokenizer, "split_special_tokens", False):  # special tokens written out in a text are ordinary ones
        settings["split_special_tokens"] = True
    return settings


def _pad_token(tokenizer: Any, vocabulary: int) -> str:
    """A token to pad with. Padding is masked, so any that the model knows will do; GPT-2's tokenizer has none."""
    for number in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if number is not None and number < vocabulary:
            return str(tokenizer.convert_ids_to_tokens(number))
    return str(tokenizer.convert_ids_to_tokens(0))


def _link(existing: Path, other: Path) -> None:
    """Give a file a second name; where the file system has no hard links, a copy."""
    try:
        other.hardlink_to(existing)
    except OSError:
        shutil.copyfile(existing, other)
