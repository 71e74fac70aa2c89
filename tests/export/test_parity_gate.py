"""What the gate reports: how it checked, which texts led to a refusal and why, or that it showed nothing."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from feathertune.export import exporting
from feathertune.export.causes import likely_causes
from feathertune.export.exporting import Export, export_run, summary_lines
from feathertune.export.parity import Outputs, compare, judge
from feathertune.export.targets import TARGETS
from feathertune.export.ways import Ways, chosen_rows
from feathertune.folders.parity import Parity
from feathertune.prediction.predictions import Predictions
from tiny import tiny_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

TrainedRun = Callable[[str, str], Path]


def predictions(margins: list[float], texts: list[str] | None = None) -> Predictions:
    """Predictions with these margins of the second class, labelled as they predict."""
    margin_N = np.array(margins)
    logits_NC = np.stack([-margin_N / 2, margin_N / 2], axis=1).astype(np.float32)
    texts = texts or [f"text {index}" for index in range(len(margins))]
    rows, labels = np.arange(1, len(margins) + 1), (margin_N > 0).astype(np.int64)
    return Predictions("validation", ("no", "yes"), rows, texts, labels, None, logits_NC)


CLEAR = predictions([3.0, -3.0] * 30)
TIED = predictions([0.01, -0.01, 0.02, -0.02])


def lines_of(parity: Parity) -> list[str]:
    return summary_lines(Export(Path("out"), parity))


def test_where_all_rows_are_near_ties_it_says_that_nothing_was_shown() -> None:
    parity = compare(TIED, TIED)
    assert (parity.passed, parity.counted, parity.label_agreement_outside_near_ties) == (True, 0, None)
    first, second, *_ = lines_of(parity)
    assert first.startswith("nothing was shown: in all 4 rows the two most likely classes are less than 0.05 apart")
    assert second.endswith("4 rows, none of which counts")
    assert not any("outside" in line for line in lines_of(parity))
    assert not any("nothing was shown" in line for line in lines_of(compare(CLEAR, CLEAR)))


def test_a_refusal_names_the_first_texts() -> None:
    wrong = CLEAR.logits_NC.copy()
    wrong[[4, 7, 8, 9, 10, 11]] *= -1
    parity = judge(CLEAR, [Outputs("first", wrong)])
    assert [one.row for one in parity.named] == [5, 8, 9, 10, 11]
    assert parity.disagreeing_rows == (5, 8, 9, 10, 11, 12)
    assert "  row 5, text 4: yes as evaluated (margin 3), no exported" in lines_of(parity)
    wrong[20, 1] = np.nan
    broken = judge(CLEAR, [Outputs("first", wrong)])
    assert (broken.named[0].row, broken.named[0].exported) == (21, "not a number")
    assert broken.refused[0] == "some of its logits are not finite numbers"
    json.dumps(broken.to_json(), allow_nan=False)


def test_a_refusal_for_near_ties_names_them_and_their_cause() -> None:
    swapped = replace(TIED, logits_NC=-TIED.logits_NC)
    parity = judge(TIED, [Outputs("first", swapped.logits_NC)])
    assert not parity.passed
    assert parity.near_tie_changes == 4
    assert [one.row for one in parity.named] == [1, 2, 3, 4]
    (cause,) = likely_causes(parity, TIED, trained())
    assert "hardly tells the classes apart: half of the evaluated margins are below 0.015" in cause


def trained() -> Any:
    return SimpleNamespace(tokenizer=tiny_tokenizer(), max_length=8)


def test_pad_tokens_in_texts_and_cut_texts_are_named_as_causes() -> None:
    long = "what is the cat and the dog and the sun"
    evaluated = predictions([3.0, -3.0, 3.0, -3.0] * 10, ["the cat [PAD]", "a moon", long, "the sun"] * 10)
    wrong = evaluated.logits_NC.copy()
    wrong[[0, 2]] *= -1
    parity = judge(evaluated, [Outputs("first", wrong)])
    assert likely_causes(parity, evaluated, trained()) == (
        "1 of the 2 texts named has a special token written out ([PAD]); [PAD] is the pad token",
        "1 of the 2 texts named has more than 8 tokens, the rest of which is cut",
    )
    passed = judge(evaluated, [Outputs("first", evaluated.logits_NC)])
    assert likely_causes(passed, evaluated, trained()) == ()


def test_a_way_may_have_its_own_reason_and_its_time() -> None:
    right = Outputs("node", CLEAR.logits_NC, milliseconds=2.5)
    parity = judge(CLEAR, [right, replace(right, how="browser", refused=("other tokens",))])
    assert parity.refused == ("browser: other tokens",)
    assert not parity.passed
    assert [one.milliseconds for one in parity.checks] == [2.5, 2.5]
    assert judge(CLEAR, [right]).passed
    assert judge(CLEAR, [replace(right, refused=("other tokens",))]).refused == ("other tokens",)


def test_an_artefact_that_depends_on_the_padding_is_refused_and_the_way_named() -> None:
    rows = np.array([0, 3, 10])
    padded = CLEAR.logits_NC[rows].copy()
    padded[1] *= -1
    parity = judge(CLEAR, [Outputs("alone", CLEAR.logits_NC), Outputs("padded", padded, rows)])
    assert parity.refused[0] == "padded: 1 of 60 labels outside near-ties differ (98.333% agree; at least 99.9% must)"
    assert all(reason.startswith("padded: ") for reason in parity.refused)
    assert [one.row for one in parity.named] == [4]
    assert [(one.how, one.rows, one.changed_labels, bool(one.refused)) for one in parity.checks] == [
        ("alone", 60, 0, False),
        ("padded", 3, 1, True),
    ]
    assert parity.logit_difference["maximum"] == 0  # the figures are those of the first way
    assert parity.checks[1].logit_difference["maximum"] == pytest.approx(3)
    assert likely_causes(parity, CLEAR, trained()) == (
        "in another way (alone) it passes: its outputs depend on the padding or on the other texts of a batch",
    )


def test_rows_that_are_predicted_again_mix_lengths() -> None:
    texts = ["word " * (1 + 7 * index % 50) for index in range(50)]
    rows = chosen_rows(texts, 10)
    lengths = [len(texts[row]) for row in rows]
    assert len(rows) == 10
    assert (np.diff(rows) > 0).all()
    assert (min(lengths), max(lengths)) == (min(map(len, texts)), max(map(len, texts)))
    assert chosen_rows(texts, 500).tolist() == list(range(50))


def checked(export: Export) -> dict[str, int]:
    """How -> rows, as parity.json has it."""
    assert export.parity.passed, export.parity.refused
    assert all(one.logit_difference["maximum"] < 1e-4 for one in export.parity.checks)
    stored = Parity.read(export.folder / "parity.json")
    assert stored == export.parity
    return {one.how: one.rows for one in stored.checks}


@pytest.mark.parametrize("base", ["gpt2", "llama", "bert"])
def test_a_merged_export_predicts_through_pipeline(trained_run: TrainedRun, tmp_path: Path, base: str) -> None:
    export = export_run(trained_run(base, "fp32"), "merged", tmp_path / "out")
    ways = checked(export)
    assert ways.pop("pipeline, batches of 25, padded on the right") == 60
    assert ways.pop("pipeline, one text at a time") == 60
    if base == "llama":
        assert ways == {"pipeline, batches of 25, padded on the left": 60}
        assert export.parity.not_checked == ()
    else:  # its own limit, and the saved tokenizer pads on the right
        assert ways == {}
        assert f"padded on the left: in transformers, {base} counts" in export.parity.not_checked[0]


def test_an_adapter_predicts_through_peft(
    trained_run: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained_run("gpt2", "fp32")
    assert checked(export_run(run, "adapter", tmp_path / "out")) == {
        "Feathertune": 60,
        "PEFT, one text at a time": 60,
        "PEFT, batches of 25, padded on the right": 60,
    }
    monkeypatch.setitem(sys.modules, "peft", None)
    without = export_run(run, "adapter", tmp_path / "without")
    assert checked(without) == {"Feathertune": 60}
    assert "by PEFT, which is not installed" in without.parity.not_checked[0]


def test_an_onnx_export_predicts_texts_alone_and_padded(trained_run: TrainedRun, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="the onnx extra is not installed")
    assert checked(export_run(trained_run("gpt2", "fp32"), "onnx", tmp_path / "out")) == {
        "texts of one length in a batch": 60,
        "one text at a time": 60,
        "batches of 25, padded on the right": 60,
    }


def test_pad_tokens_at_the_end_of_a_text_are_not_pooled_in_onnx(trained_run: TrainedRun, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="the onnx extra is not installed")
    from feathertune.export.exported import OnnxRuntime

    folder = export_run(trained_run("llama", "fp32"), "onnx", tmp_path / "out").folder
    pad = json.loads((folder / "config.json").read_text())["pad_token_id"]
    runtime = OnnxRuntime(folder / "model.onnx")
    text = [9, pad, 17, 33]
    plain, ended = (runtime.logits(np.array([ids])) for ids in (text, [*text, pad, pad]))
    batch = np.array([[*text, pad, 9, 9], [9, 17, 33, 5, 6, 7, pad]])  # the first has two slots of padding, by its mask
    padded = runtime.logits(batch, np.array([[1] * 5 + [0] * 2, [1] * 7]))
    assert np.abs(plain - ended).max() < 1e-5
    assert np.abs(padded[:1] - plain).max() < 1e-5
    assert np.abs(padded[1:] - runtime.logits(batch[1:, :6])).max() < 1e-5
    assert np.abs(plain - runtime.logits(np.array([[*text, 5]]))).max() > 1e-2


def test_the_command_line_says_what_a_refusal_found(
    trained_run: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = TARGETS["merged"]

    def sabotaged(*arguments: Any) -> Ways:
        ways = target.ways(*arguments)
        first = replace(ways.outputs[0], logits_KC=ways.outputs[0].logits_KC[:, ::-1])
        return replace(ways, outputs=(first, *ways.outputs[1:]))

    monkeypatch.setitem(exporting.TARGETS, "merged", replace(target, ways=sabotaged))
    export = export_run(trained_run("llama", "fp32"), "merged", tmp_path / "out")
    assert export.folder == tmp_path / "out.refused"
    lines = summary_lines(export)
    assert lines[0].startswith("refused: pipeline, one text at a time: ")
    assert sum(line.startswith("  row ") for line in lines) == 5


def test_another_runtime_does_not_decide_and_is_told_apart() -> None:
    wrong = CLEAR.logits_NC[:, ::-1]
    parity = judge(CLEAR, [Outputs("first", CLEAR.logits_NC), Outputs("elsewhere", wrong, decides=False)])
    assert parity.passed
    assert [check.how for check in parity.checks] == ["first"]
    (check,) = parity.elsewhere
    assert check.changed_labels == len(CLEAR)
    assert check.refused[0].endswith("labels outside near-ties differ (0.000% agree; at least 99.9% must)")


def test_a_file_of_format_1_still_opens(tmp_path: Path) -> None:
    old = compare(TIED, TIED).to_json()
    for key in ("counted", "named", "checks", "not_checked", "causes"):
        del old[key]
    (tmp_path / "parity.json").write_text(json.dumps({**old, "label_agreement_outside_near_ties": 1.0}))
    parity = Parity.read(tmp_path / "parity.json")
    assert (parity.counted, parity.label_agreement_outside_near_ties, parity.checks) == (0, None, ())
