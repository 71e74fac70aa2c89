"""What the table of batches compares."""

import numpy as np
import pytest

import batches


class Model:
    """Adds to each text's second logit what the longest text of its batch has in length."""

    def padded_logits(self, texts: list[str], batch: int) -> np.ndarray:
        starts = [index - index % batch for index in range(len(texts))]
        longest = [max(map(len, texts[start : start + batch])) for start in starts]
        return np.array([[2.5, length] for length in longest], dtype=np.float32)


def test_a_text_is_compared_alone_and_in_its_batch() -> None:
    difference_N, changed = batches.dependence(Model(), ["a", "bbb", "cc", "d"], batch=2)  # type: ignore[arg-type]
    assert difference_N.tolist() == pytest.approx([2, 0, 0, 1])
    assert changed == 1  # the first: 1 is below 2.5, and 3 above
