"""What may be chosen on which split: anything on validation, nothing on test, which is used once, at the end."""

from __future__ import annotations

from feathertune.errors import UserError


def require_selectable(split: str, what: str) -> None:
    """Refuse to choose `what` (a threshold, an epoch, a recipe) on the split `split`.

    Everything that looks at labels to choose something calls this first.

    Raises:
        UserError: it is the test split.
    """
    if split == "test":
        raise UserError(
            f"{what} may not be chosen on the test split: its figures would no longer be those of unseen data",
            fix="Choose on validation. If there is no such split, data.validation_fraction makes one from train.",
        )
