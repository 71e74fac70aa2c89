"""Endings of module names, as PEFT matches them: `attn.c_proj` matches every `...attn.c_proj` of a model."""

from __future__ import annotations

from collections.abc import Iterable

from feathertune.errors import UserError, nearest


def matches(name: str, ending: str) -> bool:
    """Whether the dotted `name` is `ending`, or ends with it at a dot."""
    return name == ending or name.endswith(f".{ending}")


def layer_number(name: str) -> int | None:
    """The number of the repeated layer that a module is in, as PEFT's `layers_to_transform` counts it."""
    return next((int(part) for part in name.split(".") if part.isdigit()), None)


def shortest_endings(names: Iterable[str], others: Iterable[str]) -> list[str]:
    """The shortest endings that match all of `names` and none of `others`, sorted.

    A name is kept in full if every shorter ending also matches one of `others`.
    """
    others = tuple(others)
    endings = set()
    for name in names:
        parts = name.split(".")
        candidates = (".".join(parts[-count:]) for count in range(1, len(parts) + 1))
        endings.add(
            next(
                ending for ending in candidates if ending == name or not any(matches(other, ending) for other in others)
            )
        )
    return sorted(endings)


def unmatched(key: str, ending: str, kind: str, names: Iterable[str], more: str = "") -> UserError:
    """The error for an ending that matches no module.

    Args:
        key: the recipe key with the ending.
        ending: the ending.
        kind: what it should match, such as 'linear layer'.
        names: the modules that it could match.
        more: the end of the sentence that lists what could be used instead.
    """
    known = sorted({name.rpartition(".")[2] for name in names})
    near = nearest(ending, known)
    return UserError(
        f"{key}: {ending!r} matches no {kind} of this model" + (f"; did you mean {near!r}?" if near else ""),
        fix=f"Use one of {', '.join(known)}{more}.",
    )
