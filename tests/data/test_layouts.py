"""Folders of labelled texts as people have them: which files make which split, what is left out, what is refused."""

import bz2
import gzip
import json
import re
import shutil
from collections import Counter
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feathertune.data.example import Dataset
from feathertune.data.loading import load_dataset
from feathertune.data.sources import open_source
from feathertune.errors import UserError
from feathertune.recipe.files import parse_recipe
from feathertune.recipe.schema import DataSection

YES = ["the soup was warm", "a fine loud day", "kind people here", "what a good tale", "bright and clear", "well made"]
NO = ["the soup was cold", "a dull grey day", "rude people here", "what a bad tale", "dark and muddy", "badly made"]
FRENCH = ["un café très bon pour commencer", "on dit que le repas a été bon", "la soupe était froide", "le thé glacé"]
BOTH = [*((text, "yes") for text in YES), *((text, "no") for text in NO)]
CSV = "text,label\n" + "".join(f"{text},{label}\n" for text, label in BOTH)
MORE_CSV = "text,label\nanother warm soup,yes\nanother cold soup,no\n"


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    """The folder with these files: relative path -> content."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def load(folder: Path, *changes: str) -> Dataset:
    """The data that a recipe without columns gets from the folder."""
    recipe = parse_recipe(f"model: {{source: m}}\ndata: {{source: '{folder}'}}", list(changes), where="here")
    return load_dataset(recipe.data, seed=0)


def rows_of(dataset: Dataset) -> dict[str, Counter[tuple[str, str]]]:
    """Split -> its (text, label)s. A validation split that was made from train counts as train."""
    rows: dict[str, Counter[tuple[str, str]]] = {}
    for name, split in dataset.splits.items():
        key = "train" if name == "validation" and dataset.validation_made else name
        rows.setdefault(key, Counter()).update((row.text, dataset.label_names[row.label]) for row in split)
    return rows


def refusal(folder: Path, *changes: str) -> str:
    with pytest.raises(UserError) as error:
        load(folder, *changes)
    return str(error.value)


def typed_sources(message: str) -> list[str]:
    """The sources that a message proposes to type."""
    return re.findall(r"data\.source=(\S+?)[;,.]?(?:\s|$)", message)


def texts_in_folders(place: str, rows: list[tuple[str, str]]) -> dict[str, str | bytes]:
    return {f"{place}{label}/{number}.txt": text + "\n" for number, (text, label) in enumerate(rows)}


TRAIN, SOME = Counter(BOTH), Counter([("another warm soup", "yes"), ("another cold soup", "no")])


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("train.csv", "dev.csv", "test.csv"),
        ("Train.csv", "Valid.csv", "Test.csv"),
        ("training.csv", "validation.csv", "testing.csv"),
        ("my_train.csv", "my_val.csv", "my_test.csv"),
        ("reviews-train.csv", "reviews-dev.csv", "reviews-test.csv"),
        ("stsa.binary.train", "stsa.binary.dev", "stsa.binary.test"),
        ("trainData.csv", "devData.csv", "testData.csv"),
        ("train_set.csv", "val_set.csv", "test_set.csv"),
        ("trainset.csv", "devset.csv", "testset.csv"),
        ("train_2021.csv", "dev_2021.csv", "test_2021.csv"),
        ("train.txt", "dev.txt", "test.txt"),
        ("train.json", "validate.json", "test.json"),
        ("train", "dev", "test"),
        ("data/train.csv", "data/dev.csv", "data/test.csv"),
        ("plain_text/train.csv", "plain_text/dev.csv", "plain_text/test.csv"),
        ("train/data.csv", "dev/data.csv", "test/data.csv"),
        ("Train/part.csv", "Dev/part.csv", "Test/part.csv"),
    ],
)
def test_files_named_after_splits(tmp_path: Path, train: str, validation: str, test: str) -> None:
    write(tmp_path, {train: CSV, validation: MORE_CSV, test: MORE_CSV, "README.md": "# Reviews\n", "LICENSE": "MIT"})
    dataset = load(tmp_path)
    assert rows_of(dataset) == {"train": TRAIN, "validation": SOME, "test": SOME}
    assert list(dataset.origin["files"]) == [train, validation, test]  # type: ignore[call-overload]


def test_each_file_is_opened_on_its_own(tmp_path: Path) -> None:
    tsv = "id\tlabel\ttext\n" + "".join(f"{n}\t{label}\t{text}\n" for n, (text, label) in enumerate(BOTH))
    write(tmp_path, {"train.tsv": tsv, "test.csv": MORE_CSV.replace(",", ";").encode("utf-16")})
    assert rows_of(load(tmp_path)) == {"train": TRAIN, "test": SOME}


def test_eval_is_validation(tmp_path: Path) -> None:
    write(tmp_path, {"train.csv": CSV, "eval.csv": MORE_CSV})
    dataset = load(tmp_path)
    assert rows_of(dataset) == {"train": TRAIN, "validation": SOME}
    assert any("eval.csv" in note and "validation" in note for note in dataset.notes)


@pytest.mark.parametrize(
    "name", ["data.csv", "reviews.csv", "all.txt", "ReviewCollection", "Data.CSV", "inner/reviews.csv"]
)
def test_one_file_alone_is_train(tmp_path: Path, name: str) -> None:
    write(tmp_path, {name: CSV, "readme.txt": "About these reviews.\n", "LICENSE.txt": "MIT\n"})
    dataset = load(tmp_path)
    assert rows_of(dataset) == {"train": TRAIN}
    assert any(Path(name).name in note for note in dataset.notes)


@pytest.mark.parametrize("suffix", [".gz", ".bz2"])
def test_compressed_files(tmp_path: Path, suffix: str) -> None:
    pack = gzip.compress if suffix == ".gz" else bz2.compress
    write(tmp_path, {f"train.csv{suffix}": pack(CSV.encode()), f"test.csv{suffix}": pack(MORE_CSV.encode())})
    assert rows_of(load(tmp_path)) == {"train": TRAIN, "test": SOME}


def parquet(path: Path, rows: list[tuple[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    texts, labels = zip(*rows, strict=True)
    pq.write_table(pa.table({"text": list(texts), "label": list(labels)}), path)


@pytest.mark.parametrize("place", ["", "data/", "train/"])
def test_shards_are_read_one_after_another(tmp_path: Path, place: str) -> None:
    parquet(tmp_path / f"{place}train-00000-of-00002.parquet", BOTH[:8])
    parquet(tmp_path / f"{place}train-00001-of-00002.parquet", BOTH[8:])
    write(tmp_path, {"README.md": "---\nlicense: mit\n---\n", "dataset_infos.json": "{}"})
    dataset = load(tmp_path)
    assert rows_of(dataset) == {"train": TRAIN}
    rows = sorted(row.row for split in dataset.splits.values() for row in split)
    assert rows == list(range(1, 13)), "rows are numbered through all shards, so that a number is one row"
    (tmp_path / f"{place}train-00000-of-00002.parquet").unlink()
    assert "00000" in refusal(tmp_path), "a shard that is missing is no smaller data set"


def test_shards_alone(tmp_path: Path) -> None:
    parquet(tmp_path / "data-00000-of-00002.parquet", BOTH[:8])
    parquet(tmp_path / "data-00001-of-00002.parquet", BOTH[8:])
    assert rows_of(load(tmp_path)) == {"train": TRAIN}


def test_numbered_parts_are_one_split(tmp_path: Path) -> None:
    lines = CSV.splitlines(keepends=True)
    first, second = "".join(lines[:7]), lines[0] + "".join(lines[7:])
    write(tmp_path, {"train_1.csv": first, "train_2.csv": second, "test.csv": MORE_CSV})
    dataset = load(tmp_path)
    assert rows_of(dataset) == {"train": TRAIN, "test": SOME}
    assert any("train_1.csv" in note and "train_2.csv" in note for note in dataset.notes)


@pytest.mark.parametrize("whole", [True, False])
def test_what_datasets_saves(tmp_path: Path, whole: bool) -> None:
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})

    def saved(rows: list[tuple[str, str]]) -> datasets.Dataset:
        columns = {"text": [text for text, _ in rows], "label": [int(label == "yes") for _, label in rows]}
        return datasets.Dataset.from_dict(columns, features=features)

    parts = {"train": saved(BOTH), "test": saved(sorted(SOME))}
    (datasets.DatasetDict(parts) if whole else parts["train"]).save_to_disk(tmp_path / "saved")
    expected = {"train": TRAIN, "test": SOME} if whole else {"train": TRAIN}
    assert rows_of(load(tmp_path / "saved")) == expected


def test_a_folder_for_each_class(tmp_path: Path) -> None:
    write(tmp_path, {**texts_in_folders("", BOTH), "README.md": "#", ".DS_Store": b"\0", "yes/.DS_Store": b"\0"})
    dataset = load(tmp_path)
    assert rows_of(dataset) == {"train": TRAIN}
    assert dataset.label_names == ("no", "yes")


@pytest.mark.parametrize("name", ["{}.txt", "{}", "{}.text", "{:05}.7c53336b37003a9286aba55d2945844c"])
def test_texts_of_a_class_under_other_names(tmp_path: Path, name: str) -> None:
    for number, (text, label) in enumerate(BOTH):
        write(tmp_path, {f"{label}/" + name.format(49960 + number): text})
    assert rows_of(load(tmp_path)) == {"train": TRAIN}


def test_split_and_class_as_in_the_films_of_stanford(tmp_path: Path) -> None:
    files = {**texts_in_folders("train/", BOTH), **texts_in_folders("test/", sorted(SOME))}
    others = {"imdb.vocab": "the\n", "imdbEr.txt": "0.1\n", "README": "Large Movie Review Dataset\n"}
    urls = {"train/urls_pos.txt": "http://a\n", "train/labeledBow.feat": "9 0:9\n", "train/unsup/0_0.txt": "unknown"}
    dataset = load(write(tmp_path / "aclImdb", {**files, **others, **urls}))
    assert rows_of(dataset) == {"train": TRAIN, "test": SOME}
    assert any("unsup" in note and "left out" in note for note in dataset.notes)


def test_splits_in_folders_of_other_names(tmp_path: Path) -> None:
    files = {**texts_in_folders("20news-bydate-train/", BOTH), **texts_in_folders("20news-bydate-test/", sorted(SOME))}
    assert rows_of(load(write(tmp_path, files))) == {"train": TRAIN, "test": SOME}


def test_a_text_keeps_its_inner_lines_and_loses_its_ends(tmp_path: Path) -> None:
    write(tmp_path, {**texts_in_folders("", BOTH), "yes/long.txt": b"\xef\xbb\xbf  one\r\n\r\n  two\r\n\r\n"})
    assert ("one\n\n  two", "yes") in rows_of(load(tmp_path))["train"]


def test_a_bad_text_is_named_by_its_file(tmp_path: Path) -> None:
    write(tmp_path, {**texts_in_folders("", BOTH), "yes/empty.txt": "\n", "no/nul.txt": b"a\0b"})
    assert f"{tmp_path / 'no' / 'nul.txt'}" in refusal(tmp_path)
    dataset = load(tmp_path, "data.on_bad_row=skip")
    assert rows_of(dataset) == {"train": TRAIN}
    assert [Path(bad.place.split(":")[0]).name for bad in dataset.bad_rows] == ["nul.txt", "empty.txt"]


def test_texts_in_another_encoding(tmp_path: Path) -> None:
    french = [text.encode("cp1252") for text in FRENCH]
    write(tmp_path, {**texts_in_folders("", BOTH), "yes/fr.txt": french[0]})
    refused = refusal(tmp_path)  # a single one may be damage
    assert str(tmp_path / "yes" / "fr.txt") in refused
    assert "data.on_bad_row=skip" in refused
    assert (FRENCH[0], "yes") in rows_of(load(tmp_path, "data.encoding=windows-1252"))["train"]
    write(tmp_path, {f"no/fr{number}.txt": text for number, text in enumerate(french)})
    dataset = load(tmp_path)
    assert {(text, "no") for text in FRENCH} < set(rows_of(dataset)["train"])
    assert [found.encoding for found in dataset.formats.values()] == ["cp1252"]


def test_thousands_of_texts_have_one_checksum(tmp_path: Path) -> None:
    write(tmp_path, {f"{label}/{n}.txt": f"text {n} {label}" for n in range(60) for label in ("a", "b")})
    first = open_source(str(tmp_path)).origin
    assert list(first["files"]) == ["120 files"]  # type: ignore[call-overload]
    (tmp_path / "a" / "7.txt").write_text("changed")
    assert open_source(str(tmp_path)).origin != first
    (tmp_path / "a" / "7.txt").write_text("text 7 a")
    assert open_source(str(tmp_path)).origin == first
    (tmp_path / "a" / "7.txt").rename(tmp_path / "a" / "7b.txt")
    assert open_source(str(tmp_path)).origin != first


def lines(texts: list[str]) -> str:
    return "".join(text + "\n" for text in texts)


@pytest.mark.parametrize(
    ("yes", "no", "labels"),
    [
        ("pos.txt", "neg.txt", ("neg", "pos")),
        ("spam.txt", "ham.txt", ("ham", "spam")),
        ("rt-polarity.pos", "rt-polarity.neg", ("neg", "pos")),
        ("train_pos.txt", "train_neg.txt", ("neg", "pos")),
        ("train/pos.txt", "train/neg.txt", ("neg", "pos")),
    ],
)
def test_a_file_for_each_class(tmp_path: Path, yes: str, no: str, labels: tuple[str, str]) -> None:
    write(tmp_path, {yes: lines(YES), no: lines(NO), "README.txt": "Movie reviews.\n"})
    dataset = load(tmp_path)
    assert dataset.label_names == labels
    names = dict(zip(("no", "yes"), labels, strict=True))
    assert rows_of(dataset) == {"train": Counter((text, names[label]) for text, label in BOTH)}
    assert any(Path(yes).name in note and Path(no).name in note for note in dataset.notes)


def test_a_file_for_each_class_and_split(tmp_path: Path) -> None:
    write(tmp_path, {"train_yes.txt": lines(YES), "train_no.txt": lines(NO)})
    write(tmp_path, {"test_yes.txt": "another warm soup\n", "test_no.txt": "another cold soup\n"})
    assert rows_of(load(tmp_path)) == {"train": TRAIN, "test": SOME}


def test_files_of_classes_in_an_older_encoding(tmp_path: Path) -> None:
    french = lines(FRENCH).encode("cp1252")
    write(tmp_path, {"rt-polarity.pos": lines(YES).encode() + french, "rt-polarity.neg": lines(NO)})
    assert {(text, "pos") for text in FRENCH} < set(rows_of(load(tmp_path))["train"])


NUMBERS = "".join("1\n" if label == "yes" else "0\n" for _, label in BOTH)


@pytest.mark.parametrize(
    ("texts", "labels", "names"),
    [
        ("train_text.txt", "train_labels.txt", {"mapping.txt": "0\tno\n1\tyes\n"}),
        ("train.text", "train.label", {"classes.txt": "no\nyes\n"}),
        ("train_text.txt", "train_label.txt", {"labels.txt": "no\nyes\n"}),
        ("train_sentences.txt", "train_labels.txt", {"label_names.txt": "no\nyes\n"}),
        ("train/seq.in", "train/label", {"train/seq.out": "O O\n", "classes.txt": "no\nyes\n"}),
        ("X_train.txt", "y_train.txt", {"mapping.txt": "0\tno\n1\tyes\n"}),
        ("texts.txt", "labels.txt", {"mapping.txt": "0\tno\n1\tyes\n"}),
    ],
)
def test_texts_labels_and_names_in_files_of_their_own(
    tmp_path: Path, texts: str, labels: str, names: dict[str, str | bytes]
) -> None:
    write(tmp_path, {texts: lines([text for text, _ in BOTH]), labels: NUMBERS, **names})
    assert rows_of(load(tmp_path)) == {"train": TRAIN}


def test_names_are_counted_from_one_where_the_labels_are(tmp_path: Path) -> None:
    ones = NUMBERS.replace("1", "2").replace("0", "1")
    write(tmp_path, {"train_text.txt": lines([text for text, _ in BOTH]), "train_labels.txt": ones})
    write(tmp_path, {"classes.txt": "no\nyes\n"})
    assert rows_of(load(tmp_path)) == {"train": TRAIN}


def test_every_split_in_three_files_as_tweeteval(tmp_path: Path) -> None:
    write(tmp_path, {"train_text.txt": lines([text for text, _ in BOTH]), "train_labels.txt": NUMBERS})
    for split in ("val", "test"):
        texts = "another warm soup\nanother cold soup\n"
        write(tmp_path, {f"{split}_text.txt": texts, f"{split}_labels.txt": "1\n0\n"})
    write(tmp_path, {"mapping.txt": "0\tno\n1\tyes\n"})
    assert rows_of(load(tmp_path)) == {"train": TRAIN, "validation": SOME, "test": SOME}


def test_texts_without_their_labels_are_refused(tmp_path: Path) -> None:
    write(tmp_path, {"train_text.txt": lines([text for text, _ in BOTH]), "train_labels.txt": NUMBERS + "1\n"})
    refused = refusal(tmp_path)
    assert "train_labels.txt" in refused
    assert "13" in refused
    assert "12" in refused
    (tmp_path / "train_labels.txt").write_text(NUMBERS[:-2])
    refused = refusal(tmp_path)
    assert "train_text.txt" in refused
    assert "11" in refused


def test_rasas_project(tmp_path: Path) -> None:
    def intent(name: str, texts: list[str]) -> str:
        examples = "".join(f"    - {text}\n" for text in texts)
        return f'version: "3.1"\nnlu:\n- intent: {name}\n  examples: |\n{examples}'

    stories = 'version: "3.1"\nstories:\n- story: s\n  steps:\n  - intent: yes_\n  - action: utter_a\n'
    write(
        tmp_path,
        {
            "data/nlu/a.yml": intent("yes_", YES),
            "data/nlu/b.yml": intent("no_", NO),
            "data/stories.yml": stories,
            "domain.yml": 'version: "3.1"\nintents:\n- yes_\n- no_\n',
            "config.yml": "language: en\npipeline:\n- name: WhitespaceTokenizer\n",
        },
    )
    rows = Counter((text, f"{label}_") for text, label in BOTH)
    assert rows_of(load(tmp_path)) == {"train": rows}
    assert rows_of(load(tmp_path / "data")) == {"train": rows}
    assert rows_of(load(tmp_path / "data" / "nlu")) == {"train": rows}
    both = intent("yes_", YES) + intent("no_", NO).partition("nlu:\n")[2]
    some = intent("yes_", ["another warm soup"]) + intent("no_", ["another cold soup"]).partition("nlu:\n")[2]
    split = write(tmp_path / "train_test_split", {"training_data.yml": both, "test_data.yml": some})
    expected = {"train": rows, "test": Counter((text, f"{label}_") for text, label in SOME)}
    assert rows_of(load(split)) == expected, "as `rasa data split nlu` writes them"
    shutil.rmtree(split)
    shutil.rmtree(tmp_path / "data" / "nlu")
    write(tmp_path, {"data/nlu.yml": intent("yes_", YES) + intent("no_", NO).partition("nlu:\n")[2]})
    assert rows_of(load(tmp_path)) == {"train": rows}


def test_rasas_file_among_others_is_not_chosen(tmp_path: Path) -> None:
    nlu = 'version: "3.1"\nnlu:\n- intent: a\n  examples: |\n    - one\n- intent: b\n  examples: |\n    - two\n'
    write(tmp_path, {"nlu.yml": nlu, "a.csv": CSV, "b.csv": CSV})
    assert str(tmp_path / "a.csv") in typed_sources(refusal(tmp_path))


def test_dialogflows_agent(tmp_path: Path) -> None:
    for label, texts in (("yes", YES), ("no", NO)):
        said = [{"id": "i", "data": [{"text": text, "userDefined": False}], "isTemplate": False} for text in texts]
        write(tmp_path, {f"intents/{label}_usersays_en.json": json.dumps(said), f"intents/{label}.json": '{"id": "i"}'})
    write(tmp_path, {"agent.json": '{"language": "en"}', "package.json": '{"version": "1.0.0"}'})
    assert rows_of(load(tmp_path)) == {"train": TRAIN}
    assert rows_of(load(tmp_path / "intents")) == {"train": TRAIN}


def test_a_competitions_test_has_no_labels(tmp_path: Path) -> None:
    write(tmp_path, {"train.csv": CSV, "test.csv": "id,text\n1,another soup\n2,another day\n"})
    write(tmp_path, {"sample_submission.csv": "id,label\n1,yes\n2,yes\n", "gender_submission.csv": "id,label\n1,0\n"})
    dataset = load(tmp_path)
    assert rows_of(dataset) == {"train": TRAIN}
    assert any(f"feathertune predict RUN --input {tmp_path / 'test.csv'}" in note for note in dataset.notes)
    assert any("sample_submission.csv" in note for note in dataset.notes)


@pytest.mark.parametrize("empty", ["", "?"])
def test_a_test_whose_labels_are_empty_has_none(tmp_path: Path, empty: str) -> None:
    write(tmp_path, {"train.csv": CSV, "test.csv": f"text,label\nanother soup,{empty}\nanother day,{empty}\n"})
    if empty:
        assert "'?'" in refusal(tmp_path)
        return
    dataset = load(tmp_path)
    assert rows_of(dataset) == {"train": TRAIN}
    assert any("feathertune predict RUN --input" in note for note in dataset.notes)


def test_a_jsonl_test_without_labels(tmp_path: Path) -> None:
    train = "".join(f'{{"text": "{text}", "label": "{label}"}}\n' for text, label in BOTH)
    write(tmp_path, {"train.jsonl": train, "test.jsonl": '{"text": "another soup"}\n{"text": "another day"}\n'})
    dataset = load(tmp_path)
    assert rows_of(dataset) == {"train": TRAIN}
    assert any("feathertune predict RUN --input" in note for note in dataset.notes)


def test_a_label_that_train_lacks_is_named_with_two_ways_out(tmp_path: Path) -> None:
    write(tmp_path, {"train.csv": CSV, "test.csv": MORE_CSV + "a new one,maybe\n"})
    refused = refusal(tmp_path)
    assert f"{tmp_path / 'test.csv'}:4" in refused
    assert "'maybe'" in refused
    assert "data.on_bad_row=skip" in refused
    assert "data.test=false" in refused
    assert rows_of(load(tmp_path, "data.on_bad_row=skip")) == {"train": TRAIN, "test": SOME}
    assert rows_of(load(tmp_path, "data.test=false")) == {"train": TRAIN}


@pytest.mark.parametrize("column", ["split", "Set", "partition", "subset"])
@pytest.mark.parametrize("name", ["data.csv", "folder/data.csv"])
def test_a_column_of_splits(tmp_path: Path, column: str, name: str) -> None:
    rows = [*((*row, "train") for row in BOTH), *((*row, "test") for row in SOME), *((*row, "dev") for row in SOME)]
    text = f"text,label,{column}\n" + "".join(",".join(row) + "\n" for row in rows)
    path = write(tmp_path, {name: text}) / name
    dataset = load(path if name == "data.csv" else path.parent)
    assert rows_of(dataset) == {"train": TRAIN, "validation": SOME, "test": SOME}
    assert any(f"{column!r}" in note for note in dataset.notes)


def test_a_column_of_other_values_is_no_column_of_splits(tmp_path: Path) -> None:
    sets = ["lego", *["train"] * (len(BOTH) - 1)]
    rows = "".join(f"{text},{label},{value}\n" for (text, label), value in zip(BOTH, sets, strict=True))
    path = write(tmp_path, {"data.csv": f"text,label,set\n{rows}"}) / "data.csv"
    assert rows_of(load(path)) == {"train": TRAIN}


def test_two_files_for_a_split_are_refused_with_lines_that_work(tmp_path: Path) -> None:
    write(tmp_path, {"train.csv": CSV, "train.tsv": CSV.replace(",", "\t"), "test.csv": MORE_CSV})
    refused = refusal(tmp_path)
    assert "train.csv and train.tsv are both the train split" in refused
    sources = typed_sources(refused)
    assert sources == [str(tmp_path / "train.csv"), str(tmp_path / "train.tsv")]
    assert [rows_of(load(Path(source))) for source in sources] == [{"train": TRAIN}] * 2


def test_two_tests_are_refused_with_train_to_type(tmp_path: Path) -> None:
    write(tmp_path, {"train.csv": CSV, "dev_matched.csv": MORE_CSV, "dev_mismatched.csv": MORE_CSV})
    refused = refusal(tmp_path)
    assert "dev_matched.csv and dev_mismatched.csv are both the validation split" in refused
    assert typed_sources(refused) == [str(tmp_path / "train.csv")], "nobody trains on the validation split"


@pytest.mark.parametrize("names", [("yelp_labelled.txt", "imdb_labelled.txt"), ("train_a.txt", "train_b.txt")])
def test_tables_are_no_files_of_a_class(tmp_path: Path, names: tuple[str, str]) -> None:
    rows = "".join(f"{text}\t{int(label == 'yes')}\n" for text, label in BOTH)
    write(tmp_path, {**dict.fromkeys(names, rows), "readme.txt": "Labelled sentences\n"})
    refused = refusal(tmp_path)
    assert set(typed_sources(refused)) == {str(tmp_path / name) for name in names}


def test_names_of_labels_that_are_not_read_are_noted(tmp_path: Path) -> None:
    write(tmp_path, {"train.csv": CSV, "classes.txt": "World\nSports\n", "readme.txt": "AG's news\n"})
    assert any("classes.txt is not read" in note and "data.label.map" in note for note in load(tmp_path).notes)


def test_the_plain_name_counts_before_longer_ones(tmp_path: Path) -> None:
    write(tmp_path, {"train.csv": CSV, "train_old.csv": MORE_CSV, "train_labels.csv": "label\nyes\n"})
    dataset = load(tmp_path)
    assert rows_of(dataset) == {"train": TRAIN}
    assert any("train_old.csv" in note and "not read" in note for note in dataset.notes)


def test_what_was_found_is_listed_where_train_is_missing(tmp_path: Path) -> None:
    write(tmp_path, {"a.csv": CSV, "b.csv": CSV, "notes.md": "#", "inner/c.csv": CSV})
    refused = refusal(tmp_path)
    for name in ("a.csv", "b.csv", "notes.md", "inner/"):
        assert name in refused
    sources = typed_sources(refused)
    assert str(tmp_path / "a.csv") in sources
    for source in sources:
        assert set(rows_of(load(Path(source)))) == {"train"}
    assert "it is empty" in refusal(write(tmp_path / "nothing", {".hidden": ""}))


def test_a_folder_of_configurations_proposes_them(tmp_path: Path) -> None:
    write(tmp_path, {"emotion/train.csv": CSV, "irony/train.csv": CSV, "README.md": "#"})
    refused = refusal(tmp_path)
    sources = typed_sources(refused)
    assert sources == [str(tmp_path / "emotion"), str(tmp_path / "irony")]
    assert rows_of(load(Path(sources[0]))) == {"train": TRAIN}


def test_a_folder_of_splits_is_no_split(tmp_path: Path) -> None:
    write(
        tmp_path, {"training/training.csv": CSV, "training/testing.csv": MORE_CSV, "other/notes.txt": "a", "b.md": ""}
    )
    refused = refusal(tmp_path)
    assert "found: b.md" in refused
    assert str(tmp_path / "training") in typed_sources(refused)
    assert rows_of(load(tmp_path / "training")) == {"train": TRAIN, "test": SOME}


def test_a_name_with_spaces_is_proposed_in_quotes(tmp_path: Path) -> None:
    write(tmp_path, {"first part.csv": CSV, "b.csv": MORE_CSV})
    assert f"'data.source={tmp_path / 'first part.csv'}'" in refusal(tmp_path)


@pytest.fixture(params=["zip", "gztar"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = write(tmp_path / "reviews", {"train.csv": CSV, "test.csv": MORE_CSV})
    return Path(shutil.make_archive(str(tmp_path / "packed" / "reviews"), request.param, folder))


def test_an_archive_of_a_folder_is_refused_with_what_to_do(archive: Path) -> None:
    with pytest.raises(UserError, match="To unpack it: ") as error:
        open_source(str(archive))
    assert ("unzip -q" if archive.suffix == ".zip" else "tar -xf") in str(error.value)
    assert "data.source=" in str(error.value)
    assert archive.name in refusal(archive.parent), "in a folder, it is listed"


def test_a_folder_of_settings_for_one_file(tmp_path: Path) -> None:
    section = DataSection(source=str(write(tmp_path, {"train.csv": CSV.replace(",", "#")})), separator="#")
    assert rows_of(load_dataset(section, seed=0)) == {"train": TRAIN}
