"""What a folder given as a base model really holds, where it is no plain model in safetensors.

A folder of the world may hold an adapter, weights in a format that is not read, integers, or the pointers that Git
leaves where its large-file storage was not installed. Each is refused by its own name, with what to do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from feathertune.errors import UserError
from feathertune.folders.adapter import ADAPTER_CONFIG
from feathertune.system.files import read_json

_DEQUANTIZED = ("fp8", "mxfp8")  # transformers turns these into float weights while it loads them
_TRAINER_STATE = re.compile(r"(optimizer|scheduler|scaler|training_args|rng_state.*)\.(pt|pth|bin)")
_READ = (".json", ".safetensors", ".txt", ".model")  # the files that are read end so
_POINTER = b"version https://git-lfs.github.com/spec/"
_PAGE = re.compile(rb"\s*<(!doctype html|html)", re.IGNORECASE)
# Tensors that only a quantized layer has: (name's ending, the method that writes it).
_QUANTIZED_TENSORS = {
    ".qweight": "GPTQ or AWQ",
    ".absmax": "bitsandbytes",
    ".quant_map": "bitsandbytes",
    ".SCB": "bitsandbytes",
    ".weight_packed": "compressed-tensors",
    ".W_q": "HQQ",
    ".weight._data": "quanto",
    ".weight_qdata": "torchao",
}
_OWN_NAMES = {
    "awq": "AWQ",
    "gptq": "GPTQ",
    "hqq": "HQQ",
    "aqlm": "AQLM",
    "eetq": "EETQ",
    "bitsandbytes_4bit": "bitsandbytes",
    "bitsandbytes_8bit": "bitsandbytes",
}
_CONVERT = "Convert them to model.safetensors"
_SAVED = "transformers.{{model}}.from_pretrained(FOLDER{}).save_pretrained(FOLDER)."
# What weights in another format are, and what to do about them; `{model}` is transformers' class. The first match wins.
_FORMATS: tuple[tuple[str, str, str], ...] = (
    (
        r"adapter_model\..*",
        "the weights of a PEFT adapter",
        "Give the adapter's base as the base model, and its own folder to evaluate, predict, export or init_from.",
    ),
    (
        r"(consolidated|params).*\.(safetensors|pth)",
        "the layout of the model's authors",
        "Convert them to transformers' layout, or take the repository that has it.",
    ),
    (
        r"gptq_model.*\.safetensors",
        "weights quantized by GPTQ",
        "Give the float model that it was made from.",
    ),
    (
        r"model-\d+-of-\d+\.safetensors",
        "shards without their index",
        "Download model.safetensors.index.json as well: it says which tensor is in which file.",
    ),
    (
        r".*\.safetensors",
        "safetensors of another name",
        "If it is the whole model in transformers' layout, rename it to model.safetensors.",
    ),
    (r".*\.gguf", "GGUF", "Give the file itself: gguf:FILE."),
    (
        r"(openvino_.*|.*\.xml)",
        "OpenVINO's format",
        "It is an export, which cannot be trained. Give the model that it was made from.",
    ),
    (
        r".*\.(bin|pt|pth|ckpt|pkl|pickle)",
        "a pickle",
        f"Pickled weights can run code and are never read. {_CONVERT}, if you trust them: {_SAVED.format('')}",
    ),
    (
        r".*\.(h5|keras|hdf5)",
        "TensorFlow's format (HDF5)",
        f"{_CONVERT} with transformers 4 and tensorflow: {_SAVED.format(', from_tf=True')}",
    ),
    (
        r".*\.ckpt\.(index|meta|data.*)",
        "a TensorFlow 1 checkpoint",
        f"{_CONVERT} with transformers 4 and tensorflow, or take a repository that has it.",
    ),
    (
        r".*\.msgpack",
        "Flax's format (msgpack)",
        f"{_CONVERT} with transformers 4 and flax: {_SAVED.format(', from_flax=True')}",
    ),
    (
        r".*\.(onnx|ort)",
        "ONNX",
        "It is an export, which cannot be trained. Give the model that it was made from.",
    ),
    (
        r".*\.(pte|tflite|mlmodel|mlpackage|engine|npz)",
        "an export for another runtime",
        "It cannot be trained. Give the model that it was made from.",
    ),
)


def check_layout(folder: Path, source: str) -> None:
    """Raise a UserError unless `folder` is a model's: it has a config.json, no adapter beside it, no broken link."""
    for path in sorted(folder.iterdir()):
        if path.suffix in _READ and path.is_symlink() and not path.exists():
            raise UserError(
                f"{path.name} is a link to a file that is missing: {path.readlink()}",
                where=source,
                fix="The Hub's cache keeps files in blobs/ and links in snapshots/: copy both, or the files that the "
                "links lead to (cp -L), or download it again.",
            )
    adapter = (folder / ADAPTER_CONFIG).is_file()
    if adapter and not _has_weights(folder):
        raise UserError(
            "this is the folder of a PEFT adapter, which changes a base model and is none itself",
            where=source,
            fix=f"Give its base as the base model{_named_base(folder)}. The adapter's own folder is for evaluate, "
            "predict, export and init_from.",
        )
    if not (folder / "config.json").is_file():
        inside = sorted(path.parent.name for path in folder.glob("*/config.json"))
        hint = f" Did you mean its folder {inside[-1]!r}?" if inside else ""
        raise UserError(f"the folder contains no model: config.json is missing.{hint}".rstrip("."), where=source)
    if adapter:
        raise UserError(
            f"an adapter ({ADAPTER_CONFIG}) lies beside the whole model in one folder. Where peft is installed, "
            "transformers adds it to the model, and where not, it does not",
            where=source,
            fix=f"Move {ADAPTER_CONFIG} and adapter_model.safetensors into a folder of their own: the model alone is "
            "then the base, and that folder with --base the adapted model.",
        )


def check_no_adapter_beside(file: Path, source: str) -> None:
    """Raise a UserError if an adapter lies beside a GGUF file: transformers would add it to the model."""
    if (file.parent / ADAPTER_CONFIG).is_file():
        raise UserError(
            f"an adapter ({ADAPTER_CONFIG}) lies beside the model file. Where peft is installed, transformers adds it "
            "to the model, and where not, it does not",
            where=source,
            fix="Move one of them into a folder of its own.",
        )


def missing_weights(names: Iterable[str], architecture: str, source: str) -> UserError:
    """The error for a folder without weights in safetensors.

    Args:
        names: the files that it has instead.
        architecture: transformers' name of the model's class.
        source: as the recipe names it.
    """
    for pattern, what, fix in _FORMATS:
        found = sorted(name for name in names if re.fullmatch(pattern, name) and not _TRAINER_STATE.fullmatch(name))
        if found:
            return UserError(
                f"the folder has no safetensors weights, only {found[0]}: {what}",
                where=source,
                fix=fix.format(model=architecture),
            )
    return UserError(
        "the folder has no safetensors weights", where=source, fix="Give a folder that has model.safetensors."
    )


def not_a_model_file(path: Path, source: str) -> UserError:
    """The error for a single file that is no GGUF file."""
    known = ((what, fix) for pattern, what, fix in _FORMATS if re.fullmatch(pattern, path.name))
    what, fix = next(known, ("", ""))
    if path.suffix == ".safetensors" and not path.name.startswith("adapter_model"):
        what, fix = "", "For safetensors, give the folder."
    return UserError(
        "a single model file must be a GGUF file" + (f", and this is {what}" if what else ""),
        where=source,
        fix=fix.format(model="AutoModel") or "Give a folder, or a GGUF file.",
    )


def check_real(folder: Path, names: Iterable[str]) -> None:
    """Raise a UserError if one of the files is a Git LFS pointer, or a web page saved instead of the file."""
    for name in names:
        path = folder / name
        if not path.is_file():
            continue
        with path.open("rb") as file:
            beginning = file.read(512)
        if beginning.startswith(_POINTER):
            size = re.search(rb"^size (\d+)", beginning, re.MULTILINE)
            real = f" of {int(size[1]):,} bytes" if size else ""
            raise UserError(
                f"this is a Git LFS pointer, not the file{real} itself: the repository was cloned without Git LFS",
                where=str(path),
                fix="Run `git lfs install` and `git lfs pull` there, or download it with `hf download OWNER/NAME`.",
            )
        if _PAGE.match(beginning):
            raise UserError(
                "this is a web page, not the file itself", where=str(path), fix="Download it with `hf download`."
            )


def check_float(folder: Path, weights: Iterable[str], source: str) -> None:
    """Raise a UserError if the weights are quantized, by the config or by the tensors themselves."""
    config = read_json(folder / "config.json")
    method = _quantization(config) if isinstance(config, dict) else None
    if method in _DEQUANTIZED:
        return
    found = None if method is None else _OWN_NAMES.get(method, method)
    for name in () if found else weights:
        found = found or _quantized_tensors(folder / name)
    if found is not None:
        raise UserError(
            f"the weights of this model are quantized ({found}): they are integers, which are not read here",
            where=source,
            fix="Give the float model that it was made from. (Feathertune quantizes it itself: method=qat.)",
        )


def _quantization(config: dict[str, Any]) -> str | None:
    """The quantization method that a config names, at its top or for its text model; None if there is none."""
    text = config.get("text_config")
    for part in (config, text if isinstance(text, dict) else {}):
        settings = part.get("quantization_config") or part.get("compression_config")
        if isinstance(settings, dict) and settings:
            method = settings.get("quant_method")
            if method is None:  # bitsandbytes wrote none in its first versions
                method = "bitsandbytes" if any("load_in" in key for key in settings) else "an unnamed method"
            return str(method).lower()
    return None


def _quantized_tensors(path: Path) -> str | None:
    """The method that the names and types of a file's tensors show, or None for float weights."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as tensors:
            names = list(tensors.keys())
            for name in names:
                for ending, method in _QUANTIZED_TENSORS.items():
                    if name.endswith(ending):
                        return method
            for name in names:
                kind = tensors.get_slice(name).get_dtype() if name.endswith(".weight") else "F32"
                if not kind.startswith(("F", "BF")) or kind.startswith("F8"):
                    return f"{name} has the type {kind}"
    except (OSError, SafetensorError):
        return None  # a damaged file, which `load_base` names
    return None


def _has_weights(folder: Path) -> bool:
    weights = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "tf_model.h5")
    return (folder / "config.json").is_file() and any((folder / name).is_file() for name in weights)


def _named_base(folder: Path) -> str:
    """`: NAME` of the base that an adapter's config names, or nothing."""
    try:
        config = read_json(folder / ADAPTER_CONFIG)
    except UserError:
        return ""
    name = config.get("base_model_name_or_path") if isinstance(config, dict) else None
    return f": {name}" if isinstance(name, str) and name else ""
