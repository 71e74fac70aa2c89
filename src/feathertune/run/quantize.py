"""The second half of a quantized run: from a trained model to integers, by QAT or by rounding (PTQ).

The trained weights are first put on the base again, in float32: integers must not be made from weights that bfloat16
has rounded. This model is evaluated (stage `float`). For quantization-aware training (QAT), it is evaluated as it would
be rounded now (stage `ptq`) and trained with fake quantization. Then the model is converted to integers, written, read
back from the file, and evaluated as it would be deployed (stage `after`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from feathertune.folders.summary import QuantizationSummary, Stage
from feathertune.prediction.finite import check_logits
from feathertune.prediction.inference import predict_logits
from feathertune.quantization.convert import convert, fake_quantize
from feathertune.quantization.folder import Description, load_quantized, read_description, save_quantized
from feathertune.quantization.scheme import Plan
from feathertune.recipe.schema import QuantizeSection
from feathertune.run.context import RunContext
from feathertune.run.prepare import PreparedRun, in_float32
from feathertune.run.result import summarize_training
from feathertune.run.stages import StageResult, evaluate_stage, save_weights, train_stage
from feathertune.training.dataset import Teacher
from feathertune.training.loop import Outcome
from feathertune.training.record import TrainingPaths


@dataclass(frozen=True)
class Quantized:
    """A quantized run.

    Attributes:
        stages: `float`, `ptq` (with QAT only) and `after`.
        outcome: of the run's first training, which is QAT if the run started from a finished one; None if nothing was
            trained.
        summary: what was quantized, its size, and QAT.
    """

    stages: dict[Stage, StageResult]
    outcome: Outcome | None
    summary: QuantizationSummary


def quantize(context: RunContext, prepared: PreparedRun, outcome: Outcome | None) -> Quantized:
    """Quantize the run's trained model. Its float weights are written too, and the integers to `quantized/`.

    Args:
        context: the run's.
        prepared: the run, trained.
        outcome: of the training before; None if the run starts from a finished one.
    """
    section, plan = prepared.recipe.quantize, prepared.plan
    assert section is not None
    assert plan is not None
    prepared = in_float32(prepared)
    stages: dict[Stage, StageResult] = {"float": evaluate_stage(context, prepared, "float")}
    qat_outcome = None
    if section.training == "qat":
        teacher = _teacher(prepared, section)
        fake_quantize(prepared.classifier, plan, prepared.precision.precision)
        stages["ptq"] = evaluate_stage(context, prepared, "ptq")
        context.reporter.say(f"QAT: {section.epochs} epochs with fake quantization ({section.weights} weights)")
        qat_outcome = _train(context, prepared, section, teacher, first=outcome is None)
    if context.writes:
        save_weights(context.run, prepared)
    convert(prepared.classifier, plan)
    if context.writes:
        save_quantized(prepared.classifier, context.run.quantized, prepared.tokenizer, prepared.recipe.model.max_length)
    context.accelerator.wait_for_everyone()
    deployed = load_quantized(context.run.quantized).to(context.accelerator.device)
    stages["after"] = evaluate_stage(context, replace(prepared, classifier=deployed), "after")
    summary = _summarize(section, plan, read_description(context.run.quantized), qat_outcome)
    return Quantized(stages, outcome or qat_outcome, summary)


def _teacher(prepared: PreparedRun, section: QuantizeSection) -> Teacher | None:
    """The model as it is now, before quantization, as a teacher: its predictions for the training texts."""
    if section.distill is None:
        return None
    logits_NC = predict_logits(prepared.classifier, prepared.texts["train"])
    check_logits(logits_NC, prepared.train.place)
    return Teacher(logits_NC, section.distill.weight, section.distill.temperature)


def _train(
    context: RunContext, prepared: PreparedRun, section: QuantizeSection, teacher: Teacher | None, *, first: bool
) -> Outcome:
    run = context.run
    metrics, checkpoints = (run.metrics, run.checkpoints) if first else (run.qat_metrics, run.qat_checkpoints)
    paths = TrainingPaths(metrics, checkpoints, context.fingerprint(prepared))
    rate = section.learning_rate or prepared.recipe.training.learning_rate
    return train_stage(context, prepared, paths, epochs=section.epochs, learning_rate=rate, teacher=teacher)


def _summarize(
    section: QuantizeSection, plan: Plan, description: Description, qat_outcome: Outcome | None
) -> QuantizationSummary:
    return QuantizationSummary(
        weights=section.weights,
        embeddings=section.embeddings,
        head=section.head,
        activations=description.activations,
        linears=len(plan.linears),
        head_linears=len(plan.head),
        embedding_tables=len(plan.embeddings),
        excluded=plan.excluded,
        weights_bytes=description.weights_bytes,
        float32_bytes=description.float32_bytes,
        training=None if qat_outcome is None else summarize_training(qat_outcome),
    )
