"""The one error that users can fix: what is wrong, where, and what to do about it.

The command line prints it without a traceback and exits with status 2; library users catch `UserError`. Any other
exception is a bug.
"""

from __future__ import annotations


class UserError(Exception):
    """A problem with the input, the recipe or the machine that the user can fix.

    Args:
        what: what is wrong, in one sentence.
        where: the place, as `file:line`, a recipe key or a path.
        fix: what to do, in one sentence.
    """

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        self.what, self.where, self.fix = what, where, fix
        lines = [what if where is None else f"{where}: {what}"]
        if fix is not None:
            lines.append(f"  {fix}")
        super().__init__("\n".join(lines))


class TextError(UserError):
    """A problem with one of several texts; `index` is its index among them.

    `of_model`: the model is at fault, so that leaving out the text would not help.
    """

    def __init__(
        self, what: str, index: int, *, where: str | None = None, fix: str | None = None, of_model: bool = False
    ) -> None:
        super().__init__(what, where=where, fix=fix)
        self.index, self.of_model = index, of_model

    def at(self, where: str) -> TextError:
        """The same error, which names the text by another place."""
        return TextError(self.what, self.index, where=where, fix=self.fix, of_model=self.of_model)


def nearest(word: str, choices: list[str]) -> str | None:
    """The choice most similar to `word`, for 'did you mean ...?'; None if none is similar."""
    from difflib import get_close_matches

    matches = get_close_matches(word, choices, n=1, cutoff=0.6)
    return matches[0] if matches else None


def in_short(error: BaseException) -> str:
    """The first line of another library's error message, or the error's type if it has no message."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
