"""calibration.json, errors-{split}.json and latency.json: more about the predictions of a finished run."""

from __future__ import annotations

from feathertune.folders.record import Part, Record


class EceRecord(Part):
    """The expected calibration error before and after the temperature."""

    before: float
    after: float


class CalibrationRecord(Record):
    """How logits become predictions, and how well the probabilities are calibrated.

    Attributes:
        temperature: the logits are divided by it.
        threshold: of two classes, the positive one is predicted from this probability on; None for more classes.
        temperature_fitted: whether the temperature was fitted; otherwise it is 1.
        chosen_for: the metric that the threshold was chosen for, or None.
        chosen_on: the split that temperature or threshold were chosen on, or None.
        ece: split -> calibration errors.
    """

    temperature: float
    threshold: float | None
    temperature_fitted: bool = False
    chosen_for: str | None = None
    chosen_on: str | None = None
    ece: dict[str, EceRecord] = {}


class ListedExample(Part):
    """An example and its row in the source."""

    row: int
    text: str
    label: str
    rating: float | None = None


class Mistake(ListedExample):
    """An example with a wrong prediction, and the probability of that prediction."""

    predicted: str
    probability: float


class LabelError(ListedExample):
    """An example whose label is probably wrong; `quality` is the probability of the given label."""

    suggested: str
    quality: float


class GroupAccuracy(Part):
    """The accuracy of a group of examples with its 95% interval."""

    count: int
    accuracy: float
    low: float
    high: float


class LengthGroup(GroupAccuracy):
    """Texts with a number of words in a range."""

    from_words: int
    to_words: int


class RatingGroup(GroupAccuracy):
    """Texts with a rating in a range."""

    from_rating: float
    to_rating: float


class FirstWordGroup(GroupAccuracy):
    """Texts with the same first word."""

    word: str


class RatedCeiling(Part):
    """The ceiling for the texts with one rating: see `stats.rater_ceiling`."""

    rating: float
    count: int
    expected_count: float
    other_panel: float
    other_rater: float
    best_possible: float


class CeilingRecord(Part):
    """The accuracy that the disagreement of the raters permits: see `stats.rater_ceiling`."""

    raters: int
    left_out: int
    needed: int
    alpha: float
    beta: float
    two_raters: float
    other_rater: float
    other_panel: float
    best_possible: float
    by_rating: tuple[RatedCeiling, ...]


class ErrorAnalysis(Record):
    """The errors of a model in a split. Rates are shares of 1, intervals are at 95%.

    `by_rating` is None without ratings, `ceiling` unless the ratings are those of a panel that decided the labels.
    """

    split: str
    num_examples: int
    mistakes: int
    confident_mistakes: tuple[Mistake, ...]
    by_length: tuple[LengthGroup, ...]
    by_rating: tuple[RatingGroup, ...] | None
    ceiling: CeilingRecord | None
    by_first_word: tuple[FirstWordGroup, ...]
    likely_label_errors: tuple[LabelError, ...]


class LatencyRecord(Record):
    """Milliseconds per prediction, one text at a time: median, outer deciles, over `queries` texts of a split."""

    median_ms: float
    low_decile_ms: float
    high_decile_ms: float
    queries: int
    split: str
    threads: int
