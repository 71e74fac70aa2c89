"""Settings for every test: no network, quiet libraries, reports only where they are looked at."""

import os
from collections.abc import Iterator

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the models are tiny: a second thread costs more than it does


@pytest.fixture(autouse=True, scope="session")
def no_reports_of_runs_in_this_process() -> Iterator[None]:
    """Drawing takes a second, and a hundred tests train. Runs in processes of their own (test_cli) write theirs."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("train", "baseline"):
            patch.setattr(f"feathertune.run.{module}.write_run_report", lambda run, summary: None)
        yield
