"""Model soups (`lora.members`): several adapters, trained one seed after the other and averaged."""

import gc
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from feathertune.comparison.plan import plan_runs
from feathertune.errors import UserError
from feathertune.export.exporting import export_run
from feathertune.folders.comparison import ComparisonFolder
from feathertune.folders.run import RunFolder
from feathertune.folders.summary import Summary
from feathertune.model.adapt import (
    LoraShape,
    add_lora,
    copy_trained,
    merge,
    trainable_state,
)
from feathertune.model.classifier import PackedClassifier
from feathertune.prediction.files import read_predictions
from feathertune.recipe.files import parse_recipe
from feathertune.recipe.schema import Recipe
from feathertune.report.run_report import write_run_report
from feathertune.run import stages
from feathertune.run import train as run
from feathertune.run.context import RunContext
from feathertune.run.outline import outline
from feathertune.run.prepare import PreparedRun, prepare
from feathertune.run.soup import average, averaged_shape
from feathertune.run.train import train
from feathertune.serving.predictor import Predictor
from feathertune.training.reporter import SilentReporter
from feathertune.tuning.space import check_space
from lively import lively_classifier, move_trained, packed_logits
from tiny import random_texts, save_tiny_base, write_tiny_data

TEXTS = random_texts([5, 1, 30, 9])


def recipe(place: Path, *changes: str) -> Recipe:
    text = f"""
    model: {{source: '{place / "base"}', max_length: 32}}
    data: {{source: '{place / "data"}'}}
    lora: {{rank: 4, alpha: 8, dropout: 0.1, targets: all-linear, members: 3}}
    training: {{epochs: 2, learning_rate: 0.01, precision: fp32, seed: 5}}
    """
    return parse_recipe(text, list(changes), where="here")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base, data, and the run of a model soup."""
    folder = tmp_path_factory.mktemp("soup")
    save_tiny_base(folder / "base")
    write_tiny_data(folder / "data")
    train(recipe(folder), folder / "run")
    return folder


def tensors_of(run: Path) -> dict[str, torch.Tensor]:
    return dict(load_file(run / "adapter" / "adapter_model.safetensors"))


def summary_of(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "summary.json").read_text()))


@pytest.mark.parametrize("rslora", [False, True])
@pytest.mark.parametrize("name", ["gpt2", "bert", "llama"])
def test_the_average_is_the_mean_of_the_merged_weights(name: str, rslora: bool) -> None:
    def adapted(shape: LoraShape) -> PackedClassifier:
        classifier = lively_classifier(name)
        add_lora(classifier, shape, seed=0)
        return classifier

    linears = tuple(n for n, m in lively_classifier(name).model.base_model.named_modules() if hasattr(m, "in_features"))
    prefix = lively_classifier(name).model.base_model_prefix
    shape = LoraShape(4, 8.0, 0.0, rslora, tuple(f"{prefix}.{linear}" for linear in linears))
    states = []
    for seed in range(3):
        classifier = adapted(shape)
        move_trained(classifier.model)
        generator = torch.Generator().manual_seed(seed)
        for parameter in trainable_state(classifier).values():
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
        states.append({key: value.detach().clone() for key, value in trainable_state(classifier).items()})
    merged = []
    for state in states:
        classifier = adapted(shape)
        copy_trained(state, classifier)
        merge(classifier)
        merged.append(dict(classifier.model.state_dict()))
    mean = adapted(averaged_shape(shape, 3))
    copy_trained(average(states), mean)
    merge(mean)
    for key, averaged in mean.model.state_dict().items():
        wanted = sum(one[key].double() for one in merged) / 3
        torch.testing.assert_close(averaged.double(), wanted, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(packed_logits(mean, TEXTS), packed_logits(classifier, TEXTS), atol=1e-2)


def test_the_first_member_equals_a_run_with_its_seed(place: Path, tmp_path: Path) -> None:
    train(recipe(place, "lora.members=1"), tmp_path / "alone")
    alone, member = tensors_of(tmp_path / "alone"), tensors_of(place / "run" / "members" / "seed-5")
    assert alone.keys() == member.keys()
    assert all(torch.equal(alone[name], member[name]) for name in alone)


@pytest.mark.parametrize("family", ["bert", "distilbert", "modernbert"])
def test_members_start_with_the_same_head_and_their_own_factors(place: Path, tmp_path: Path, family: str) -> None:
    """The mean of heads that were initialized differently would be useless."""
    save_tiny_base(tmp_path / "base", family)
    prepared = prepare(recipe(place, f"model.source={tmp_path / 'base'}", "model.max_length=16"), torch.device("cpu"))
    one, other = (prepared.builder.build(prepared.lora, seed)[0].model.state_dict() for seed in (5, 6))
    differing = {name for name in one if not torch.equal(one[name], other[name])}
    assert differing == {name for name in one if name.endswith("lora_A")}


def test_the_adapter_of_the_run_is_their_mean(place: Path) -> None:
    members = [tensors_of(place / "run" / "members" / f"seed-{seed}") for seed in (5, 6, 7)]
    averaged = tensors_of(place / "run")
    name = next(name for name in averaged if name.endswith("query.lora_A.weight"))
    assert torch.equal(averaged[name], torch.cat([member[name] for member in members]))
    head = next(name for name in averaged if "classifier" in name)
    torch.testing.assert_close(averaged[head], sum(member[head] for member in members) / 3)
    config = json.loads((place / "run" / "adapter" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"]) == (12, 8.0)


def test_predictions_and_exports_agree_with_the_evaluated_predictions(place: Path, tmp_path: Path) -> None:
    stored = read_predictions(RunFolder(place / "run").predictions("after", "validation"), "validation")
    predicted = [list(one.probabilities.values()) for one in Predictor(place / "run").predict(list(stored.texts))]
    np.testing.assert_allclose(predicted, stored.probabilities_NC, rtol=0, atol=1e-6)
    for target in ("adapter", "merged"):
        assert export_run(place / "run", target, tmp_path / target).parity.passed  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # PEFT's
def test_peft_reads_it_with_the_same_predictions(place: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    stored = read_predictions(RunFolder(place / "run").predictions("after", "validation"), "validation")
    base = AutoModelForSequenceClassification.from_pretrained(place / "base", num_labels=2)
    model: Any = PeftModel.from_pretrained(base, place / "run" / "adapter").eval()
    tokens = AutoTokenizer.from_pretrained(place / "base")(list(stored.texts), padding=True, return_tensors="pt")
    with torch.inference_mode():
        logits_NC = model(**tokens).logits
    np.testing.assert_allclose(torch.softmax(logits_NC, 1), stored.probabilities_NC, rtol=0, atol=1e-5)


def test_the_summary_has_each_member_and_the_total_costs(place: Path) -> None:
    summary = summary_of(place / "run")
    assert [member["seed"] for member in summary["members"]] == [5, 6, 7]
    assert {member["epochs"] for member in summary["members"]} == {2} == {summary["epochs"]}
    assert summary["best_epoch"] is None
    assert summary["train_seconds"] == pytest.approx(sum(one["train_seconds"] for one in summary["members"]))
    assert all(one["examples_seen"] == 192 for one in summary["members"])
    counted = prepare(recipe(place), torch.device("cpu")).count
    assert (summary["trainable_parameters"], summary["total_parameters"]) == (counted.trainable, counted.total)
    single = prepare(recipe(place, "lora.members=1"), torch.device("cpu")).count.trainable
    assert 2.5 * single < summary["trainable_parameters"] < 3 * single  # three times the factors, one head


def test_the_report_shows_what_averaging_brought(place: Path) -> None:
    summary = Summary.read(place / "run" / "summary.json")
    write_run_report(RunFolder(place / "run"), summary)
    sentences = "3 adapters were trained this way and averaged into one of rank 12, a model soup. "
    sentences += f"Their validation losses in training: {', '.join(f'{member.loss:.3f}' for member in summary.members)}"
    for page in ("README.md", "report.html"):
        text = (place / "run" / page).read_text()
        assert sentences in text
        assert "of the first of 3 adapters" in text


def models() -> list[PackedClassifier]:
    """The models that still have their weights."""
    gc.collect()
    classifiers = [one for one in gc.get_objects() if type(one) is PackedClassifier]
    return [one for one in classifiers if next(one.parameters()).device.type != "meta"]


@pytest.mark.parametrize("changes", [(), ("lora.members=1",)])
def test_one_model_is_in_memory_after_training(
    place: Path, tmp_path: Path, changes: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate, alive = stages.evaluate_stage, dict[str, int]()

    def counting(context: RunContext, prepared: PreparedRun, stage: Any) -> Any:
        alive[stage] = len(models()) - others
        return evaluate(context, prepared, stage)

    others = len(models())
    monkeypatch.setattr(run, "evaluate_stage", counting)
    train(recipe(place, "training.precision=bf16", *changes), tmp_path / "run")
    assert alive == {"before": 1, "after": 1}


def test_dry_run_counts_all_trainings(place: Path) -> None:
    one, three = (outline(recipe(place, f"lora.members={n}"))["steps"] for n in (1, 3))
    assert three == 3 * one
    assert outline(recipe(place, "training.max_steps=2"))["steps"] == 3 * 2


class Stop(Exception):
    pass


class Impatient(SilentReporter):
    """Stops at the third epoch, the first of the second member."""

    def __init__(self) -> None:
        self.epochs, self.lines = 0, list[str]()

    def say(self, line: str) -> None:
        self.lines.append(line)

    def epoch(self, *_: Any) -> None:
        self.epochs += 1
        if self.epochs == 3:
            raise Stop


def test_stopped_in_the_second_member_and_resumed_it_ends_the_same(place: Path, tmp_path: Path) -> None:
    with pytest.raises(Stop):
        train(recipe(place), tmp_path / "run", reporter=Impatient())
    reporter = Impatient()
    reporter.epochs = -10
    train(recipe(place), tmp_path / "run", resume=True, reporter=reporter)
    assert reporter.epochs == -10 + 3  # the second epoch of the second member, both of the third
    assert [line for line in reporter.lines if line.startswith("adapter ")] == [
        "adapter 2 of 3, seed 6",
        "adapter 3 of 3, seed 7",
    ]
    assert not any("no checkpoint" in line for line in reporter.lines)
    resumed, whole = tensors_of(tmp_path / "run"), tensors_of(place / "run")
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_a_member_trained_on_other_data_is_refused(place: Path, tmp_path: Path) -> None:
    with pytest.raises(Stop):
        train(recipe(place), tmp_path / "run", reporter=Impatient())
    done = tmp_path / "run" / "members" / "seed-5" / "summary.json"
    done.write_text(json.dumps(json.loads(done.read_text()) | {"fingerprint": "another"}))
    environment = (tmp_path / "run" / "environment.json").stat().st_mtime_ns
    with pytest.raises(UserError, match="other data") as error:
        train(recipe(place), tmp_path / "run", resume=True)
    assert "seed-5" in str(error.value)
    assert (tmp_path / "run" / "environment.json").stat().st_mtime_ns == environment  # nothing is overwritten


def test_ptq_and_qat_of_a_soup(place: Path, tmp_path: Path) -> None:
    rounded = ("quantize={weights: int8, training: ptq}",)
    train(recipe(place, *rounded), tmp_path / "rounded")
    summary = summary_of(tmp_path / "rounded")
    assert summary["float"] == summary_of(place / "run")["after"]
    assert len(summary["members"]) == 3
    qat = ("method=qat", "lora.members=1", f"init_from={place / 'run'}", "quantize={weights: int8, epochs: 1}")
    train(recipe(place, *qat), tmp_path / "qat")
    assert summary_of(tmp_path / "qat")["float"] == summary["float"]
    assert summary_of(tmp_path / "qat")["ptq"] == summary["after"]


@pytest.mark.parametrize("changes", [("method=head",), ("method=full",), ("method=qat",)])
def test_other_methods_have_no_members(place: Path, changes: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match="members goes with"):
        recipe(place, *changes)


def test_comparisons_and_searches_refuse_a_soup(place: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"with lora.members=3, LoRA would get 3 trainings"):
        plan_runs(recipe(place), ComparisonFolder(tmp_path))
    search = "search={lora.rank: [2, 4]}"
    with pytest.raises(UserError, match=r"lora.members=3: trials"):
        check_space(recipe(place, search))
    with pytest.raises(UserError, match="cannot be searched"):
        check_space(recipe(place, "lora.members=1", "search={lora.members: [1, 3]}"))
