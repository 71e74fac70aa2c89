"""The count of multiply-adds, compared with sums by hand."""

import numpy as np
import pytest

from arithmetic import layer_linears, matrix_rates, multiply_adds
from shapes import SHAPES, Shape

D, RANK = 8, 2
ONE_LAYER = {"n_embd": D, "n_layer": 1, "n_head": 2, "vocab_size": 20}


def gpt2(layers: int) -> Shape:
    return Shape("gpt2", ONE_LAYER | {"n_layer": layers}, ("c_attn",), ("c_attn",), {"c_attn": 2 / 3})


def test_linears_of_a_layer() -> None:
    assert layer_linears(gpt2(1)) == {
        "attn.c_attn": (D, 3 * D),
        "attn.c_proj": (D, D),
        "mlp.c_fc": (D, 4 * D),
        "mlp.c_proj": (4 * D, D),
    }
    sizes = layer_linears(SHAPES["smollm2"])
    assert sizes["self_attn.k_proj"] == (576, 192)
    assert sizes["mlp.down_proj"] == (1536, 576)


def test_full_fine_tune_of_one_layer() -> None:
    # A text of 5 tokens: keys and values for all 5, everything else for one row; three products each.
    rows_c_attn = 2 / 3 * 5 + 1 / 3
    linears = 3 * (rows_c_attn * D * 3 * D + D * D + 2 * D * 4 * D)
    attention = 6 * D * 5  # one query attends to 5 keys
    assert multiply_adds(gpt2(1), np.array([5]), rank=None) == pytest.approx(linears + attention)


def test_lora_in_a_first_and_a_last_layer() -> None:
    frozen = D * D + 2 * D * 4 * D
    first = 5 * (3 * D * D + 2 * frozen)  # no gradient to the input of the first adapted linear
    first += 5 * RANK * (3 * (D + 3 * D) - D)
    rows = 2 / 3 * 5 + 1 / 3
    last = 2 * (rows * 3 * D * D + frozen) + rows * RANK * 3 * (D + 3 * D)
    attention = 6 * D * (15 + 5)  # causal: 1 + 2 + 3 + 4 + 5 pairs, then one query
    assert multiply_adds(gpt2(2), np.array([5]), rank=RANK) == pytest.approx(first + last + attention)


def test_work_is_the_mean_over_texts() -> None:
    work = [multiply_adds(SHAPES["minilm"], np.array(lengths), rank=8) for lengths in ([4], [12], [4, 12])]
    assert work[2] == pytest.approx((work[0] + work[1]) / 2)


def test_rates_are_measured() -> None:
    rates = matrix_rates(gpt2(1))
    assert all(rate["best"] > 0 and rate["streamed"] > 0 and str(D) in rate["where"] for rate in rates.values())
