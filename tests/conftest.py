"""Settings for all tests: no network, quiet libraries, and no reports unless a test needs them."""

import os
from collections.abc import Iterator

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the models are tiny: a second thread costs more than it gains


@pytest.fixture(autouse=True, scope="session")
def no_reports_of_runs_in_this_process() -> Iterator[None]:
    """A report takes a second, and a hundred tests train. Runs in separate processes (test_cli) write theirs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("feathertune.run.train.write_run_report", lambda run, summary: None)
        yield
