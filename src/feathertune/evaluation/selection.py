"""What may be chosen where: anything on validation, nothing on the test split, which is touched once, at the end."""

from __future__ import annotations

from feathertune.errors import UserError


def require_selectable(split: str, what: str) -> None:
    """Refuse to choose `what` (a threshold, an epoch, a recipe) on the split `split`.

    Everything that chooses by looking at labels asks here.

    Raises:
        UserError: it is the test split.
    """
    if split == "test":
        raise UserError(
            f"{what} may not be chosen on the test split: its numbers would no longer be those of unseen data",
            fix="Choose on validation. Where there is none, data.validation_fraction makes one from train.",
        )
