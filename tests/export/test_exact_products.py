"""Whether onnxruntime's integer products are exact here: one known product shows it, and the option follows."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from feathertune.errors import UserError
from feathertune.export import exact_products, exported
from feathertune.export.exact_products import INPUTS, MODEL, OPTION, OUTPUTS, ROWS, needs_option, option_is_needed
from feathertune.folders.export import ExportDescription

pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")


def exact(x_RI: np.ndarray) -> np.ndarray:
    return x_RI.astype(np.int32) @ np.full((INPUTS, OUTPUTS), 127, dtype=np.int32)


def in_16_bits(x_RI: np.ndarray) -> np.ndarray:
    """What x86 without VNNI computes: pairs of products are added in int16, which saturates, and the pairs in int32."""
    products_RIO = x_RI.astype(np.int32)[:, :, None] * np.full((INPUTS, OUTPUTS), 127, dtype=np.int32)
    pairs = products_RIO.reshape(len(x_RI), INPUTS // 2, 2, OUTPUTS).sum(axis=2)
    return np.clip(pairs, -(2**15), 2**15 - 1).sum(axis=1)


def fake(*, one: Callable[..., Any], several: Callable[..., Any], with_option: Callable[..., Any]) -> Any:
    """A runtime whose kernels for one row and for several are these."""
    return lambda x_RI, option: (with_option if option else one if len(x_RI) == 1 else several)(x_RI)


def test_the_known_product_is_what_avx2_gets_wrong() -> None:
    x_RI = np.full((2, INPUTS), 255, dtype=np.uint8)
    assert exact(x_RI)[0, 0] == 255 * 127 * 64
    assert in_16_bits(x_RI)[0, 0] == 1_048_544  # as onnxruntime 1.32 computes on an emulated Haswell


def test_the_option_is_set_only_where_it_is_needed_and_helps() -> None:
    assert not needs_option(fake(one=exact, several=exact, with_option=exact))
    assert needs_option(fake(one=in_16_bits, several=in_16_bits, with_option=exact))
    assert needs_option(fake(one=in_16_bits, several=exact, with_option=exact))
    assert needs_option(fake(one=exact, several=in_16_bits, with_option=exact))
    with pytest.raises(UserError, match=r"not exact on this machine.*\n.*without --tuned"):
        needs_option(fake(one=in_16_bits, several=in_16_bits, with_option=in_16_bits))


def test_the_products_here_are_exact_with_the_option_chosen_here() -> None:
    option_is_needed.cache_clear()
    option = option_is_needed()
    for rows in ROWS:
        x_RI = np.full((rows, INPUTS), 255, dtype=np.uint8)
        np.testing.assert_array_equal(exact_products._product(x_RI, option), exact(x_RI))


@pytest.mark.parametrize("saturates", [True, False])
def test_the_known_product_is_computed_once_and_only_for_a_file_that_needs_it(
    monkeypatch: pytest.MonkeyPatch, saturates: bool
) -> None:
    computed = []

    def product(x_RI: np.ndarray, option: bool) -> np.ndarray:
        computed.append(option)
        return in_16_bits(x_RI) if saturates and not option else exact(x_RI)

    monkeypatch.setattr(exact_products, "_product", product)
    option_is_needed.cache_clear()
    try:
        exported.session_options()
        assert not computed
        needing = [exported.session_options(needs=["exact-int8-products"]) for _ in range(3)]
        assert computed == ([False, True, True] if saturates else [False, False])
    finally:
        option_is_needed.cache_clear()
    for options in needing:
        if saturates:
            assert options.get_session_config_entry(OPTION) == "1"
        else:
            with pytest.raises(RuntimeError):
                options.get_session_config_entry(OPTION)


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize(
    ("target", "precision", "needs"),
    [
        ("onnx", "int8", ("exact-int8-products",)),
        ("onnx", "int4", ("exact-int8-products",)),  # its head is int8
        ("onnx", "fp32", ()),
        ("executorch", "int8", ()),
    ],
)
def test_exports_of_earlier_versions_still_need_exact_products(
    number: int, target: str, precision: str, needs: tuple[str, ...]
) -> None:
    older = {
        "format": number,
        "target": target,
        "precision": precision,
        "max_length": 128,
        "model": "a/b",
        "method": "qat",
        "data": {"source": "sample"},
        "inputs": "",
    }
    assert ExportDescription.of(older, where="export.json").needs == needs


def test_the_model_of_the_known_product_is_as_documented() -> None:
    onnx = pytest.importorskip("onnx", reason="the onnx extra is not installed")
    make, info, kinds = onnx.helper.make_node, onnx.helper.make_tensor_value_info, onnx.TensorProto
    weight = onnx.numpy_helper.from_array(np.array([127], dtype=np.int8))
    graph = onnx.helper.make_graph(
        [make("ConstantOfShape", ["s"], ["w"], value=weight), make("MatMulInteger", ["x", "w"], ["y"])],
        "g",
        [info("x", kinds.UINT8, ["r", INPUTS])],
        [info("y", kinds.INT32, ["r", OUTPUTS])],
        [onnx.numpy_helper.from_array(np.array([INPUTS, OUTPUTS], dtype=np.int64), "s")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=9)
    assert onnx.load_from_string(MODEL) == model
