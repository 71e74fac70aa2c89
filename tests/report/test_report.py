"""report.html and README.md: made from files alone, whole, escaped, and the same each time."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard

from feathertune.errors import UserError
from feathertune.recipe.files import dump_recipe, load_recipe
from feathertune.report.writing import write_report
from feathertune.system.files import read_json, write_json
from feathertune.wording.numbers import DASH
from made_up import HOSTILE, HOSTILE_NAMES, made_up_comparison, made_up_run, made_up_search

# what HTML a report may have: nothing that runs, loads or embeds
ALLOWED = """
html head meta link title style body header p h1 h2 h3 nav a main section div figure figcaption table caption thead
tbody tr th td span bdi ul li dl dt dd pre code footer svg g path text tspan defs use clippath rect
""".split()  # noqa: SIM905 - a list of words is easier to read


class Tags(HTMLParser):
    """Collects the tags, their attributes, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def page_of(folder: Path) -> str:
    return write_report(folder).read_text(encoding="utf-8")


def test_no_page_can_run_or_load_anything(pages: dict[str, Path]) -> None:
    for name, path in pages.items():
        page = path.read_text(encoding="utf-8")
        parsed = Tags(page)
        assert parsed.tags <= set(ALLOWED), name
        names = {attribute for attribute, _ in parsed.attributes}
        assert not {one for one in names if one.startswith("on")} | names & {"style", "src", "srcset", "action"}
        links = [value for attribute, value in parsed.attributes if attribute in ("href", "xlink:href")]
        assert all(link is not None and (link.startswith("#") or link == "data:,") for link in links)
        style = page.split("<style>", 1)[1].split("</style>", 1)[0]
        assert "url(" not in style
        assert "@import" not in style
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
        assert policy is not None
        assert f"default-src &#39;none&#39;; style-src &#39;sha256-{digest}&#39;" in policy[1].replace("'", "&#39;")
        assert "unsafe" not in policy[1]


def test_texts_are_shown_as_they_are_and_cut_if_they_are_long(pages: dict[str, Path]) -> None:
    page = pages["hostile"].read_text(encoding="utf-8")
    text = Tags(page).text
    assert HOSTILE[0] in text
    assert HOSTILE[2] in text
    assert HOSTILE[3] in text  # no template was evaluated
    assert r"\u202eright to left\u202c and عربي" in text
    assert "\u202e" not in page
    assert len(page) < 400_000


def test_the_headline_comes_first_and_the_sections_in_order(pages: dict[str, Path]) -> None:
    page = pages["run"].read_text(encoding="utf-8")
    order = [
        "Better: ",
        "results",
        "predictions",
        "calibration",
        "errors",
        "training",
        "data",
        "use",
        "limits",
        "reproduce",
    ]
    places = [page.index(order[0]), *(page.index(f'<section id="{anchor}">') for anchor in order[1:])]
    assert places == sorted(places)


def test_a_report_made_again_is_the_same_to_the_byte(pages: dict[str, Path]) -> None:
    for name in ("hostile", "comparison", "search"):
        files = (pages[name], pages[name].parent / "README.md")
        first = [file.read_bytes() for file in files]
        write_report(pages[name].parent)
        assert [file.read_bytes() for file in files] == first


def test_errors_are_shown_with_the_accuracy_that_the_raters_allow(pages: dict[str, Path]) -> None:
    text = Tags(pages["hostile"].read_text(encoding="utf-8")).text
    assert "The most confident mistakes" in text
    assert "Each label is the vote of 5 raters" in text


def test_a_run_from_before_prediction_files_were_kept(tmp_path: Path) -> None:
    run = made_up_run(tmp_path)
    shutil.rmtree(tmp_path / "predictions")
    text = Tags(page_of(run.path)).text
    assert "Better: " in text
    assert "Reliability" not in text


def test_a_baseline_without_a_base_or_a_training_has_a_report(tmp_path: Path) -> None:
    run = made_up_run(tmp_path, method="head")
    run.base.unlink()
    run.metrics.unlink()
    assert "This is a baseline without a pre-trained model" in page_of(run.path)


def test_nothing_to_report_on_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a run folder"):
        write_report(tmp_path)
    made_up_search(tmp_path, trials=0)
    with pytest.raises(UserError, match="no trial of this search is complete"):
        write_report(tmp_path)


@pytest.mark.parametrize("hostile", [False, True])
def test_the_model_card_has_the_hubs_metadata(tmp_path: Path, hostile: bool) -> None:
    names = HOSTILE_NAMES if hostile else ("NEGATIVE", "POSITIVE")
    run = made_up_run(tmp_path / "my run", texts=HOSTILE, names=names)
    write_report(run.path)
    card = ModelCard.load(run.card)
    assert card.data.base_model == "openai-community/gpt2"
    assert card.data.library_name == "peft"
    assert card.data.license == "mit"
    assert card.data.pipeline_tag == "text-classification"
    results = {result.metric_type: result.metric_value for result in card.data.eval_results or []}
    assert set(results) == {"accuracy", "precision", "recall", "f1", "roc_auc"}
    assert 0.8 < results["accuracy"] <= 1
    for text in ("# my run", "## Results", "## Data and licences", "## Limits", "feathertune train recipe.yaml"):
        assert text in card.text
    assert "<script>" not in card.text
    assert "<b>" not in re.sub(r"```.*?```|\\<b", "", card.text, flags=re.DOTALL)
    pictures = re.findall(r"\]\((figures/[^)]+)\)", card.text)
    assert len(pictures) >= 6
    assert all((run.path / picture).is_file() for picture in pictures)


def test_a_base_that_is_not_on_the_hub_is_not_named_in_the_metadata(tmp_path: Path) -> None:
    run = made_up_run(tmp_path)
    run.base.write_text(run.base.read_text(encoding="utf-8").replace('"gpt2"', '"/models/mine"'), encoding="utf-8")
    write_report(run.path)
    metadata = yaml.safe_load(run.card.read_text(encoding="utf-8").split("---")[1])
    assert "base_model" not in metadata
    assert "license" not in metadata
    assert "not known" in run.card.read_text(encoding="utf-8")


def test_a_prompt_is_shown_and_its_tokenizer_used(tmp_path: Path) -> None:
    run = made_up_run(tmp_path)
    recipe = load_recipe(run.recipe, ["model.prompt='<script>Is it <b>good</b>?</script> {text}'"])
    run.recipe.write_text(dump_recipe(recipe), encoding="utf-8")
    page = Tags(page_of(run.path))
    assert '"<script>Is it <b>good</b>?</script> {text}"' in page.text
    assert page.tags <= set(ALLOWED)
    card = run.card.read_text(encoding="utf-8")
    assert "prompt: " in card
    assert re.search(r"AutoTokenizer.from_pretrained\('[^']*adapter'\)", card)


def test_a_comparison_says_what_is_shown_and_what_is_not(pages: dict[str, Path]) -> None:
    text = Tags(pages["comparison"].read_text(encoding="utf-8")).text
    assert "LoRA has the highest accuracy: 80.0%. It is not shown to be better than full fine-tuning" in text
    assert "LoRA took 0.52 times as long to train as full fine-tuning" in text
    assert "< 0.001" in text
    assert (pages["comparison"].parent / "figures" / "size.png").is_file()


def test_a_comparison_names_the_split_of_every_sentence(pages: dict[str, Path]) -> None:
    folder = pages["comparison"].parent
    pairs = read_json(folder / "comparison.json")["pairs"]
    assert {pair["split"] for pair in pairs} == {"validation", "test"}
    text = Tags(pages["comparison"].read_text(encoding="utf-8")).text.split("Costs are medians")[0]
    of_accuracy, on_validation, on_test = re.split("In other metrics, on (?:validation|test)\n", text)
    card = (folder / "README.md").read_text(encoding="utf-8")
    for pair in pairs:
        named = f"{pair['split']}: {pair['sentence']}\n"
        assert f"- {named}" in card
        if pair["metric"] == "accuracy":
            assert named in of_accuracy
        else:  # the made-up numbers differ between the splits
            assert (pair["sentence"] in on_validation) == (pair["split"] == "validation")
            assert (pair["sentence"] in on_test) == (pair["split"] == "test")


def test_a_comparison_tells_what_has_to_be_shipped(pages: dict[str, Path]) -> None:
    page = pages["comparison"].read_text(encoding="utf-8")
    card = (pages["comparison"].parent / "README.md").read_text(encoding="utf-8")
    for head, lora in (("artefact", "19.5 KiB"), ("deployed", "81.1 MiB"), ("latency", "3.25 ms")):
        assert f'<th scope="col" class="n">{head}</th>' in page
        assert f'<td class="n">{lora}</td>' in page
    assert "| artefact | deployed | latency |" in card
    assert "| 19.5 KiB | 81.1 MiB | 3.25 ms |" in card
    for text in (Tags(page).text, card):
        assert "deployed size, which for an adapter includes its base" in text
        assert "everything that prediction needs, which for an adapter is its base too" in text


def test_a_comparison_that_knows_no_deployed_size_says_so(tmp_path: Path) -> None:
    folder = made_up_comparison(tmp_path)
    comparison = read_json(folder / "comparison.json")
    for method in comparison["methods"]:
        method["deployed_bytes"] = None
    write_json(folder / "comparison.json", comparison)
    page = page_of(folder)
    assert "Where the deployed size is not known, it is the size of the artefact." in page
    assert "| 19.5 KiB | \N{EN DASH} |" in (folder / "README.md").read_text(encoding="utf-8")


def test_a_search_shows_its_best_settings_and_warns(pages: dict[str, Path]) -> None:
    text = Tags(pages["search"].read_text(encoding="utf-8")).text
    assert "The best of 40 trials: accuracy" in text
    assert "expect a worse one on new texts" in text
    assert "1 pruned" in text


def test_classes_left_out_of_averages_are_counted_on_the_page_and_the_card(tmp_path: Path) -> None:
    run = made_up_run(tmp_path / "run", names=("cat", "dog", "nowhere"))
    summary = read_json(run.summary)
    for stage in ("before", "after"):
        metrics = summary[stage]["validation"]
        metrics["absent_classes"] = 1
        metrics["confusion_matrix"] = [[9, 1, 0], [2, 8, 0], [0, 0, 0]]
        metrics["per_class"]["nowhere"] = {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}
    write_json(run.summary, summary)
    page = page_of(run.path)
    numbers = r"1 of 3 \(majority class 0, before 1, after 1\); ROC AUC leaves out classes without examples: 1 of 3"
    assert re.search(rf"Macro averages leave out classes that are in neither labels nor predictions: {numbers}\.", page)
    cells = rf'<td class="n">{DASH}</td>' * 3 + r'<td class="n">0</td>'
    assert re.search(rf"nowhere</bdi></th>{cells}|nowhere</th>{cells}", page)
    assert re.search(numbers, run.card.read_text(encoding="utf-8").replace("\\", ""))
