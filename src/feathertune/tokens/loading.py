"""Loading the tokenizer of a base model: by tokenizer.json, else as transformers makes it from the older files.

tokenizer.json is what the base was trained with, and what every other library reads. transformers' class for a model
may build another tokenizer from its vocabulary: that of a cased BERT without tokenizer_config.json lower-cases. So the
class contributes only what tokenizer.json does not hold: the roles of special tokens, sides, names of inputs. The
exception are the few model types for which `AutoTokenizer` takes its own class whatever a folder says.
"""

from __future__ import annotations

import importlib.util
import json
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, normalizers, pre_tokenizers

from feathertune.errors import UserError, in_short
from feathertune.tokens.gguf import obey_pre_tokenizer
from feathertune.wording.visible import visible

TOKENIZER = "tokenizer.json"
# A tokenizer's files where there is no tokenizer.json.
VOCABULARIES = (
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "spiece.model",
    "spm.model",
    "sentencepiece.bpe.model",
    "tekken.json",
)
_NEEDED = frozenset(VOCABULARIES) - {"merges.txt"}  # it is only the second file of a pair
_SETTINGS = "tokenizer_config.json"
# Texts in which tokenizers are known to differ: case, accents, digits, blanks, scripts.
_TELLING = ("Hello World", "[ \n09", " in 2024 and 1999", "naïve Café", "  two  blanks\t\n\n", "日本語 한국어", "don't")
_COMPARED, _COMPARED_CHARACTERS = 1000, 2000  # of the user's texts, those that are compared, and their beginnings
_SHOWN = 60  # characters


@dataclass(frozen=True)
class BaseTokenizer:
    """A base model's tokenizer.

    Attributes:
        tokenizer: a fast transformers tokenizer, of the general class.
        of_class: as transformers' own class for the base reads the same folder; None without a tokenizer.json.
        warnings: what a person should know about it.
        changed: whether earlier versions gave other ids, so that their checkpoints do not fit.
    """

    tokenizer: Any
    of_class: Any | None = None
    warnings: tuple[str, ...] = ()
    changed: bool = False

    def overridden(self, texts: Iterable[str]) -> str | None:
        """A warning, with an example, if transformers' class for the base gives other ids; None if no text differs.

        Args:
            texts: the first of these are compared, and then some in which tokenizers often differ.
        """
        if self.of_class is None:
            return None
        compared = [text[:_COMPARED_CHARACTERS] for text in (*islice(texts, _COMPARED), *_TELLING)]
        for one in (self.tokenizer, self.of_class):
            one.backend_tokenizer.no_padding()
            one.backend_tokenizer.no_truncation()
        ours, theirs = (
            [encoding.ids for encoding in one.backend_tokenizer.encode_batch(compared)]
            for one in (self.tokenizer, self.of_class)
        )
        example = next((i for i in range(len(compared)) if ours[i] != theirs[i]), None)
        if example is None:
            return None
        text = compared[example]
        pairs = enumerate(zip(ours[example], theirs[example], strict=False))
        where = next((position for position, (one, other) in pairs if one != other), 0)
        by_file, by_class = (
            " ".join(one.convert_ids_to_tokens(ids[max(where - 1, 0) : where + 4]))
            for one, ids in ((self.tokenizer, ours[example]), (self.of_class, theirs[example]))
        )
        shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
        return (
            f"transformers' {type(self.of_class).__name__} does not tokenize as the base's tokenizer.json says: "
            f"'{visible(shown)}' has {visible(by_file)!r} by the file and {visible(by_class)!r} by the class. The file "
            "is followed; load the tokenizer that is saved with the trained model, not the base's"
        )


def load_base_tokenizer(folder: Path, gguf_file: str | None = None) -> BaseTokenizer:
    """The tokenizer of a base model, in a folder or in its GGUF file. Code in the folder is never run.

    Raises:
        UserError: there are no tokenizer files, they cannot be read, or there is only a slow (Python) tokenizer.
    """
    _require_files(folder, gguf_file)
    theirs = load_as_transformers(folder, gguf_file)
    if gguf_file is not None:
        changed, warning = obey_pre_tokenizer(theirs.backend_tokenizer, folder / gguf_file)
        return BaseTokenizer(in_general_class(theirs), None, () if warning is None else (warning,), changed)
    if not (folder / TOKENIZER).is_file():
        return BaseTokenizer(in_general_class(theirs))
    if _class_is_forced(folder, theirs):
        return BaseTokenizer(in_general_class(theirs))
    ours = _by_file(folder, theirs)
    return BaseTokenizer(ours, theirs)


def _class_is_forced(folder: Path, theirs: Any) -> bool:
    """Whether `AutoTokenizer` takes the class of this model type, whatever class a saved folder names (Qwen2).

    Then its pipeline, rather than that of tokenizer.json, is what everybody who loads the trained model gets.
    """
    from transformers import PreTrainedTokenizerFast
    from transformers.models.auto import tokenization_auto

    forced: set[str] = getattr(tokenization_auto, "MODELS_WITH_INCORRECT_HUB_TOKENIZER_CLASS", set())
    config = folder / "config.json"
    model_type = json.loads(config.read_text("utf-8")).get("model_type") if config.is_file() else None
    return model_type in forced and type(theirs) is not PreTrainedTokenizerFast


def load_tokenizer(folder: Path, gguf_file: str | None = None) -> Any:
    """The tokenizer alone: see `load_base_tokenizer`."""
    return load_base_tokenizer(folder, gguf_file).tokenizer


def load_as_transformers(folder: Path, gguf_file: str | None = None) -> Any:
    """The fast tokenizer as `AutoTokenizer` loads it.

    Raises:
        UserError: there is none, only a slow one, or only a SentencePiece model without the package that reads it.
    """
    from transformers import AutoTokenizer

    if gguf_file is None:
        _check_sentencepiece(folder)
    options = {} if gguf_file is None else {"gguf_file": gguf_file}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True, **options)
    except Exception as error:  # tokenizers raises plain Exceptions for a broken tokenizer.json
        raise _not_loaded(folder, error) from None
    if not tokenizer.is_fast:
        raise UserError(
            "the model has no fast tokenizer", where=str(folder), fix="Convert it, so that there is a tokenizer.json."
        )
    return tokenizer


def _not_loaded(folder: Path, error: Exception) -> UserError:
    """The error for a folder whose tokenizer transformers cannot load: the file that is broken, if one is."""
    from transformers import AutoConfig

    if (folder / "config.json").is_file():
        try:
            AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except Exception as of_config:
            why = textwrap.shorten(str(of_config), 300, placeholder=" ...")
            return UserError(f"cannot read the model's config: {why}", where=str(folder / "config.json"))
    if (folder / TOKENIZER).is_file():
        fix = "The file is damaged, or of a newer version of the library tokenizers: get it again, or upgrade."
        return UserError(f"cannot load a tokenizer: {in_short(error)}", where=str(folder / TOKENIZER), fix=fix)
    return UserError(
        f"cannot load a tokenizer: {in_short(error)}",
        where=str(folder),
        fix="The model's folder must contain tokenizer.json.",
    )


def _check_sentencepiece(folder: Path) -> None:
    """Raise a UserError if transformers would have to convert a SentencePiece model and could not.

    Its own message then names tiktoken, which does not help.
    """
    models = sorted(path.name for path in folder.glob("*.model"))
    others = any((folder / name).is_file() for name in ("tokenizer.json", "vocab.json", "vocab.txt"))
    if models and not others and importlib.util.find_spec("sentencepiece") is None:
        raise UserError(
            f"the only tokenizer is the SentencePiece model {models[0]}, and sentencepiece is not installed",
            where=str(folder),
            fix="pip install sentencepiece protobuf",
        )


def load_counter(folder: Path) -> Tokenizer:
    """A tokenizer from tokenizer.json alone, without transformers and torch, whose import takes seconds.

    Raises:
        UserError: there is no tokenizer.json, or it cannot be read.
    """
    try:
        return Tokenizer.from_file(str(folder / TOKENIZER))
    except Exception as error:  # tokenizers raises plain Exceptions
        raise UserError(f"cannot load a tokenizer: {in_short(error)}", where=str(folder)) from None


def has_tokenizer(folder: Path) -> bool:
    """Whether the folder holds a tokenizer: tokenizer.json, or an older file of a vocabulary."""
    return any((folder / name).is_file() for name in (TOKENIZER, *_NEEDED))


def _require_files(folder: Path, gguf_file: str | None) -> None:
    """Refuse a folder without a tokenizer: transformers would make up one that knows nothing but special tokens."""
    if gguf_file is not None or has_tokenizer(folder):
        return
    raise UserError(
        "cannot load a tokenizer: tokenizer.json is missing, and so is any older file of a vocabulary",
        where=str(folder),
        fix="Copy tokenizer.json and tokenizer_config.json of the model that the base was made from into it.",
    )


def _by_file(folder: Path, theirs: Any) -> Any:
    """The tokenizer of tokenizer.json with what tokenizer_config.json sets, and the class's roles of special tokens."""
    from transformers import PreTrainedTokenizerFast

    known = load_counter(folder)
    # A class has roles for tokens that this vocabulary may lack; they would be added to it.
    roles = {role: token for role, token in theirs.special_tokens_map.items() if known.token_to_id(token) is not None}
    try:
        ours = PreTrainedTokenizerFast.from_pretrained(
            folder,
            local_files_only=True,
            model_input_names=theirs.model_input_names,
            padding_side=theirs.padding_side,
            **roles,
        )
        settings = json.loads((folder / _SETTINGS).read_text("utf-8")) if (folder / _SETTINGS).is_file() else {}
    except Exception as error:  # tokenizers raises plain Exceptions
        raise UserError(f"cannot load a tokenizer: {in_short(error)}", where=str(folder)) from None
    _apply(settings, ours.backend_tokenizer)
    return ours


def _apply(settings: dict[str, Any], tokenizer: Tokenizer) -> None:
    """Let a tokenizer, in place, do what tokenizer_config.json says in so many words, as transformers' classes do."""
    normalizer, pre_tokenizer = tokenizer.normalizer, tokenizer.pre_tokenizer
    if isinstance(normalizer, normalizers.BertNormalizer):
        names = {"do_lower_case": "lowercase", "strip_accents": "strip_accents"}
        names["tokenize_chinese_chars"] = "handle_chinese_chars"
        for name, ours in names.items():
            if name in settings:
                setattr(normalizer, ours, settings[name])
        tokenizer.normalizer = normalizer
    if isinstance(pre_tokenizer, pre_tokenizers.ByteLevel) and "add_prefix_space" in settings:
        pre_tokenizer.add_prefix_space = settings["add_prefix_space"]
        tokenizer.pre_tokenizer = pre_tokenizer


def in_general_class(tokenizer: Any, backend: Tokenizer | None = None, **changes: Any) -> Any:
    """A transformers tokenizer in the general class, which has no pipeline of its own to restore when it is loaded.

    Args:
        tokenizer: a fast one of any class; it has the settings.
        backend: the pipeline, by default the tokenizer's own.
        changes: `model_max_length` and `split_special_tokens`, if they are to be others.
    """
    from transformers import PreTrainedTokenizerFast

    settings = {
        "model_max_length": tokenizer.model_max_length,
        "model_input_names": tokenizer.model_input_names,
        "padding_side": tokenizer.padding_side,
        "truncation_side": tokenizer.truncation_side,
        "split_special_tokens": tokenizer.split_special_tokens,
        **tokenizer.special_tokens_map,
        **changes,
    }
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer if backend is None else backend, **settings
    )
