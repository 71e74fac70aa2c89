"""The folder of an adapter, and which adapters are refused. Equality with PEFT is tested in tests/parity."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from feathertune.errors import UserError
from feathertune.model import peft_config
from feathertune.model.adapt import (
    LoraShape,
    add_lora,
    find_targets,
    train_head_only,
)
from feathertune.model.peft_files import (
    check_continuable,
    load_adapter,
    read_adapter_config,
    read_labels,
    save_adapter,
)
from feathertune.recipe.schema import LastLayers
from lively import adapt, lively_classifier, packed_logits
from tiny import FAMILIES, VOCABULARY, random_texts

CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"
WORDS = "base_model.model.bert.embeddings.word_embeddings"
NORM = "base_model.model.bert.encoder.layer.0.output.LayerNorm"
QUERY = "base_model.model.bert.encoder.layer.0.attention.self.query"


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """An adapter of ours for the lively BERT."""
    return saved(tmp_path / "adapter")


def saved(folder: Path, name: str = "bert", targets: Any = "attention", revision: str | None = None) -> Path:
    classifier = lively_classifier(name)
    save_adapter(classifier, folder, adapt(classifier, targets), base="owner/base", revision=revision)
    return folder


def change_config(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, **changes}))


def change_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(folder / TENSORS)
    change(tensors)
    save_file(tensors, folder / TENSORS)


def test_the_files(adapter: Path) -> None:
    assert sorted(path.name for path in adapter.iterdir()) == [CONFIG, TENSORS, "labels.json"]
    tensors = load_file(adapter / TENSORS)
    assert tensors[f"{QUERY}.lora_A.weight"].shape == (4, 32)
    assert tensors[f"{QUERY}.lora_B.weight"].shape == (32, 4)
    assert tensors["base_model.model.classifier.weight"].shape == (3, 32)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
    assert len(tensors) == 2 * 4 * 2 + 2


def test_the_config(tmp_path: Path) -> None:
    config = json.loads((saved(tmp_path, "gpt2", revision="abc") / CONFIG).read_text())
    assert config["base_model_name_or_path"] == "owner/base"
    assert config["revision"] == "abc"
    assert (config["peft_type"], config["task_type"]) == ("LORA", "SEQ_CLS")
    assert (config["r"], config["lora_alpha"], config["use_rslora"]) == (4, 8.0, False)
    assert config["fan_in_fan_out"] is True
    assert config["modules_to_save"] == ["score"]
    assert config["target_modules"] == ["attn.c_proj", "c_attn"]


@pytest.mark.parametrize("layers", [None, LastLayers(last=1)], ids=["all layers", "last layer"])
@pytest.mark.parametrize("targets", ["attention", "all-linear"])
@pytest.mark.parametrize("name", FAMILIES)
def test_the_configs_endings_mean_the_adapted_layers_and_no_others(
    tmp_path: Path, name: str, targets: str, layers: LastLayers | None
) -> None:
    classifier = lively_classifier(name)
    names = find_targets(classifier, targets, layers)
    add_lora(classifier, LoraShape(4, 8.0, 0.0, False, names), seed=0)
    save_adapter(classifier, tmp_path, LoraShape(4, 8.0, 0.0, False, names), base="base", revision=None)
    endings = json.loads((tmp_path / CONFIG).read_text())["target_modules"]
    modules = [module for module, _ in lively_classifier(name).model.named_modules()]
    assert {m for m in modules for ending in endings if m == ending or m.endswith(f".{ending}")} == set(names)
    # an ending of its own for each kind of layer, or where layers are left out, for each layer
    assert len(endings) <= (len({module.rpartition(".")[2] for module in names}) + 2 if layers is None else len(names))


def test_a_head_alone_is_stored_as_by_peft(tmp_path: Path) -> None:
    classifier = lively_classifier("bert")
    train_head_only(classifier)
    save_adapter(classifier, tmp_path, None, base="base", revision=None)
    assert json.loads((tmp_path / CONFIG).read_text())["target_modules"] == "dummy-target-modules"
    assert list(load_file(tmp_path / TENSORS)) == [
        "base_model.model.classifier.bias",
        "base_model.model.classifier.weight",
    ]


@pytest.mark.parametrize("spelling", ["{}.lora_A.weight", "{}.lora_A.default.weight"])
def test_both_of_pefts_name_formats_are_read(adapter: Path, spelling: str) -> None:
    def respell(tensors: dict[str, torch.Tensor]) -> None:
        tensors[spelling.format(QUERY)] = tensors.pop(f"{QUERY}.lora_A.weight")
        tensors["base_model.model.classifier.modules_to_save.default.bias"] = tensors.pop(
            "base_model.model.classifier.bias"
        )

    straight, respelled, texts = lively_classifier("bert"), lively_classifier("bert"), random_texts([4, 9])
    load_adapter(straight, adapter)
    change_tensors(adapter, respell)
    load_adapter(respelled, adapter)
    assert torch.equal(packed_logits(straight, texts), packed_logits(respelled, texts))


@pytest.mark.parametrize(
    ("plain", "wrapped"),
    [
        ("base_model.", "module.base_model."),
        ("base_model.model.", "base_model.model._orig_mod."),
        (".layer.0.", ".layer.0._checkpoint_wrapped_module."),
        (".layer.1.", "._fsdp_wrapped_module.layer.1._fsdp_wrapped_module."),
    ],
)
def test_the_names_of_what_wrapped_the_model_are_no_part_of_it(adapter: Path, plain: str, wrapped: str) -> None:
    straight, unwrapped, texts = lively_classifier("bert"), lively_classifier("bert"), random_texts([4, 9])
    load_adapter(straight, adapter)
    tensors = {name.replace(plain, wrapped): tensor for name, tensor in load_file(adapter / TENSORS).items()}
    assert any(wrapped in name for name in tensors)
    save_file(tensors, adapter / TENSORS)
    load_adapter(unwrapped, adapter)
    assert torch.equal(packed_logits(straight, texts), packed_logits(unwrapped, texts))


def test_an_adapter_in_half_precision_becomes_float32(adapter: Path) -> None:
    change_tensors(adapter, lambda tensors: tensors.update({name: t.bfloat16() for name, t in tensors.items()}))
    classifier = lively_classifier("bert")
    load_adapter(classifier, adapter)
    assert {p.dtype for p in classifier.parameters()} == {torch.float32}


def test_a_loaded_adapter_is_still_and_can_be_trained_further(adapter: Path) -> None:
    change_config(adapter, lora_dropout=0.5)
    classifier, texts = lively_classifier("bert"), random_texts([4, 9])
    shape = load_adapter(classifier, adapter)
    assert shape is not None
    assert shape.dropout == 0.5
    assert torch.equal(packed_logits(classifier, texts), packed_logits(classifier, texts))
    classifier.train()
    assert not torch.equal(packed_logits(classifier, texts), packed_logits(classifier, texts))
    assert {name for name, p in classifier.model.named_parameters() if p.requires_grad} == {
        name.removeprefix("base_model.model.").replace("lora_A.weight", "lora_A").replace("lora_B.weight", "lora_B")
        for name in load_file(adapter / TENSORS)
    }


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("layer_replication", [[0, 2]]),
        ("trainable_token_indices", [1]),
        ("target_parameters", ["x"]),
        ("use_qalora", True),
        ("use_bdlora", {"nblocks": 2}),
        ("enable_lora", [True, False, True]),
        ("kasa_config", {"beta": 1e-4}),
        ("init_lora_weights", "pissa"),
        ("init_lora_weights", "pissa_niter_16"),
        ("init_lora_weights", "olora"),
        ("init_lora_weights", "loftq"),
        ("init_lora_weights", "lora_ga"),
        ("a_key_of_a_later_peft", {"how": "differently"}),
    ],
)
def test_an_unsupported_setting_is_refused(adapter: Path, setting: str, value: object) -> None:
    change_config(adapter, **{setting: value})
    refused(adapter, f"the adapter uses {setting}=", "Merge it with PEFT")


@pytest.mark.parametrize("setting", ["alora_invocation_tokens", "arrow_config", "monteclora_config", "megatron_config"])
def test_an_unsupported_setting_that_cannot_be_merged_either(adapter: Path, setting: str) -> None:
    change_config(adapter, **{setting: {"x": 1}})
    refused(adapter, f"the adapter uses {setting}=")


def test_every_key_of_pefts_config_is_known() -> None:
    """A key that is new in PEFT must be read, found without consequence, or refused: by its name, not as unknown."""
    from peft import LoraConfig

    keys = {field.name for field in dataclasses.fields(LoraConfig)}
    assert keys <= peft_config._READ | peft_config._WITHOUT_CONSEQUENCE | peft_config._REFUSED.keys()


@pytest.mark.parametrize(
    "changes",
    [
        {"target_modules": ".*\\.(query|value)", "exclude_modules": ["key"]},
        {"target_modules": "all-linear", "layers_to_transform": [0], "layers_pattern": "layer"},
        {"fan_in_fan_out": True, "megatron_core": "megatron.core", "qalora_group_size": 16},
        {"merge_weights": True, "enable_lora": None},
        {"peft_version": "0.99", "auto_mapping": {"base_model_class": "X"}, "eva_config": {"rho": 2.0}},
        {"a_key_of_a_later_peft": None, "another": False, "a_third": {}, "a_fourth": []},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_is_of_no_consequence(adapter: Path, changes: dict[str, Any]) -> None:
    texts, one, other = random_texts([4, 9]), lively_classifier("bert"), lively_classifier("bert")
    load_adapter(one, adapter)
    change_config(adapter, **changes)
    load_adapter(other, adapter)
    assert torch.equal(packed_logits(one, texts), packed_logits(other, texts))


@pytest.mark.parametrize("value", [True, False, None, "gaussian", "orthogonal", "eva", "mica"])
def test_the_initialization_of_the_factors_does_not_matter(adapter: Path, value: object) -> None:
    change_config(adapter, init_lora_weights=value)
    assert load_adapter(lively_classifier("bert"), adapter) is not None


@pytest.mark.parametrize("kind", ["IA3", "ADALORA", "LOHA", "VERA", "PROMPT_TUNING", "TRAINABLE_TOKENS", None, 3])
def test_another_kind_of_adapter(adapter: Path, kind: object) -> None:
    change_config(adapter, peft_type=kind)
    refused(adapter, f"the adapter is of type {kind!r}, not LORA")


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda folder: (folder / CONFIG).unlink(), "adapter_config.json: the file is missing"),
    "config is a list": (lambda folder: (folder / CONFIG).write_text("[]"), "the adapter is of type None"),
    "config is no JSON": (lambda folder: (folder / CONFIG).write_text("{"), "not valid JSON"),
    "no rank": (lambda folder: change_config(folder, r=None), "lacks r or lora_alpha"),
    "no alpha": (lambda folder: change_config(folder, lora_alpha="much"), "lacks r or lora_alpha"),
    "rank 0": (lambda folder: change_config(folder, r=0), "has shape [4, 32]"),
    "another rank": (lambda folder: change_config(folder, r=8), "has shape [4, 32], this model"),
    "a pattern for another rank": (
        lambda folder: change_config(folder, rank_pattern={"query": 8}),
        "The rank in its config (r, rank_pattern) is another than that of its tensors",
    ),
    "no pattern": (lambda folder: change_config(folder, alpha_pattern={"(": 8}), "alpha_pattern is broken"),
    "no bias of PEFT's": (lambda folder: change_config(folder, bias="some"), "is none of none, all and lora_only"),
    "no tensors": (lambda folder: (folder / TENSORS).unlink(), "cannot read the adapter's tensors"),
    "pickle": (
        lambda folder: (folder / TENSORS).rename(folder / "adapter_model.bin"),
        "adapter_model.bin is a pickle and is never read",
    ),
    "empty": (lambda folder: (folder / TENSORS).write_bytes(b""), "cannot read the adapter's tensors"),
    "garbage": (lambda folder: (folder / TENSORS).write_bytes(b"garbage!" * 99), "cannot read the adapter's tensors"),
    "truncated": (
        lambda folder: (folder / TENSORS).write_bytes((folder / TENSORS).read_bytes()[:-9]),
        "cannot read the adapter's tensors",
    ),
    "a folder": (lambda folder: ((folder / TENSORS).unlink(), (folder / TENSORS).mkdir()), "cannot read the adapter"),
    "no head": (
        lambda folder: change_tensors(folder, lambda tensors: tensors.pop("base_model.model.classifier.bias")),
        "the adapter lacks 'classifier.bias'",
    ),
    "a factor less": (
        lambda folder: change_tensors(folder, lambda tensors: tensors.pop(f"{QUERY}.lora_B.weight")),
        "the adapter lacks 'bert.encoder.layer.0.attention.self.query.lora_B'",
    ),
    "a tensor more": (
        lambda folder: change_tensors(folder, lambda tensors: tensors.update(more=torch.zeros(1))),
        "has 'more', which this model does not have",
    ),
    "DoRA's magnitude": (
        lambda folder: change_tensors(
            folder, lambda tensors: tensors.update({f"{QUERY}.lora_magnitude_vector": torch.zeros(32)})
        ),
        "lora_magnitude_vector', which this model does not have",
    ),
    "more classes": (
        lambda folder: change_tensors(
            folder, lambda tensors: tensors.update({"base_model.model.classifier.bias": torch.zeros(5)})
        ),
        "classifier.bias has shape [5], this model and the adapter's config need [3]",
    ),
    "biases that were not saved": (
        lambda folder: change_config(folder, bias="lora_only"),
        "the adapter's biases were trained (bias='lora_only'), but 'bert.encoder.layer.0.attention.output.dense.bias'",
    ),
    "no magnitudes": (lambda folder: change_config(folder, use_dora=True), "lora_magnitude_vector'"),
    "an LFS pointer": (
        lambda folder: (folder / TENSORS).write_text("version https://git-lfs.github.com/spec/v1"),
        "this is a Git LFS pointer",
    ),
    "shards not gathered": (
        lambda folder: change_tensors(folder, lambda t: t.update({f"{QUERY}.lora_A.weight": torch.zeros(0)})),
        "DeepSpeed's or FSDP's shards were not gathered",
    ),
    "integers": (
        lambda folder: change_tensors(
            folder, lambda t: t.update({f"{QUERY}.lora_A.weight": torch.zeros(4, 32, dtype=torch.int8)})
        ),
        "the adapter is quantized",
    ),
    "a task for each token": (lambda folder: change_config(folder, task_type="TOKEN_CLS"), "predicts for each token"),
    "text generation": (
        lambda folder: (
            change_config(folder, task_type="CAUSAL_LM"),
            change_tensors(folder, lambda t: [t.pop(name) for name in list(t) if "classifier" in name]),
        ),
        "the adapter has no classification head (it was trained for the task CAUSAL_LM)",
    ),
    "embeddings": (
        lambda folder: change_tensors(
            folder, lambda t: t.update({f"{WORDS}.lora_embedding_A": torch.zeros(4, VOCABULARY)})
        ),
        "the adapter has LoRA on the embeddings",
    ),
    "a larger vocabulary": (
        lambda folder: change_tensors(folder, lambda t: t.update({f"{WORDS}.weight": torch.zeros(VOCABULARY + 2, 32)})),
        "the vocabulary was changed when the adapter was trained: bert.embeddings.word_embeddings has 122 rows",
    ),
    "other trained modules": (
        lambda folder: change_tensors(folder, lambda t: t.update({f"{NORM}.weight": torch.zeros(32)})),
        "a trained copy of 'bert.encoder.layer.0.output.LayerNorm', which is no part of the classification head",
    ),
    "a norm": (
        lambda folder: change_tensors(folder, lambda t: t.update({f"{NORM}.lora_A.weight": torch.zeros(4, 32)})),
        "does not have as a linear layer but as LayerNorm",
    ),
    "a wider base": (
        lambda folder: change_tensors(
            folder, lambda tensors: tensors.update({f"{QUERY}.lora_B.weight": torch.zeros(64, 4)})
        ),
        "lora_B has shape [64, 4]",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_adapter_is_the_users_error(adapter: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(adapter)
    refused(adapter, message)


def test_an_adapter_of_another_base(tmp_path: Path) -> None:
    refused(saved(tmp_path, "gpt2"), "which this model does not have as a linear layer", "made for another base model")


def test_of_another_base_only_if_it_is(tmp_path: Path) -> None:
    """The advice names what is wrong: another number of classes is no other base, another width is."""
    saved(tmp_path)
    more_classes = {f"base_model.model.classifier.{name}": torch.zeros(size) for name, size in
                    (("weight", (5, 32)), ("bias", (5,)))}  # fmt: skip
    change_tensors(tmp_path, lambda tensors: tensors.update(more_classes))
    with pytest.raises(UserError) as caught:
        load_adapter(lively_classifier("bert"), tmp_path)
    assert caught.value.fix == "It has 5 classes, and 3 are given: no, yes, maybe."
    saved(tmp_path)
    change_tensors(tmp_path, lambda tensors: tensors.update({f"{QUERY}.lora_A.weight": torch.zeros(4, 64)}))
    refused(tmp_path, "It was made for another base model: its config names owner/base.")


@pytest.mark.parametrize(("name", "left"), [("distilbert", "pre_classifier"), ("modernbert", "head.dense")])
def test_a_random_part_of_the_head_that_was_never_saved(tmp_path: Path, name: str, left: str) -> None:
    """By default PEFT saves modules called classifier and score, and no other part of a head."""
    saved(tmp_path, name)
    change_tensors(tmp_path, lambda t: [t.pop(key) for key in list(t) if f".{left.split('.')[0]}." in key])
    with pytest.raises(UserError) as caught:
        load_adapter(lively_classifier(name), tmp_path)
    assert "this part of the head was random when training began, and PEFT saved only ['classifier']" in str(
        caught.value
    )
    assert f"modules_to_save=['{left.split('.')[0]}', 'classifier']" in str(caught.value)


def test_an_embedding_stored_as_it_was_changes_nothing(adapter: Path) -> None:
    """PEFT stores the embeddings if save_embedding_layers is set."""
    own = lively_classifier("bert").model.bert.embeddings.word_embeddings.weight.detach()
    change_tensors(adapter, lambda tensors: tensors.update({f"{WORDS}.weight": own.clone()}))
    assert load_adapter(lively_classifier("bert"), adapter) is not None


@pytest.mark.parametrize(
    "changes", [{"use_dora": True}, {"lora_bias": True}, {"bias": "all"}], ids=lambda changes: next(iter(changes))
)
def test_training_cannot_continue_from_what_is_more_than_lora(adapter: Path, changes: dict[str, Any]) -> None:
    check_continuable(adapter)
    change_config(adapter, **changes)
    with pytest.raises(UserError, match="training cannot continue from an adapter with") as caught:
        check_continuable(adapter)
    assert "Export it with --to merged" in str(caught.value)


def test_the_folder_of_several_adapters_names_one(adapter: Path) -> None:
    with pytest.raises(UserError, match="There is an adapter in"):
        read_adapter_config(adapter.parent)


def refused(folder: Path, *messages: str) -> None:
    """Loading is refused with these messages and the folder's name, and the classifier is unchanged."""
    classifier = lively_classifier("bert")
    before = {name: (tensor.clone(), tensor.requires_grad) for name, tensor in classifier.named_parameters()}
    with pytest.raises(UserError) as caught:
        load_adapter(classifier, folder)
    assert str(caught.value).startswith(str(folder))
    assert all(message in str(caught.value) for message in messages), str(caught.value)
    after = dict(classifier.named_parameters())
    assert before.keys() == after.keys()
    assert all(torch.equal(t, after[name]) and grad == after[name].requires_grad for name, (t, grad) in before.items())


@pytest.mark.parametrize("text", ["{}", "[1]", '{"id2label": {"1": "yes"}}', '{"id2label": null}'])
def test_labels_that_are_not_numbered_from_0(adapter: Path, text: str) -> None:
    (adapter / "labels.json").write_text(text)
    with pytest.raises(UserError, match=r"labels.json: the labels are not numbered from 0"):
        read_labels(adapter)


def test_the_config_is_read_whole(adapter: Path) -> None:
    assert read_adapter_config(adapter) == json.loads((adapter / CONFIG).read_text())
