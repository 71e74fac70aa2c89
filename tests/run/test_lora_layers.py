"""Adapters in some layers only: trained, exported to PEFT, quantized, and told in the report."""

from pathlib import Path

import pytest
from safetensors.torch import load_file

from feathertune.errors import UserError
from feathertune.export.exporting import export_run
from feathertune.recipe.files import parse_recipe
from feathertune.report.writing import write_report
from feathertune.run.train import train
from tiny import save_tiny_base, write_tiny_data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layers")
    save_tiny_base(folder / "base", "gpt2")
    write_tiny_data(folder / "data")
    return folder


def trained(folder: Path, name: str, *changes: str) -> Path:
    text = f"""
    model: {{source: '{folder / "base"}'}}
    data: {{source: '{folder / "data"}'}}
    lora: {{rank: 4, targets: all-linear, layers: {{last: 1}}}}
    training: {{epochs: 1, learning_rate: 0.01, precision: fp32}}
    """
    if not (folder / name).exists():
        train(parse_recipe(text, list(changes), where="here"), folder / name)
    return folder / name


def adapted(adapter: Path) -> set[str]:
    names = load_file(adapter / "adapter_model.safetensors")
    return {name.split(".h.")[1].split(".")[0] for name in names if "lora" in name}


@pytest.mark.parametrize(("change", "layers"), [("lora.layers={last: 1}", {"1"}), ("lora.layers=[0]", {"0"})])
def test_the_adapter_has_only_these_layers_and_peft_computes_the_same(
    folder: Path, change: str, layers: set[str], tmp_path: Path
) -> None:
    run = trained(folder, f"lora{len(change)}", change)
    assert adapted(run / "adapter") == layers
    assert export_run(run, "adapter", tmp_path / "out").parity.passed
    sentence = "of the last layer" if layers == {"1"} else "of layers 0"
    write_report(run)
    assert f"targets all-linear {sentence})" in (run / "README.md").read_text()


@pytest.mark.parametrize("start", [True, False])
def test_such_a_model_is_quantized(folder: Path, start: bool, tmp_path: Path) -> None:
    changes = ["method=qat", "quantize={weights: int8}"]
    if start:
        changes.append(f"init_from={trained(folder, 'start')}")
    run = trained(folder, f"qat-{start}", *changes)
    assert export_run(run, "onnx", tmp_path / "out").parity.passed


def test_a_layer_too_many_is_an_error_before_anything_is_written(folder: Path) -> None:
    with pytest.raises(UserError, match=r"lora\.layers: the model has 2 layers, not 3"):
        trained(folder, "none", "lora.layers={last: 3}")
    assert not (folder / "none").exists()


@pytest.mark.parametrize("wrong", ["{last: 0}", "[]", "[-1]", "all", "{first: 2}", "3"])
def test_what_is_no_choice_of_layers_is_named(folder: Path, wrong: str) -> None:
    with pytest.raises(UserError, match=r"lora\.layers.*: give `\{last: K\}`, or a list of layer numbers from 0"):
        trained(folder, "none", f"lora.layers={wrong}")
