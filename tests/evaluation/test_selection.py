"""What may be chosen on which split."""

import pytest

from feathertune.errors import UserError
from feathertune.evaluation.selection import require_selectable


def test_nothing_is_selected_on_the_test_split() -> None:
    require_selectable("validation", "a threshold")
    require_selectable("train", "a threshold")
    with pytest.raises(UserError, match=r"the best epoch may not be chosen on the test split.*\n?.*"):
        require_selectable("test", "the best epoch")
