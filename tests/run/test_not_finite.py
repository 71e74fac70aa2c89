"""NaN and infinity, in weights or logits, are one clear error in every command, and nothing half-written stays."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from feathertune.errors import UserError
from feathertune.export.exporting import export_run
from feathertune.model.base import load_base
from feathertune.model.sources import find_base
from feathertune.model.tensors import is_finite
from feathertune.quantization.folder import load_quantized
from feathertune.recipe.files import parse_recipe
from feathertune.recipe.schema import Recipe
from feathertune.run.evaluate import evaluate_run
from feathertune.run.inspect import inspect_base
from feathertune.run.train import train
from feathertune.serving.predictor import Predictor
from feathertune.training.checkpoint import load_weights
from lively import LABELS
from shell import feathertune
from tiny import save_tiny_base, write_tiny_data

BROKEN = r"the weights are broken: 1 of \d+ numbers in {} are NaN or infinite"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base, data, a run by LoRA in `lora` and a quantized one in `int8`."""
    folder = tmp_path_factory.mktemp("finite")
    save_tiny_base(folder / "base", "gpt2")
    write_tiny_data(folder / "data")
    train(recipe(folder), folder / "lora")
    train(recipe(folder, "method=qat", "quantize={weights: int8, training: ptq}"), folder / "int8")
    return folder


def recipe(place: Path, *changes: str) -> Recipe:
    text = f"""
    model: {{source: '{place / "base"}', max_length: 64}}
    data: {{source: '{place / "data"}'}}
    lora: {{rank: 4, alpha: 8}}
    training: {{epochs: 1, learning_rate: 0.01, precision: fp32}}
    """
    return parse_recipe(text, list(changes), where="here")


def broken(path: Path, name: str, number: float = float("nan")) -> None:
    """Put one NaN into a tensor of a safetensors file."""
    tensors = load_file(path)
    tensors[name].view(-1)[1] = number
    save_file(tensors, path, metadata={"format": "pt"})


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_base_with_one_is_refused_and_the_file_and_tensor_named(place: Path, tmp_path: Path, number: float) -> None:
    base = shutil.copytree(place / "base", tmp_path / "base")
    broken(base / "model.safetensors", "h.1.ln_1.bias", number)
    message = r"base/model.safetensors: " + BROKEN.format("h.1.ln_1.bias")
    changed = recipe(place, f"model.source={base}")
    with pytest.raises(UserError, match=message):
        train(changed, tmp_path / "run")
    with pytest.raises(UserError, match=message):
        inspect_base(str(base))
    assert [path.name for path in tmp_path.iterdir()] == ["base"]


def test_so_is_a_shard_and_a_tensor_that_will_be_replaced_may_hold_anything(place: Path, tmp_path: Path) -> None:
    base = shutil.copytree(place / "base", tmp_path / "base")
    tensors = load_file(base / "model.safetensors")
    tensors["wpe.weight"][0, 0] = float("nan")
    last = {name: tensors.pop(name) for name in list(tensors) if name.startswith("wpe")}
    (base / "model.safetensors").unlink()
    parts = {"model-1.safetensors": tensors, "model-2.safetensors": last}
    for file, part in parts.items():
        save_file(part, base / file, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {name: file for file, part in parts.items() for name in part}}
    (base / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match=r"base/model-2.safetensors: " + BROKEN.format("wpe.weight")):
        load_base(find_base(str(base)), LABELS, 0)
    last["wpe.weight"][0, 0] = 0.0
    save_file(last, base / "model-2.safetensors", metadata={"format": "pt"})
    save_file({**tensors, "score.weight": torch.full((9, 32), torch.nan)}, base / "model-1.safetensors")
    assert load_base(find_base(str(base)), LABELS, 0).initialized == {"score.weight"}


def test_so_is_an_adapter_by_every_command_that_reads_it(place: Path, tmp_path: Path) -> None:
    run = shutil.copytree(place / "lora", tmp_path / "run")
    broken(run / "adapter" / "adapter_model.safetensors", "base_model.model.score.weight")
    message = r"adapter_model.safetensors: " + BROKEN.format("score.weight")
    for command in (
        lambda: Predictor(run),
        lambda: evaluate_run(run),
        lambda: export_run(run, "adapter", tmp_path / "out"),
        lambda: train(recipe(place, f"init_from={run}", "method=qat", "quantize={weights: int8}"), tmp_path / "next"),
    ):
        with pytest.raises(UserError, match=message):
            command()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_so_are_integers_with_such_a_scale_and_checkpoints(place: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(place / "int8" / "quantized", tmp_path / "quantized")
    name = next(name for name in load_file(folder / "weights.safetensors") if name.endswith(".scale_O"))
    broken(folder / "weights.safetensors", name)
    with pytest.raises(UserError, match="weights.safetensors: " + BROKEN.format(name)):
        load_quantized(folder)
    save_file({"w": torch.tensor([1.0, torch.nan])}, tmp_path / "best.safetensors")
    with pytest.raises(UserError, match="best.safetensors: " + BROKEN.format("w")):
        load_weights(tmp_path / "best.safetensors", {"w": torch.zeros(2)})


def overflowing(place: Path, folder: Path) -> Path:
    """A run whose weights are finite and whose logits are not."""
    run = shutil.copytree(place / "lora", folder / "run")
    path = run / "adapter" / "adapter_model.safetensors"
    tensors = load_file(path)
    tensors["base_model.model.score.weight"] = torch.full((2, 32), 3e38) * torch.tensor([[1.0], [-1.0]])
    save_file(tensors, path, metadata={"format": "pt"})
    return run


def test_logits_that_overflow_name_the_text(place: Path, tmp_path: Path) -> None:
    run = overflowing(place, tmp_path)
    with pytest.raises(UserError, match=r"text 1: the model's logits are not finite for 2 of 2 texts"):
        Predictor(run).predict(["the cat", "a moon"])
    with pytest.raises(UserError, match=r"validation.jsonl:1: the model's logits are not finite"):
        evaluate_run(run)
    (tmp_path / "texts.csv").write_text("text\nthe cat\n")
    for skip in ((), ("--on-bad-row", "skip")):  # the text is not at fault, and nothing is proposed about it
        done = feathertune("predict", "run", "--input", "texts.csv", "--output", "out.csv", *skip, cwd=tmp_path)
        assert done.returncode == 2
        assert "texts.csv:2: the model's logits are not finite for 1 of 1 texts" in done.stderr
        assert "Traceback" not in done.stderr
        assert "--on-bad-row" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "texts.csv"]


def test_an_export_with_them_is_refused_and_predicts_nothing(place: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="the onnx extra is not installed")
    export = export_run(overflowing(place, tmp_path), "onnx", tmp_path / "out")
    assert export.parity.refused[0] == "some of its logits are not finite numbers"
    with pytest.raises(UserError, match=r"text 1: the model's logits are not finite"):
        Predictor(export.folder).predict("the cat")


def test_a_baseline_with_them_is_refused(place: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(recipe(place, "method=bag_of_words"), run)
    content: dict[str, Any] = json.loads((run / "baseline.json").read_text())
    content["bias"][0] = float("nan")
    (run / "baseline.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"baseline.json: the baseline's weights are broken"):
        Predictor(run)


def test_weights_that_no_validation_text_uses_are_not_written_either(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from feathertune.run import train as module

    real = module.save_weights

    def after_breaking(run: Any, prepared: Any) -> None:
        with torch.no_grad():
            prepared.classifier.model.score.weight[0, 0] = torch.inf
        real(run, prepared)

    monkeypatch.setattr(module, "save_weights", after_breaking)
    with pytest.raises(UserError, match=BROKEN.format("score.weight")):
        train(recipe(place), tmp_path / "run")
    assert not (tmp_path / "run" / "adapter").exists()
    assert not (tmp_path / "run" / "summary.json").exists()


def test_large_finite_numbers_and_integers_are_finite() -> None:
    assert is_finite(torch.full((4,), 3e38))
    assert is_finite(torch.full((100,), 60000.0, dtype=torch.float16))
    assert is_finite(torch.ones(3, dtype=torch.int8))
    assert not is_finite(torch.tensor([1.0, torch.nan], dtype=torch.bfloat16))
    assert not is_finite(torch.tensor([torch.inf, -torch.inf]))
    assert not is_finite(torch.tensor([torch.nan]).to(torch.float8_e4m3fn))
