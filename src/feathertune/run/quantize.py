"""The second half of a quantized run: from a trained model to integers, trained with quantizers on or not.

The trained weights are put on the base once more, in float32, since integers are made from no rounded weight. That
model is evaluated (stage `float`), quantized as it is (`ptq`), trained with its quantizers on, converted, written,
read again from the file, and evaluated as it would be deployed (`after`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from feathertune.prediction.inference import predict_logits
from feathertune.prediction.predictions import Predictions
from feathertune.quantization.convert import convert, fake_quantize
from feathertune.quantization.folder import (
    Description,
    load_quantized,
    read_description,
    save_quantized,
)
from feathertune.quantization.scheme import Plan
from feathertune.recipe.schema import QuantizeSection
from feathertune.run.prepare import PreparedRun, in_float32
from feathertune.run.stages import (
    RunContext,
    evaluate_stage,
    fingerprint,
    metrics_of,
    save_weights,
    train_stage,
)
from feathertune.training.loop import Outcome, Teacher
from feathertune.training.record import TrainingPaths


def quantize(
    session: RunContext, job: PreparedRun, outcome: Outcome | None
) -> tuple[Outcome | None, dict[str, Predictions], dict[str, Any]]:
    """Quantize the job's trained model; write its float weights and, to the run's `quantized/`, its integers.

    Args:
        outcome: of the training before; None where the run starts from a finished one, and trained nothing.

    Returns:
        The outcome of the run's first training; the predictions of the integer model; what summary.json tells beside:
        the metrics of the stages in between, and `quantization`.
    """
    section, plan = job.recipe.quantize, job.plan
    assert section is not None
    assert plan is not None
    job = in_float32(job)
    stages = {"float": metrics_of(evaluate_stage(session, job, "float"))}
    second = None
    if section.training == "qat":
        teacher = _teacher(job, section)
        fake_quantize(job.classifier, plan, job.precision.precision)
        stages["ptq"] = metrics_of(evaluate_stage(session, job, "ptq"))
        session.reporter.say(f"training {section.epochs} epochs with the quantizers on ({section.weights} weights)")
        second = _train(session, job, section, teacher, first=outcome is None)
    if session.writes:
        save_weights(session.run, job)
    convert(job.classifier, plan)
    if session.writes:
        save_quantized(job.classifier, session.run.quantized, job.tokenizer, job.recipe.model.max_length)
    session.accelerator.wait_for_everyone()
    deployed = load_quantized(session.run.quantized).to(session.accelerator.device)
    after = evaluate_stage(session, replace(job, classifier=deployed), "after")
    described = _describe(section, plan, read_description(session.run.quantized), second)
    return outcome or second, after, stages | {"quantization": described}


def _teacher(job: PreparedRun, section: QuantizeSection) -> Teacher | None:
    """The answers of the model as it is now, for the texts it is trained on."""
    if section.distill is None:
        return None
    logits_NC = predict_logits(job.classifier, job.texts["train"])
    return Teacher(logits_NC, section.distill.weight, section.distill.temperature)


def _train(
    session: RunContext, job: PreparedRun, section: QuantizeSection, teacher: Teacher | None, *, first: bool
) -> Outcome:
    run = session.run
    metrics, checkpoints = (run.metrics, run.checkpoints) if first else (run.qat_metrics, run.qat_checkpoints)
    places = TrainingPaths(metrics, checkpoints, fingerprint(job, session.accelerator.num_processes))
    rate = section.learning_rate or job.recipe.training.learning_rate
    return train_stage(session, job, places, epochs=section.epochs, learning_rate=rate, teacher=teacher)


def _describe(
    section: QuantizeSection, plan: Plan, description: Description, outcome: Outcome | None
) -> dict[str, Any]:
    """What summary.json says of it: what is quantized, the size, and the training with quantizers on."""
    training = None
    if outcome is not None:
        progress = outcome.progress
        training = {
            "epochs": progress.epoch,
            "best_epoch": progress.best_epoch,
            "stopped_early": outcome.stopped_early,
            "train_seconds": progress.train_seconds,
            "train_examples_per_second": progress.examples_seen / progress.train_seconds,
        }
    return {
        "weights": section.weights,
        "embeddings": section.embeddings,
        "head": section.head,
        "activations": description.activations,
        "linears": len(plan.linears),
        "head_linears": len(plan.head),
        "embedding_tables": len(plan.embeddings),
        "excluded": list(plan.excluded),
        "weights_bytes": description.weights_bytes,
        "float32_bytes": description.float32_bytes,
        "training": training,
    }
