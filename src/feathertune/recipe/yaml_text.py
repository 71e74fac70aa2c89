"""YAML as recipes are written in it: plain values only, keys that know their line, no key twice.

The rules are those of YAML 1.1 as PyYAML implements them, since recipes and run folders of all versions follow them:
`yes` and `on` are true; `y`, `1e-4` and `1234567e8` are text.
"""

from __future__ import annotations

import io
import re
import warnings
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode
from ruamel.yaml.representer import SafeRepresenter
from ruamel.yaml.resolver import VersionedResolver, implicit_resolvers

from feathertune.errors import UserError

# Where ruamel.yaml reads YAML 1.1 in another way than PyYAML, PyYAML's patterns, and their values' first characters.
_BOOL = "yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF"
_INT = "[-+]?(?:0b[0-1_]+|0[0-7_]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|[1-9][0-9_]*(?::[0-5]?[0-9])+)"
_FLOAT = (
    r"[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?"
    r"|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_PATTERNS = {"bool": (_BOOL, "yYnNtTfFoO"), "int": (_INT, "-+0123456789"), "float": (_FLOAT, "-+0123456789.")}


class Mapping(dict[Any, Any]):
    """A mapping that knows on which line (1-based) each of its keys is; keys are looked up as text."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, int] = {}


def load_yaml(text: str, where: str) -> Any:
    """The value of a YAML text: `Mapping`s, lists and plain values.

    Raises:
        UserError: not YAML, a tag that would make an object, a key that is given twice. `where` names the text; the
            line follows if there are several.
    """
    yaml = _yaml()
    yaml.version = (1, 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", ReusedAnchorWarning)
            return yaml.load(text)
    except _RepeatedKeyError as error:
        place = f"{where}:{error.line}" if "\n" in text else where
        raise UserError(f"the key {error.key!r} is given twice", where=place) from None
    except ReusedAnchorWarning as warning:
        lines = re.findall(r"line (\d+)", str(warning))
        place = f"{where}:{lines[-1]}" if lines else where
        raise UserError("not valid YAML: an anchor is given twice", where=place) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{where}:{mark.line + 1}" if mark is not None else where
        raise UserError(f"not valid YAML: {error.problem or error.context}", where=place) from None
    except YAMLError as error:
        raise UserError(f"not valid YAML: {error}", where=where) from None
    except RecursionError:
        raise UserError("not valid YAML: nested too deeply", where=where) from None
    except (ValueError, LookupError, AttributeError, TypeError) as error:  # on 2024-13-45, `!!int x`, `!!bool x`
        raise UserError(f"not valid YAML: a value that cannot be read ({error})", where=where) from None


def dump_yaml(value: Any) -> str:
    """A plain value as YAML in block style, keys in their order; `load_yaml` reads it back as it was."""
    text = _dump(value)
    if load_yaml(text, "") == value:
        return text
    return _dump(value, escaped=True)  # as it is, U+0085 would be read as a space


class _Resolver(VersionedResolver):
    """Decides which plain scalars are numbers, booleans, dates or null."""

    @property
    def versioned_resolver(self) -> dict[str, list[tuple[str, Any]]]:
        return _RULES


class _RepeatedKeyError(Exception):
    """A mapping has a key twice; `line` (1-based) is that of the second one."""

    def __init__(self, key: str, line: int) -> None:
        self.key, self.line = key, line
        super().__init__(key)


class _Constructor(SafeConstructor):
    """Makes plain values, and remembers the lines of keys."""

    def construct_yaml_map(self, node: MappingNode) -> Any:
        data = Mapping()
        yield data
        data.update(self.construct_mapping(node))
        data.lines = {str(key.value): key.start_mark.line + 1 for key, _ in node.value}

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> Any:
        seen = set()
        # ruamel.yaml itself checks no mapping with a merge key; what was merged already comes first and may be repeated
        own = node.value[len(getattr(node, "merge", None) or ()) :] if isinstance(node, MappingNode) else ()
        for key, _ in own:
            if not isinstance(key, ScalarNode):
                raise ConstructorError(None, None, "a key must be plain text", key.start_mark)
            if key.value in seen:
                raise _RepeatedKeyError(key.value, key.start_mark.line + 1)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


_Constructor.add_constructor("tag:yaml.org,2002:map", _Constructor.construct_yaml_map)


class _Representer(SafeRepresenter):
    """Writes 1e-05 as 1.0e-05, which YAML 1.1 reads as a number."""

    def represent_float(self, data: float) -> ScalarNode:
        node: ScalarNode = super().represent_float(data)
        if "." not in node.value:
            node.value = node.value.replace("e", ".0e", 1)
        return node


_Representer.add_representer(float, _Representer.represent_float)


def _yaml() -> Any:
    yaml: Any = YAML(typ="safe", pure=True)
    yaml.Resolver, yaml.Constructor, yaml.Representer = _Resolver, _Constructor, _Representer
    return yaml


def _dump(value: Any, *, escaped: bool = False) -> str:
    yaml = _yaml()
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    if escaped:
        yaml.allow_unicode, yaml.width = False, 2**31  # ruamel.yaml adds spaces where it breaks escaped lines
    stream = io.StringIO()
    yaml.dump(value, stream)
    return stream.getvalue()


def _rules() -> dict[str, list[tuple[str, Any]]]:
    """First character of a plain scalar -> (tag, pattern), in the order in which they are tried."""
    rules: dict[str, list[tuple[str, Any]]] = {}
    for versions, tag, pattern, characters in implicit_resolvers:
        own = _PATTERNS.get(tag.rpartition(":")[2])
        if (1, 1) in versions:
            rule = (tag, pattern if own is None else re.compile(f"^(?:{own[0]})$"))
            for character in characters if own is None else own[1]:
                rules.setdefault(character, []).append(rule)
    return rules


_RULES = _rules()
