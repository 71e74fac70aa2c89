"""The loop: accumulation, clipping, the log, errors that stop it, and steps compared with PEFT's."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from feathertune.errors import UserError
from feathertune.model.adapt import (
    LoraShape,
    add_lora,
    find_targets,
    train_everything,
    train_head_only,
)
from feathertune.model.classifier import PackedClassifier
from feathertune.model.families import head_parameters
from feathertune.prediction.inference import predict_logits
from feathertune.tokens.order import training_steps
from feathertune.training.dataset import Teacher, TrainingSet
from short_training import (
    Recorder,
    log_of,
    lora_classifier,
    mean_loss,
    metrics,
    random_set,
    same,
    set_dropout,
    train,
    weights_of,
)
from tiny import tiny_classifier, transformers_twin


def assert_close(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], tolerance: float = 1e-5) -> None:
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, other[name], atol=tolerance, rtol=0, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize("soft", [False, True])
def test_four_times_eight_is_thirty_two(tmp_path: Path, soft: bool) -> None:
    data = random_set(32 + 13, soft=soft)  # the last step has 13 examples: 8 and 5, with different weights
    whole, parts = lora_classifier(), lora_classifier()
    before = weights_of(whole)
    recorders = Recorder(whole), Recorder(parts)
    train(tmp_path / "1", whole, data, batch_size=32, gradient_accumulation_steps=1, reporter=recorders[0])
    train(tmp_path / "2", parts, data, batch_size=8, gradient_accumulation_steps=4, reporter=recorders[1])
    assert len(recorders[0].losses) == len(recorders[1].losses) == 3 * 2
    np.testing.assert_allclose(recorders[0].losses, recorders[1].losses, atol=1e-5)
    assert_close(weights_of(whole), weights_of(parts))
    assert any(not torch.equal(tensor, before[name]) for name, tensor in weights_of(whole).items())


def one_epoch_of_peft(classifier: PackedClassifier, peft_model: Any, data: TrainingSet, rate: float) -> list[float]:
    """The same steps by PEFT, transformers' padded model and its linear schedule, and PyTorch's AdamW."""
    from transformers import get_linear_schedule_with_warmup

    steps = training_steps(len(data.texts), 8, seed=0, epoch=1)
    trained = [parameter for parameter in peft_model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": 0.01},
            {"params": [p for p in trained if p.ndim == 1], "weight_decay": 0.0},
        ],
        lr=rate,
    )
    schedule = get_linear_schedule_with_warmup(optimizer, 0, len(steps))
    losses = []
    for step in steps:
        texts = [torch.from_numpy(data.texts[int(index)].astype(np.int64)) for index in step]
        pad = peft_model.config.pad_token_id
        ids_BL = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True, padding_value=pad)
        mask_BL = torch.arange(ids_BL.shape[1]) < torch.tensor([len(text) for text in texts])[:, None]
        labels_B = torch.from_numpy(data.targets[step])
        loss = peft_model(input_ids=ids_BL, attention_mask=mask_BL.long(), labels=labels_B).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # PEFT's, of transformers
@pytest.mark.parametrize("name", ["bert", "gpt2", "llama"])
@pytest.mark.parametrize("count", [8, 44])  # one step; six, the last of them short
def test_our_steps_are_pefts(tmp_path: Path, name: str, count: int) -> None:
    from peft import LoraConfig, get_peft_model

    classifier = tiny_classifier(name)
    set_dropout(classifier, 0.0)
    twin = transformers_twin(classifier)
    set_dropout(twin, 0.0)
    names = find_targets(classifier, "attention")
    add_lora(classifier, LoraShape(rank=4, alpha=8.0, dropout=0.0, rslora=False, names=names), seed=0)
    head = list(classifier.family.head_modules)
    config = LoraConfig(
        r=4,
        lora_alpha=8,
        target_modules=list(names),
        modules_to_save=head,
        task_type="SEQ_CLS",
        fan_in_fan_out=name == "gpt2",
    )
    peft_model = get_peft_model(twin, config).train()
    theirs = {
        key.removeprefix("base_model.model.")
        .replace(".modules_to_save.default", "")
        .replace(".default.weight", ""): parameter
        for key, parameter in peft_model.named_parameters()
        if parameter.requires_grad
    }
    ours = weights_of(classifier)
    assert theirs.keys() == ours.keys()
    with torch.no_grad():
        for key, parameter in theirs.items():
            parameter.copy_(ours[key])

    data, recorder = random_set(count), Recorder(classifier)
    train(tmp_path, classifier, data, epochs=1, warmup_ratio=0.0, learning_rate=1e-3, reporter=recorder)
    losses = one_epoch_of_peft(classifier, peft_model, data, rate=1e-3)
    np.testing.assert_allclose(recorder.losses, losses, atol=1e-5)
    assert_close(weights_of(classifier), {key: parameter.detach() for key, parameter in theirs.items()})


@pytest.mark.parametrize("limit", [0.05, None])
def test_the_clip_limits_what_reaches_the_weights(tmp_path: Path, limit: float | None) -> None:
    classifier, data = lora_classifier(), random_set(8)
    norms: list[float] = []

    class Sgd(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            gradients = [p.grad.flatten() for group in self.param_groups for p in group["params"]]
            norms.append(float(torch.cat(gradients).norm()))
            return super().step(closure)

    from unittest import mock

    def build(classifier: PackedClassifier, **_: object) -> torch.optim.Optimizer:
        return Sgd([{"params": list(weights_parameters(classifier)), "lr": 0.1, "peak_learning_rate": 0.1}])

    with mock.patch("short_training.build_optimizer", build):
        train(tmp_path, classifier, data, epochs=10, max_grad_norm=limit)
    logged = log_of(tmp_path)[-2]  # the tenth step's line, before the tenth epoch's
    assert logged["event"] == "step"
    assert logged["gradient_norm"] > 0.05, "the log has the norm before clipping"
    if limit is None:
        assert norms[-1] == pytest.approx(logged["gradient_norm"], rel=1e-5)
    else:
        assert norms == pytest.approx([0.05] * 10, rel=1e-3)


def weights_parameters(classifier: PackedClassifier) -> list[torch.nn.Parameter]:
    return [parameter for parameter in classifier.parameters() if parameter.requires_grad]


def test_soft_targets_teach_probabilities(tmp_path: Path) -> None:
    """With one soft target for all, the probabilities approach it, and the loss approaches its entropy."""
    data = random_set(4, soft=True)
    data = TrainingSet(data.texts, np.tile(np.array([[0.2, 0.7, 0.1]], dtype=np.float32), (4, 1)), data.rows)
    classifier = lora_classifier()
    train(tmp_path, classifier, data, epochs=60, batch_size=4, learning_rate=0.05)
    entropy = -sum(p * math.log(p) for p in (0.2, 0.7, 0.1))
    assert mean_loss(classifier, data) == pytest.approx(entropy, abs=2e-3)


def test_metrics_hold_every_tenth_step_and_every_epoch(tmp_path: Path) -> None:
    classifier, data = lora_classifier(), random_set(44)
    recorder = Recorder(classifier)
    train(tmp_path, classifier, data, epochs=4, reporter=recorder)  # 6 steps an epoch
    log = log_of(tmp_path)
    assert [(entry["event"], entry["step"]) for entry in log] == [
        ("epoch", 6),
        ("step", 10),
        ("epoch", 12),
        ("epoch", 18),
        ("step", 20),
        ("epoch", 24),
    ]
    assert log[1]["loss"] == recorder.losses[9]
    assert log[1]["epoch"] == pytest.approx(10 / 6)
    sizes = np.array([8, 8, 8, 8, 8, 4])
    assert log[0]["train_loss"] == pytest.approx((np.array(recorder.losses[:6]) * sizes).sum() / 44)
    assert set(log[0]["validation"]) == {"loss", "accuracy", "precision", "recall", "f1", "roc_auc"}


def test_a_loss_that_is_not_finite_stops_before_the_update(tmp_path: Path) -> None:
    classifier, data = lora_classifier(), random_set(44)
    ill = int(training_steps(44, 8, seed=0, epoch=1)[2][5])
    spoiled = data.targets.astype(np.int64)
    soft = np.eye(3, dtype=np.float32)[spoiled]
    soft[ill] = np.inf
    recorder = _Before(classifier)
    with pytest.raises(UserError) as error:
        train(tmp_path, classifier, TrainingSet(data.texts, soft, data.rows), reporter=recorder)
    assert "the loss became inf at step 3; the weights were not updated" in str(error.value).replace("nan", "inf")
    assert str(data.rows[ill]) in str(error.value.where).removeprefix("train rows ").split(", ")
    assert "Lower training.learning_rate" in str(error.value)
    assert same(weights_of(classifier), recorder.last)
    assert recorder.stopped == 1


def test_a_weight_that_is_not_finite_stops_the_first_step(tmp_path: Path) -> None:
    classifier = lora_classifier()
    with torch.no_grad():
        classifier.model.classifier.weight[0, 0] = math.nan
    before = weights_of(classifier)
    with pytest.raises(UserError, match="the loss became nan at step 1"):
        train(tmp_path, classifier, random_set(8))
    for name, tensor in weights_of(classifier).items():
        torch.testing.assert_close(tensor, before[name], atol=0, rtol=0, equal_nan=True)


def test_a_rate_far_too_high_is_stopped_too(tmp_path: Path) -> None:
    classifier = lora_classifier()
    recorder = _Before(classifier)
    with pytest.raises(UserError, match=r"became (nan|inf) at step"):
        train(tmp_path, classifier, random_set(), learning_rate=1e30, max_grad_norm=None, reporter=recorder)
    assert same(weights_of(classifier), recorder.last)
    assert all(bool(torch.isfinite(tensor).all()) for tensor in recorder.last.values())


def test_a_gradient_that_is_not_finite_stops_before_the_update(tmp_path: Path) -> None:
    classifier, data = lora_classifier(), random_set(16)
    before = weights_of(classifier)
    classifier.model.classifier.weight.register_hook(lambda gradient: gradient * math.inf)
    with pytest.raises(UserError, match=r"the gradient became (nan|inf) at step 1; the weights were not") as error:
        train(tmp_path, classifier, data)
    step = training_steps(16, 8, seed=0, epoch=1)[0]
    assert error.value.where == "train rows " + ", ".join(str(row) for row in data.rows[step])
    assert same(weights_of(classifier), before)


class _Before(Recorder):
    """Keeps a copy of the weights after the last successful step."""

    def __init__(self, classifier: PackedClassifier) -> None:
        super().__init__(classifier)
        self.last = weights_of(classifier)

    def step(self, step: int, loss: float, examples_per_second: float) -> None:
        super().step(step, loss, examples_per_second)
        self.last = weights_of(self.classifier)


@pytest.mark.parametrize("method", ["head", "lora", "full"])
def test_a_method_changes_what_it_trains_and_nothing_else(tmp_path: Path, method: str) -> None:
    classifier = tiny_classifier("bert")
    if method == "lora":
        names = find_targets(classifier, "attention")
        add_lora(classifier, LoraShape(rank=4, alpha=8.0, dropout=0.0, rslora=False, names=names), seed=0)
    else:
        (train_head_only if method == "head" else train_everything)(classifier)
    before = {name: tensor.detach().clone() for name, tensor in classifier.model.named_parameters()}
    train(tmp_path, classifier, random_set())
    changed = {name for name, tensor in classifier.model.named_parameters() if not torch.equal(tensor, before[name])}
    head = set(head_parameters(classifier.model, classifier.family))
    if method == "head":
        assert changed == head
    elif method == "lora":
        assert changed == head | {name for name in before if ".lora_" in name}
    else:
        unread = {name for name in before if "position_embeddings" in name or "token_type" in name}
        assert changed >= before.keys() - unread


def test_a_teachers_predictions_are_learned(tmp_path: Path) -> None:
    """With all the weight on the teacher, the targets do not matter and its predictions are learned."""
    classifier, data = tiny_classifier("bert"), random_set(24)
    train_everything(classifier)
    teacher_NC = np.random.default_rng(0).normal(size=(24, 3)).astype(np.float32)
    taught = replace(data, teacher=Teacher(teacher_NC, weight=1.0, temperature=2.0))
    losses = iter(range(100, 0, -1))  # the last epoch is the best
    train(tmp_path, classifier, taught, epochs=60, learning_rate=3e-3, evaluate=lambda: metrics(float(next(losses))))
    wanted = torch.from_numpy(teacher_NC).softmax(1)
    learned = torch.from_numpy(predict_logits(classifier, data.texts)).softmax(1)
    before = torch.full_like(wanted, 1 / 3)
    assert (learned - wanted).abs().mean() < 0.5 * (before - wanted).abs().mean()


def test_a_teachers_loss_is_the_divergence_times_the_temperature_squared() -> None:
    teacher_NC = np.array([[0.0, 2.0], [1.0, -1.0], [0.5, 0.0]], dtype=np.float32)
    logits_BC = torch.tensor([[1.0, 0.0], [0.0, 3.0]])
    p, q = (torch.softmax(x / 2, 1) for x in (torch.from_numpy(teacher_NC[[2, 0]]), logits_BC))
    wanted = 4 * (p * (p / q).log()).sum(1).mean()
    loss = Teacher(teacher_NC, 0.3, 2.0).loss(logits_BC, np.array([2, 0]))
    torch.testing.assert_close(loss, wanted)
