"""Integer layers equal the NumPy reference, and each row's output depends on that row only."""

import numpy as np
import pytest
import reference
import torch

from feathertune.quantization.integer import IntegerEmbedding, IntegerLinear
from feathertune.quantization.numerics import Activations, Bits

F = np.float32


def layer_and_rows(inputs: int, *, bias: bool = True) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    rng = np.random.default_rng(0)
    w_OI, x_TI = rng.standard_normal((48, inputs)).astype(F), rng.standard_normal((21, inputs)).astype(F) + F(0.3)
    return w_OI, rng.standard_normal(48).astype(F) if bias else None, x_TI


def tensors(*values: np.ndarray | None) -> list[torch.Tensor | None]:
    return [None if value is None else torch.from_numpy(value) for value in values]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("inputs", [16, 33, 384])
def test_int8_is_the_reference_bit_for_bit(inputs: int, bias: bool) -> None:
    w_OI, b_O, x_TI = layer_and_rows(inputs, bias=bias)
    weight, b, x = tensors(w_OI, b_O, x_TI)
    layer = IntegerLinear.of(weight, b, 8)
    wanted_TO = reference.linear_int8(x_TI, *reference.weight_int8(w_OI), b_O)
    np.testing.assert_array_equal(layer(x).numpy(), wanted_TO)
    np.testing.assert_array_equal(layer(x.view(3, 7, inputs)).numpy(), wanted_TO.reshape(3, 7, 48))
    symmetric = IntegerLinear.of(weight, b, 8, "symmetric")
    wanted_TO = reference.symmetric_linear_int8(x_TI, *reference.weight_int8(w_OI), b_O)
    np.testing.assert_array_equal(symmetric(x).numpy(), wanted_TO)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("inputs", [16, 33, 384])
def test_int4_is_the_reference_to_the_order_of_a_float_sum(inputs: int, bias: bool) -> None:
    w_OI, b_O, x_TI = layer_and_rows(inputs, bias=bias)
    weight, b, x = tensors(w_OI, b_O, x_TI)
    wanted_TO = reference.linear_int4(x_TI, *reference.weight_int4(w_OI), b_O)
    largest = np.abs(wanted_TO).max()
    np.testing.assert_allclose(IntegerLinear.of(weight, b, 4)(x).numpy(), wanted_TO, rtol=0, atol=1e-6 * largest)


@pytest.mark.parametrize("activations", ["asymmetric", "symmetric"])
@pytest.mark.parametrize(("bits", "within"), [(8, 0.012), (4, 0.12)])
def test_it_is_near_the_float_layer(bits: Bits, within: float, activations: Activations) -> None:
    w_OI, b_O, x_TI = layer_and_rows(384)
    weight, b, x = tensors(w_OI, b_O, x_TI)
    exact_TO = x_TI @ w_OI.T + b_O
    near_TO = IntegerLinear.of(weight, b, bits, activations)(x).numpy()
    error = np.linalg.norm(near_TO - exact_TO) / np.linalg.norm(exact_TO)
    assert 0 < error < within


@pytest.mark.parametrize("bits", [8, 4])
def test_a_rows_output_does_not_depend_on_other_rows(bits: int) -> None:
    w_OI, b_O, _ = layer_and_rows(384)
    weight, b = tensors(w_OI, b_O)
    layer = IntegerLinear.of(weight, b, bits)
    x_TI = torch.randn(64, 384, generator=torch.Generator().manual_seed(1))
    together_TO = layer(x_TI)
    for rows in (slice(0, 8), slice(24, 40), slice(8, 64)):
        assert torch.equal(layer(x_TI[rows]), together_TO[rows])
    x_TI[1:] *= 100
    assert torch.equal(layer(x_TI)[0], together_TO[0])


def test_buffers_are_what_exports_expect() -> None:
    weight = torch.randn(6, 40)
    eight, four = IntegerLinear.of(weight, torch.zeros(6), 8), IntegerLinear.of(weight, None, 4)
    described = {name: (tuple(b.shape), b.dtype) for name, b in eight.named_buffers()}
    assert described == {
        "weight_OI": ((6, 40), torch.int8),
        "bias_O": ((6,), torch.float32),
        "scale_O": ((6,), torch.float32),
        "sums_O": ((6,), torch.int32),
    }
    assert (eight.bits, eight.group, four.bits, four.group, four.bias_O) == (8, None, 4, 32, None)
    assert four.scale_OG.shape == (6, 2)
    assert torch.equal(eight.sums_O, eight.weight_OI.int().sum(1))


def test_an_embedding_row_is_its_integers_times_its_scale() -> None:
    table = torch.randn(10, 8, generator=torch.Generator().manual_seed(0))
    table[4] = 0
    ids = torch.tensor([[3, 4, 3]])
    q_VD, s_V = reference.weight_int8(table.numpy())
    wanted = q_VD[ids.numpy()].astype(F) * s_V[ids.numpy()][..., None]
    np.testing.assert_array_equal(IntegerEmbedding.of(table)(ids).numpy(), wanted)
    np.testing.assert_array_equal(IntegerEmbedding.of(table, 2.5)(ids).numpy(), wanted * F(2.5))


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("inputs", [384, 1536])
def test_a_row_does_not_depend_on_how_many_there_are(bits: Bits, inputs: int) -> None:
    generator = torch.Generator().manual_seed(0)
    # inputs of very different size; otherwise float32 sums would be exact in any order
    size_I = 4 ** torch.randn(inputs, generator=generator)
    layer = IntegerLinear.of(torch.randn(384, inputs, generator=generator) * size_I, None, bits)
    x_TI = torch.randn(40, inputs, generator=generator)
    whole_TO = layer(x_TI)
    for count in range(1, 40):
        assert torch.equal(layer(x_TI[:count].contiguous()), whole_TO[:count]), count
