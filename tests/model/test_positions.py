"""How long a text may be, by config.json alone, is what the loaded model says."""

import pytest

from feathertune.model.positions import positions_in
from feathertune.run.checks import longest_text
from tiny import FAMILIES, tiny_classifier


@pytest.mark.parametrize("name", FAMILIES)
def test_as_the_loaded_model(name: str) -> None:
    classifier = tiny_classifier(name)
    assert positions_in(classifier.model.config.to_dict()) == longest_text(classifier) == 300


def test_stretched_rotary_positions_and_no_limit() -> None:
    scaling = {"rope_type": "longrope", "original_max_position_embeddings": 4096}
    config = {"model_type": "llama", "max_position_embeddings": 131072, "rope_scaling": scaling}
    assert positions_in(config) == 4096
    assert positions_in({"model_type": "t5"}) is None
