"""Memory use hardly grows with the data, measured in a process that reads and tokenizes 200,000 texts."""

import subprocess
import sys
from pathlib import Path

import pytest

from tiny import tiny_tokenizer

ROWS = 200_000
# Own memory is not backed by a file: the system may drop the pages of mapped texts and ids at any time.
PROGRAM = """
import sys
from pathlib import Path
from transformers import PreTrainedTokenizerFast
from feathertune.data.loading import load_dataset
from feathertune.data.texts import iterate
from feathertune.recipe.schema import DataSection
from feathertune.tokens.tokenized import tokenize

def own_bytes():
    resident, shared = Path("/proc/self/statm").read_text().split()[1:3]
    return (int(resident) - int(shared)) * 4096

def work(name):
    train = load_dataset(DataSection(source=name), 0).splits["train"]
    return train, tokenize(tokenizer, iterate(train.texts), 128)

tokenizer = PreTrainedTokenizerFast.from_pretrained(sys.argv[1])
work(sys.argv[2])
before = own_bytes()
train, texts = work(sys.argv[3])
print(len(texts), len(texts.ids), train.texts.nbytes, own_bytes() - before)
"""


def write(folder: Path, rows: int) -> Path:
    folder.mkdir()
    words = "the cat sun moon what is " * 4
    with (folder / "train.tsv").open("w") as file:
        file.write("text\tlabel\n")
        file.writelines(f"{words}{row}\t{'ab'[row % 2]}\n" for row in range(rows))
    (folder / "dev.tsv").write_text("text\tlabel\nthe cat\ta\nthe sun\tb\n")
    return folder


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="only Linux reports a process's own memory")
def test_a_row_takes_a_few_numbers_in_memory(tmp_path: Path) -> None:
    tiny_tokenizer().save_pretrained(tmp_path / "tokenizer")
    few, many = write(tmp_path / "few", 10_000), write(tmp_path / "many", ROWS)
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "tokenizer"), str(few), str(many)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    texts, tokens, characters, grown = map(int, result.stdout.split())
    assert (texts, tokens) == (ROWS, ROWS * 27)
    assert characters > ROWS * 100
    # Row, label and offset are 24 bytes, and growing lists leave gaps. Texts and ids alone would be 230 bytes per row.
    assert grown < ROWS * 150, f"{grown / ROWS:.0f} bytes per row"
