"""The torch code equals the NumPy reference bit for bit, for ordinary and for extreme inputs."""

import numpy as np
import pytest
import reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from feathertune.quantization import numerics

F = np.float32


def rows() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    normal = rng.standard_normal((40, 96)).astype(F)
    return {
        "normal": normal,
        "shifted": normal + F(3),
        "all positive": np.abs(normal) + F(1),
        "all negative": -np.abs(normal) - F(1),
        "ties": (rng.integers(-255, 256, (40, 96)) / 2).astype(F),
        "an outlier": np.where(np.arange(96) == 5, F(1000), normal).astype(F),
        "zeros": np.zeros((3, 33), F),
        "some zeros": np.concatenate([normal[:2], np.zeros((2, 96), F)]),
        "tiny": normal * F(2**-98),
        "too small": normal * F(2**-110),
        "subnormal": np.full((2, 40), F(1e-42)),
        "huge": normal * F(2**120),
        "one input": normal[:, :1].copy(),
        "odd": normal[:, :35].copy(),
    }


@pytest.mark.parametrize("name", list(rows()))
def test_activations_equal_the_reference(name: str) -> None:
    x_TI = rows()[name]
    ours = numerics.quantize_rows(torch.from_numpy(x_TI))
    q_TI, s_T, z_T = reference.activations(x_TI)
    np.testing.assert_array_equal(ours.q_TI.numpy(), q_TI)
    np.testing.assert_array_equal(ours.scale_T1[:, 0].numpy(), s_T)
    np.testing.assert_array_equal(ours.zero_T1[:, 0].numpy(), z_T)


@pytest.mark.parametrize("name", list(rows()))
def test_symmetric_activations_equal_the_reference(name: str) -> None:
    x_TI = rows()[name]
    ours = numerics.quantize_rows(torch.from_numpy(x_TI), "symmetric")
    q_TI, s_T = reference.symmetric_activations(x_TI)
    np.testing.assert_array_equal(ours.q_TI.numpy(), q_TI)
    np.testing.assert_array_equal(ours.scale_T1[:, 0].numpy(), s_T)
    assert ours.zero_T1 is None
    assert np.abs(q_TI).max() == (0 if name in ("zeros", "subnormal", "too small") else 127)


@pytest.mark.parametrize("name", list(rows()))
def test_weights_equal_the_reference(name: str) -> None:
    w_OI = rows()[name]
    for ours, theirs in (
        (numerics.quantize_int8, reference.weight_int8),
        (numerics.quantize_int4, reference.weight_int4),
    ):
        q_OI, scale = ours(torch.from_numpy(w_OI))
        wanted_OI, wanted = theirs(w_OI)
        np.testing.assert_array_equal(q_OI.numpy(), wanted_OI)
        np.testing.assert_array_equal(scale.numpy(), wanted)


finite = st.floats(-(2.0**100), 2.0**100, width=32)


@settings(max_examples=60, deadline=None)
@given(arrays(F, array_shapes(min_dims=2, max_dims=2, max_side=70), elements=finite))
def test_any_finite_matrix_equals_the_reference(x: np.ndarray) -> None:
    quantized = numerics.quantize_rows(torch.from_numpy(x))
    q_TI, s_T, z_T = reference.activations(x)
    np.testing.assert_array_equal(quantized.q_TI.numpy(), q_TI)
    np.testing.assert_array_equal(quantized.scale_T1[:, 0].numpy(), s_T)
    np.testing.assert_array_equal(quantized.zero_T1[:, 0].numpy(), z_T)
    symmetric = numerics.quantize_rows(torch.from_numpy(x), "symmetric")
    q_TI, s_T = reference.symmetric_activations(x)
    np.testing.assert_array_equal(symmetric.q_TI.numpy(), q_TI)
    np.testing.assert_array_equal(symmetric.scale_T1[:, 0].numpy(), s_T)
    for quantize, wanted in (
        (numerics.quantize_int8, reference.weight_int8(x)),
        (numerics.quantize_int4, reference.weight_int4(x)),
    ):
        for ours, theirs in zip(quantize(torch.from_numpy(x)), wanted, strict=True):
            np.testing.assert_array_equal(ours.numpy(), theirs)


def test_rounding_is_half_to_even() -> None:
    # a largest magnitude of 127 makes the scale 1, so the integers are the rounded weights
    w = torch.tensor([[127.0, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5]])
    assert numerics.quantize_int8(w)[0].tolist() == [[127, 0, 2, 2, 0, -2, -2]]
    # a range of 255 also makes the scale 1, and -127 to 128 makes the zero point -1
    x = torch.tensor([[-127.0, 128.0, 0.5, 1.5, 2.5, -0.5, -1.5]])
    rows = numerics.quantize_rows(x)
    assert (float(rows.scale_T1), int(rows.zero_T1)) == (1.0, -1)
    assert (rows.q_TI + 1).tolist() == [[-127, -128, 0, 2, 2, 0, -2]], "int8 wraps: 128 - 1 is 127, and 127 + 1 is -128"


def test_a_tie_at_both_ends_is_clipped() -> None:
    """-99.5 to 155.5 rounds to -100 and 156 with zero point -28: the upper end would be 128."""
    rows = numerics.quantize_rows(torch.tensor([[-99.5, 155.5]]))
    assert (rows.q_TI.tolist(), rows.zero_T1.tolist()) == ([[-128, 127]], [[-28]])


def test_zero_is_exact_in_every_row() -> None:
    x_TI = torch.from_numpy(rows()["shifted"])
    x_TI[:, 7] = 0
    quantized = numerics.quantize_rows(x_TI)
    assert torch.equal(quantized.q_TI[:, 7].int(), quantized.zero_T1[:, 0])


def test_the_uint8_form_is_the_same_number() -> None:
    x_TI = rows()["ties"]
    q_TI, s_T, z_T = reference.activations(x_TI)
    unsigned = np.clip(np.rint(x_TI * (F(1) / s_T)[:, None]) + (z_T + 128)[:, None], 0, 255)
    np.testing.assert_array_equal(unsigned - (z_T + 128)[:, None], q_TI - z_T[:, None])


def test_int4_clips_its_largest_positive_weight_and_not_its_largest_negative() -> None:
    w = torch.zeros(2, 32)
    w[0, 3], w[1, 3] = 8.0, -8.0
    q_OI, scale_OG = numerics.quantize_int4(w)
    assert scale_OG.tolist() == [[1.0], [1.0]]
    assert (q_OI[0, 3], q_OI[1, 3]) == (7, -8)


def test_int4_scales_are_bfloat16() -> None:
    scale_OG = numerics.quantize_int4(torch.randn(20, 100, generator=torch.Generator().manual_seed(0)))[1]
    assert scale_OG.dtype == torch.float32
    assert torch.equal(scale_OG, scale_OG.bfloat16().float())


@pytest.mark.parametrize("inputs", [32, 33, 70, 96])
def test_a_short_last_group_equals_one_padded_with_zeros(inputs: int) -> None:
    w = torch.randn(5, inputs, generator=torch.Generator().manual_seed(0))
    filled = torch.nn.functional.pad(w, (0, -inputs % 32))
    (q, scale), (q_filled, scale_filled) = numerics.quantize_int4(w), numerics.quantize_int4(filled)
    assert torch.equal(scale, scale_filled)
    assert torch.equal(q, q_filled[:, :inputs])
    assert not q_filled[:, inputs:].any()


@pytest.mark.parametrize("inputs", [1, 2, 31, 32, 65])
def test_int4_packs_two_a_byte_and_back(inputs: int) -> None:
    q_OI = torch.from_numpy(np.random.default_rng(0).integers(-8, 8, (4, inputs)).astype(np.int8))
    packed = numerics.pack_int4(q_OI)
    assert (packed.dtype, packed.shape) == (torch.uint8, (4, (inputs + 1) // 2))
    assert int(packed[0, 0]) & 15 == int(q_OI[0, 0]) + 8, "the even index is in the low bits"
    assert torch.equal(numerics.unpack_int4(packed, inputs), q_OI)


@pytest.mark.parametrize("activations", ["asymmetric", "symmetric"])
@pytest.mark.parametrize("broken", [float("nan"), float("inf"), float("-inf")])
def test_values_that_are_not_finite_are_refused_or_stay_so(broken: float, activations: numerics.Activations) -> None:
    x_TI = np.ones((2, 8), F)
    x_TI[1, 3] = broken
    with pytest.raises(ValueError, match="not finite"):
        reference.activations(x_TI)
    from feathertune.quantization.integer import IntegerLinear

    y_TO = IntegerLinear.of(torch.ones(4, 8), None, 8, activations)(torch.from_numpy(x_TI))
    assert torch.isfinite(y_TO[0]).all(), "the other row is not affected"
    assert not torch.isfinite(y_TO[1]).any()


def test_the_product_is_exact_where_float32_is_not() -> None:
    """3,072 products of 255 and 127 are 99,486,720, beyond the 24 bits of float32."""
    x_TI = torch.full((1, 3072), 255.0)
    x_TI[0, 0] = 254.0
    rows = numerics.quantize_rows(x_TI)
    q_OI = torch.full((2, 3072), 127, dtype=torch.int8)
    exact = int((rows.q_TI.long() - rows.zero_T1).sum()) * 127
    assert exact == 99_486_593 != int(torch.tensor(float(exact)))
    assert numerics.integer_matmul(rows, q_OI, numerics.column_sums(q_OI)).tolist() == [[exact, exact]]
