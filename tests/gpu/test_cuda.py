"""On a CUDA device: results agree with the CPU, variable-length attention is used, and a whole run works."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from feathertune.kernels import varlen
from feathertune.kernels.dropout import seed_dropout
from feathertune.model.adapt import trainable_state
from feathertune.model.classifier import PackedClassifier
from feathertune.model.gradient_checkpointing import enable_gradient_checkpointing
from feathertune.model.precision import Precision, choose_precision, set_precision
from feathertune.prediction.inference import predict_logits
from feathertune.recipe.files import parse_recipe
from feathertune.run.train import train
from feathertune.tokens.batch import pack
from feathertune.tokens.tokenized import TokenizedTexts
from feathertune.training.dataset import Teacher
from lively import LABELS, adapt, largest_difference, lively_classifier
from tiny import FAMILIES, random_texts, save_tiny_base, write_tiny_data

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
CUDA = torch.device("cuda", 0)
TEXTS = random_texts([5, 1, 30, 30, 9, 160, 2, 1, 17, 8, 129, 128])
SHORT = random_texts([5, 1, 30, 9, 2])


def run(
    name: str, precision: Precision, device: torch.device, texts: TokenizedTexts = TEXTS, **changes: Any
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The logits of one batch and the gradients of the trained tensors, moved to the CPU."""
    classifier = lively_classifier(name, **changes)
    adapt(classifier, "all-linear")
    set_precision(classifier.to(device), precision)
    logits = classifier(pack(texts, np.arange(len(texts)), multiple=8).to(device))
    labels = (torch.arange(len(texts)) % len(LABELS)).to(device)
    torch.nn.functional.cross_entropy(logits, labels).backward()
    gradients = {key: p.grad.cpu() for key, p in trainable_state(classifier).items() if p.grad is not None}
    return logits.detach().cpu(), gradients


def relative_error(ours: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> float:
    assert ours.keys() == wanted.keys()
    a, b = (torch.cat([gradients[key].flatten() for key in wanted]) for gradients in (ours, wanted))
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize("texts", [SHORT, TEXTS], ids=["explicit", "sdpa"])
@pytest.mark.parametrize("name", FAMILIES)
def test_float32_is_the_cpus(name: str, texts: TokenizedTexts) -> None:
    assert not torch.backends.cuda.matmul.allow_tf32, "fp32 means true float32"
    (logits, gradients), (wanted, wanted_gradients) = (run(name, "fp32", d, texts) for d in (CUDA, torch.device("cpu")))
    assert largest_difference(logits, wanted) < 1e-4 * float(wanted.abs().max())
    assert relative_error(gradients, wanted_gradients) < 1e-4


def needs_varlen() -> None:
    if because := varlen.device_unsupported_reason(CUDA):
        pytest.skip(because)


@pytest.mark.parametrize("name", FAMILIES)
def test_bfloat16_is_near_float32_and_varlen_near_the_padded_path(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    needs_varlen()
    calls = []

    def counted(*arguments: Any) -> torch.Tensor:
        calls.append(1)
        return attend(*arguments)

    attend = varlen.attend
    monkeypatch.setattr(varlen, "attend", counted)
    exact, exact_gradients = run(name, "fp32", CUDA)
    assert not calls
    by_varlen, varlen_gradients = run(name, "bf16", CUDA)
    # MPNet's scores have a bias that these kernels do not take, and DeBERTa has attention of its own.
    assert bool(calls) == (name not in ("mpnet", "deberta-v3"))
    monkeypatch.setattr(varlen, "unsupported_reason", lambda *_: "not now")
    padded, padded_gradients = run(name, "bf16", CUDA)
    scale = float(exact.abs().max())
    assert largest_difference(padded, exact) < 0.1 * scale
    assert largest_difference(by_varlen, exact) < max(2 * largest_difference(padded, exact), 0.03 * scale)
    rounding = relative_error(padded_gradients, exact_gradients)
    assert relative_error(varlen_gradients, exact_gradients) < max(2 * rounding, 0.05)


@pytest.mark.parametrize("name", ["gpt2", "llama", "mistral-window", "bert"])
def test_filler_tokens_leave_no_trace(name: str) -> None:
    """A kernel may leave rows unwritten, so memory is filled with NaN before."""
    needs_varlen()
    junk = [torch.full((1 << 20,), float("nan"), device=CUDA, dtype=torch.bfloat16) for _ in range(8)]
    del junk
    logits, gradients = run(name, "bf16", CUDA, random_texts([5, 3, 1]))
    assert logits.isfinite().all()
    assert all(gradient.isfinite().all() for gradient in gradients.values())


@pytest.mark.parametrize("name", ["gpt2", "bert", "llama"])
def test_checkpointed_activations_have_the_same_dropout(name: str) -> None:
    def gradient(checkpointed: bool) -> torch.Tensor:
        classifier = lively_classifier(name)
        adapt(classifier, dropout=0.3)
        set_precision(classifier.to(CUDA), "fp32")
        if checkpointed:
            enable_gradient_checkpointing(classifier)
        seed_dropout(3)
        batch = pack(SHORT, np.arange(len(SHORT))).to(CUDA)
        classifier.train()(batch).square().sum().backward()
        return torch.cat([p.grad.flatten() for p in classifier.parameters() if p.grad is not None])

    torch.testing.assert_close(gradient(True), gradient(False), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["gpt2", "bert", "llama"])
def test_predictions_are_the_cpus(name: str) -> None:
    on_gpu, on_cpu = lively_classifier(name).to(CUDA), lively_classifier(name)
    logits, wanted = (torch.from_numpy(predict_logits(classifier, TEXTS)) for classifier in (on_gpu, on_cpu))
    assert largest_difference(logits, wanted) < 1e-4


def test_auto_takes_bfloat16_from_ampere_on() -> None:
    choice = choose_precision("auto", CUDA)
    recent = torch.cuda.get_device_capability(CUDA) >= (8, 0)
    assert choice.precision == ("bf16" if recent else "fp32")
    assert torch.cuda.get_device_name(CUDA) in choice.reason


@pytest.mark.parametrize("method", ["lora", "full", "head"])
def test_a_run_from_recipe_to_summary(tmp_path: Path, method: str) -> None:
    base, data = save_tiny_base(tmp_path / "base", "gpt2"), write_tiny_data(tmp_path / "data")
    recipe = parse_recipe(
        f"model: {{source: {base}, max_length: 64}}\ndata: {{source: {data}}}\nmethod: {method}\n"
        "training: {epochs: 4, batch_size: 16, learning_rate: 1.0e-2, gradient_checkpointing: true}",
        [],
        where="test",
    )
    summary = train(recipe, tmp_path / "run")
    entries = map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    losses = [entry["train_loss"] for entry in entries if entry["event"] == "epoch"]
    assert len(losses) == summary["epochs"] == 4
    assert np.isfinite(losses).all()
    assert min(losses) < losses[0]


def test_a_step_waits_for_the_device_once() -> None:
    classifier: PackedClassifier = lively_classifier("llama")
    adapt(classifier)
    set_precision(classifier.to(CUDA), "bf16")
    batch = pack(SHORT, np.arange(len(SHORT)), multiple=8)
    teacher = Teacher(np.zeros((len(SHORT), len(LABELS)), dtype=np.float32), weight=0.5, temperature=2.0)
    teacher.loss(classifier(batch.to(CUDA)), batch.indices_B).backward()  # some things synchronize only the first time
    torch.cuda.set_sync_debug_mode("error")
    try:
        teacher.loss(classifier(batch.to(CUDA)), batch.indices_B).backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
