"""Folders of the world that are no plain base model: each is refused with the true cause and what to do."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from feathertune.errors import UserError
from feathertune.model.adapt import LoraShape
from feathertune.model.base import load_base
from feathertune.model.peft_files import save_adapter
from feathertune.model.sources import find_base
from lively import LABELS, adapt, lively_classifier
from tiny import save_tiny_base


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save_tiny_base(tmp_path / "base")


def refusal(source: object) -> str:
    with pytest.raises(UserError) as caught:
        find_base(str(source))
    return str(caught.value)


def add_adapter(folder: Path) -> LoraShape:
    classifier = lively_classifier("bert")
    shape = adapt(classifier)
    save_adapter(classifier, folder, shape, base="owner/base", revision=None)
    return shape


def change_config(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def test_an_adapter_beside_a_whole_model(base: Path) -> None:
    """With peft installed, transformers would add it to the model without a word."""
    add_adapter(base)
    assert "an adapter (adapter_config.json) lies beside the whole model in one folder" in refusal(base)
    assert "into a folder of their own" in refusal(base)


def test_an_adapter_beside_a_gguf_file(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    add_adapter(tmp_path)
    assert "an adapter (adapter_config.json) lies beside the model file" in refusal(f"gguf:{tmp_path}/model.gguf")


@pytest.mark.parametrize("with_config", [False, True], ids=["alone", "with a config.json"])
def test_an_adapters_folder_as_a_base(tmp_path: Path, base: Path, with_config: bool) -> None:
    add_adapter(tmp_path / "adapter")
    if with_config:
        shutil.copy(base / "config.json", tmp_path / "adapter")
    message = refusal(tmp_path / "adapter")
    assert "this is the folder of a PEFT adapter, which changes a base model and is none itself" in message
    assert "Give its base as the base model: owner/base." in message


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"quant_method": "torchao", "quant_type": {"default": {}}}, "torchao"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes"),
        ({"load_in_8bit": True}, "bitsandbytes"),
        ({"quant_method": "awq", "bits": 4}, "AWQ"),
        ({"quant_method": "compressed-tensors"}, "compressed-tensors"),
        ({"quant_method": "hqq"}, "HQQ"),
        ({"quant_method": "mxfp4"}, "mxfp4"),
    ],
)
def test_quantized_by_the_config(base: Path, settings: dict[str, Any], name: str) -> None:
    change_config(base, quantization_config=settings)
    assert f"the weights of this model are quantized ({name}): they are integers" in refusal(base)
    assert "Give the float model that it was made from" in refusal(base)


QUANTIZED_TENSORS: dict[str, tuple[dict[str, torch.Tensor], str]] = {
    "gptq": ({"layer.0.qweight": torch.zeros(4, 4, dtype=torch.int32)}, "GPTQ or AWQ"),
    "bitsandbytes": ({"layer.0.weight.absmax": torch.zeros(4)}, "bitsandbytes"),
    "int8": ({"layer.0.weight": torch.zeros(4, 4, dtype=torch.int8)}, "layer.0.weight has the type I8"),
    "fp8": ({"layer.0.weight": torch.zeros(4, 4).to(torch.float8_e4m3fn)}, "layer.0.weight has the type F8_E4M3"),
}


@pytest.mark.parametrize(("tensors", "name"), QUANTIZED_TENSORS.values(), ids=QUANTIZED_TENSORS)
def test_quantized_by_the_tensors_alone(base: Path, tensors: dict[str, torch.Tensor], name: str) -> None:
    save_file(load_file(base / "model.safetensors") | tensors, base / "model.safetensors")
    assert f"quantized ({name})" in refusal(base)


def test_fp8_is_turned_into_float(tmp_path: Path) -> None:
    base = save_tiny_base(tmp_path, "llama")
    tensors = load_file(base / "model.safetensors")
    name, scale = "layers.0.mlp.up_proj.weight", torch.tensor([[0.5]])
    whole = {key: value for key, value in tensors.items() if not key.endswith("proj.weight")}
    for key in tensors.keys() - whole.keys():
        whole |= {key: tensors[key].to(torch.float8_e4m3fn), f"{key}_scale_inv": scale.clone()}
    save_file(whole, base / "model.safetensors", metadata={"format": "pt"})
    change_config(base, quantization_config={"quant_method": "fp8", "weight_block_size": [64, 64]})
    model = load_base(find_base(str(base)), LABELS, seed=0).model
    assert torch.equal(model.get_parameter(f"model.{name}"), whole[name].float() * 0.5)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_git_lfs_pointer(base: Path, name: str) -> None:
    (base / name).write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 438000000\n")
    message = refusal(base)
    assert message.startswith(str(base / name))
    assert "this is a Git LFS pointer, not the file of 438,000,000 bytes itself" in message
    assert "git lfs pull" in message


def test_a_git_lfs_pointer_to_gguf(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_text("version https://git-lfs.github.com/spec/v1\n")
    assert "this is a Git LFS pointer" in refusal(tmp_path / "model.gguf")


def test_a_pointer_that_is_not_used_is_no_matter(base: Path) -> None:
    (base / "flax_model.msgpack").write_text("version https://git-lfs.github.com/spec/v1\n")
    assert find_base(str(base)).weights == ("model.safetensors",)


def test_a_web_page_saved_as_weights(base: Path) -> None:
    (base / "model.safetensors").write_text("<!doctype html>\n<html>")
    assert "this is a web page, not the file itself" in refusal(base)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_link_of_the_hubs_cache_to_a_file_that_was_not_copied(base: Path, name: str) -> None:
    (base / name).unlink()
    (base / name).symlink_to("../../blobs/0f3c")
    (base / "README.md").symlink_to("../../blobs/77aa")  # never read
    assert f"{name} is a link to a file that is missing: ../../blobs/0f3c" in refusal(base)
    (base / name).unlink()
    assert "is a link" not in (refusal(base) if name != "tokenizer.json" else str(find_base(str(base))))


def test_a_repository_of_exports(base: Path) -> None:
    (base / "onnx").mkdir()
    (base / "model.safetensors").rename(base / "onnx" / "model_quantized.onnx")
    assert "only onnx/model_quantized.onnx: ONNX" in refusal(base)


@pytest.mark.parametrize(
    ("name", "what", "todo"),
    [
        ("pytorch_model.bin", "a pickle", "transformers.BertModel.from_pretrained(FOLDER).save_pretrained(FOLDER)"),
        ("model.pt", "a pickle", "if you trust them"),
        ("tf_model.h5", "TensorFlow's format (HDF5)", "BertModel.from_pretrained(FOLDER, from_tf=True)"),
        ("flax_model.msgpack", "Flax's format (msgpack)", "BertModel.from_pretrained(FOLDER, from_flax=True)"),
        ("model.onnx", "ONNX", "Give the model that it was made from"),
        ("openvino_model.bin", "OpenVINO's format", "cannot be trained"),
        ("model.gguf", "GGUF", "gguf:FILE"),
        ("model-00001-of-00002.safetensors", "shards without their index", "model.safetensors.index.json"),
        ("consolidated.safetensors", "the layout of the model's authors", "transformers' layout"),
        ("gptq_model-4bit-128g.safetensors", "weights quantized by GPTQ", "Give the float model"),
        ("model.fp16.safetensors", "safetensors of another name", "rename it to model.safetensors"),
    ],
)
def test_weights_in_another_format_by_their_name(base: Path, name: str, what: str, todo: str) -> None:
    (base / "model.safetensors").rename(base / name)
    (base / "training_args.bin").write_bytes(b"")  # a trainer's own file, which holds no weights
    message = refusal(base)
    assert f"the folder has no safetensors weights, only {name}: {what}" in message
    assert todo in message


def test_the_weights_of_a_hub_model_are_named_though_they_were_not_downloaded(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (base / "model.safetensors").unlink()
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(base))
    listed: Callable[..., list[str]] = lambda *_, **__: ["config.json", "tf_model.h5"]  # noqa: E731
    monkeypatch.setattr("huggingface_hub.HfApi.list_repo_files", listed)
    assert "only tf_model.h5: TensorFlow's format (HDF5)" in refusal("owner/name")


def test_a_trainers_output_folder_holds_its_checkpoints_one_level_down(base: Path) -> None:
    (base / "checkpoint-500").mkdir()
    (base / "config.json").rename(base / "checkpoint-500" / "config.json")
    assert "config.json is missing. Did you mean its folder 'checkpoint-500'?" in refusal(base)


def test_a_single_file_by_its_format(base: Path) -> None:
    (base / "model.onnx").write_bytes(b"")
    assert "a single model file must be a GGUF file, and this is ONNX" in refusal(base / "model.onnx")
