"""Which supported family an unsupported architecture is closest to, by how it computes and not by its name."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

# Supported family -> the unsupported architectures of transformers that are built like it.
_BUILT_LIKE: dict[str, tuple[str, ...]] = {
    "roberta": (
        "roberta-prelayernorm",
        "xmod",
        "longformer",
        "ibert",
        "esm",
        "layoutlmv3",
        "markuplm",
        "luke",
    ),
    "xlm-roberta": ("xlm-roberta-xl", "jina_embeddings_v3"),
    "bert": (
        "nezha",
        "ernie",
        "ernie_m",
        "megatron-bert",
        "mobilebert",
        "squeezebert",
        "convbert",
        "layoutlm",
        "big_bird",
        "rembert",
        "roformer",
        "qdqbert",
        "splinter",
        "nystromformer",
        "yoso",
        "mra",
        "bert-generation",
        "retribert",
        "funnel",
        "lxmert",
        "new",
        "tapas",
        "visual_bert",
        "canine",
        "flaubert",
        "xlm",
    ),
    "deberta-v2": ("deberta", "deberta-v3"),
    "modernbert": ("modernbert-decoder", "modernvbert"),
    "gpt2": ("gpt_neo", "gpt_neox", "gptj", "gpt_bigcode", "openai-gpt", "imagegpt", "biogpt", "opt", "bloom", "ctrl"),
    "llama": (
        "smollm3",
        "phi",
        "phi3",
        "olmo",
        "olmo2",
        "olmo3",
        "granite",
        "cohere",
        "cohere2",
        "exaone4",
        "starcoder2",
        "stablelm",
        "helium",
        "glm",
        "glm4",
        "persimmon",
        "falcon",
        "internlm2",
        "arcee",
        "ministral3",
        "seed_oss",
        "apertus",
    ),
    "mistral": ("mixtral", "ministral", "mistral3"),
    "qwen2": ("qwen2_moe", "qwen2_vl", "qwen2_5_vl", "dream"),
    "qwen3": ("qwen3_moe", "qwen3_next", "qwen3_vl", "qwen3_5", "qwen3_5_text"),
    "gemma3_text": ("gemma", "gemma2", "gemma3", "gemma3n", "gemma3n_text", "t5gemma", "gemma4", "gemma4_text"),
}


def nearest_family(model_type: str, supported: Collection[str]) -> str | None:
    """The supported family that is built like `model_type`, or is it but for a typing error; None if none is known."""
    for family, relatives in _BUILT_LIKE.items():
        if model_type in relatives:
            return family
    return next(iter(get_close_matches(model_type, supported, n=1, cutoff=0.9)), None)
