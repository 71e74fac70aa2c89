"""The recipe's section `evaluation`: how logits become predictions."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, field_validator

from feathertune.recipe.section import Section

ThresholdMetric = Literal["accuracy", "f1", "balanced_accuracy"]


class ThresholdChoice(Section):
    """The threshold with the best value of a metric on the validation split."""

    maximize: ThresholdMetric


class EvaluationSection(Section):
    """How logits become predictions. The default is the softmax and the most likely class.

    Temperature and threshold are chosen on validation, separately for the model of each stage, and stored with the run;
    `predict`, `evaluate` and exports use them. Epochs are compared without temperature, at the fixed threshold or 0.5.
    """

    temperature: bool = Field(
        default=False, description="divide the logits by the number that minimizes the validation loss"
    )
    threshold: Annotated[float, Field(gt=0, lt=1)] | ThresholdChoice = Field(
        default=0.5, description="of two classes, predict the second from this probability on; or {maximize: METRIC}"
    )

    @field_validator("threshold", mode="wrap")
    @classmethod
    def _one_message(cls, value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError:
            metrics = ", ".join(get_args(ThresholdMetric))
            raise ValueError(f"give a number between 0 and 1, or {{maximize: METRIC}} with one of {metrics}") from None

    @property
    def maximize(self) -> ThresholdMetric | None:
        """The metric that the threshold is chosen for, or None."""
        return self.threshold.maximize if isinstance(self.threshold, ThresholdChoice) else None

    @property
    def fixed_threshold(self) -> float:
        """The threshold if it is a number, else 0.5."""
        return 0.5 if isinstance(self.threshold, ThresholdChoice) else self.threshold

    @property
    def chooses(self) -> bool:
        """Whether anything is fitted to validation."""
        return self.temperature or self.maximize is not None
