"""The one error that is the user's to mend: what happened, where, and what to do about it.

The command line prints it without a traceback and exits with status 2; library users catch `UserError`.
Anything else that is raised is a fault of ours.
"""

from __future__ import annotations


class UserError(Exception):
    """A problem with the input, the recipe or the machine that the user can mend.

    Args:
        what: one sentence that says what is wrong.
        where: the place, as `file:line`, a recipe key or a path.
        fix: one sentence that says what to do.
    """

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        self.what, self.where, self.fix = what, where, fix
        lines = [what if where is None else f"{where}: {what}"]
        if fix is not None:
            lines.append(f"  {fix}")
        super().__init__("\n".join(lines))


def nearest(word: str, choices: list[str]) -> str | None:
    """The choice most like `word` (for 'did you mean ...?'), or None if none is near."""
    from difflib import get_close_matches

    matches = get_close_matches(word, choices, n=1, cutoff=0.6)
    return matches[0] if matches else None


def in_short(error: BaseException) -> str:
    """The first line of what another library's error says, or its type where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
