"""The arguments passed to torch's variable-length attention, checked without a GPU.

`reference` implements the documentation of `varlen_attn` in plain torch on the CPU. The kernel itself is tested in
tests/gpu.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from feathertune.kernels import varlen
from feathertune.kernels.pooled_rows import PooledPacking
from feathertune.kernels.varlen import AttentionScope, device_unsupported_reason, unsupported_reason
from feathertune.model.precision import set_precision
from feathertune.tokens.batch import Packing, pack
from lively import MODELS, adapt, largest_difference
from tiny import random_texts

TEXTS = random_texts([5, 1, 30, 9, 2, 17, 8])
LONG = random_texts([140, 3, 60])  # past the explicit branch of the padded path
THROUGH_INTERFACE = [name for name in MODELS if "deberta" not in name]  # which has attention of its own


def reference(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seq_q: Tensor,
    cu_seq_k: Tensor,
    max_q: int,
    max_k: int,
    *,
    scale: float,
    window_size: tuple[int, int],
    enable_gqa: bool,
) -> Tensor:
    """torch.nn.attention.varlen.varlen_attn, sequence by sequence; rows that no sequence covers are NaN."""
    assert query.dtype == key.dtype == value.dtype
    assert cu_seq_q.dtype == cu_seq_k.dtype == torch.int32
    assert cu_seq_q.shape == cu_seq_k.shape
    assert enable_gqa == (query.shape[1] != key.shape[1])
    assert all(x.stride(-1) == 1 for x in (query, key, value))
    lengths_q, lengths_k = cu_seq_q.diff().tolist(), cu_seq_k.diff().tolist()
    assert max(lengths_q) <= max_q
    assert max(lengths_k) <= max_k
    assert max_q > 1 or min(lengths_q) == 1, "with one query each, the kernel counts rows as sequences"
    assert sum(lengths_k) == len(key), "the gradients of keys outside every sequence would be uninitialized memory"
    parts = []
    for q, k, v in zip(query.split(lengths_q), key.split(lengths_k), value.split(lengths_k), strict=True):
        parts.append(_attend_one(q, k, v, scale, window_size))
    missing = len(query) - sum(lengths_q)
    return torch.cat([*parts, query.new_full((missing, *query.shape[1:]), math.nan)])


def _attend_one(q: Tensor, k: Tensor, v: Tensor, scale: float, window_size: tuple[int, int]) -> Tensor:
    """One sequence: [Q, H, K] queries, which are the last Q of as many positions as there are keys."""
    groups = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    scores = torch.einsum("qhd,khd->hqk", q.float(), k.float()) * scale
    distance = torch.arange(len(k)) - (torch.arange(len(q)) + len(k) - len(q))[:, None]
    left, right = window_size
    hidden = torch.zeros_like(distance, dtype=torch.bool)
    if left >= 0:
        hidden |= distance < -left
    if right >= 0:
        hidden |= distance > right
    weights = torch.softmax(scores.masked_fill(hidden, -math.inf), -1)
    return torch.einsum("hqk,khd->qhd", weights, v.float()).to(v.dtype)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """A device that runs varlen, even in 32 bits. Returns the list of the windows of all calls."""
    windows: list[tuple[int, int]] = []

    def noted(*arguments: Tensor, window_size: tuple[int, int], **options: float) -> Tensor:
        windows.append(window_size)
        return reference(*arguments, window_size=window_size, **options)  # type: ignore[arg-type, misc]

    def any_dtype(query: Tensor, value: Tensor, *others: object) -> str | None:
        return unsupported_reason(query.bfloat16(), value.bfloat16(), *others)  # type: ignore[arg-type]

    monkeypatch.setattr(varlen, "device_unsupported_reason", lambda device: None)
    monkeypatch.setattr(varlen, "unsupported_reason", any_dtype)
    monkeypatch.setattr(varlen, "_varlen_attn", lambda: noted)
    return windows


@pytest.mark.parametrize("texts", [TEXTS, LONG], ids=["short", "long"])
@pytest.mark.parametrize("name", THROUGH_INTERFACE)
def test_logits_and_gradients_are_those_of_the_padded_path(
    name: str, texts: object, calls: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = pack(texts, np.arange(len(texts)), multiple=16)  # type: ignore[arg-type]
    assert len(batch.ids_T) > batch.packing.real_tokens
    results = []
    for path in ("varlen", "padded"):
        if path == "padded":
            found = len(calls)
            monkeypatch.setattr(varlen, "unsupported_reason", lambda *_: "not now")
        classifier = MODELS[name]()
        adapt(classifier, "all-linear")
        logits = classifier(batch)
        torch.nn.functional.cross_entropy(logits, torch.arange(len(logits)) % 3).backward()
        gradients = [p.grad.flatten() for p in classifier.parameters() if p.grad is not None]
        results.append((logits.detach(), torch.cat(gradients)))
    assert (found > 0) == (name != "mpnet"), "it has no bias of the scores"
    assert len(calls) == found
    (ours, our_gradient), (wanted, wanted_gradient) = results
    assert largest_difference(ours, wanted) < 1e-5
    assert (our_gradient - wanted_gradient).norm() < 1e-4 * wanted_gradient.norm()


@pytest.mark.parametrize(
    ("name", "windows"),
    [
        ("gpt2", [(-1, 0), (-1, -1)]),  # the last layer has the last token's query alone, which sees every key
        ("bert", [(-1, -1), (-1, -1)]),
        ("mistral-window", [(7, 0), (7, 0)]),
        ("gemma3-window", [(7, 0), (-1, -1)]),
        ("modernbert-mean", [(-1, -1), (4, 4), (4, 4), (-1, -1)]),
    ],
)
def test_windows(name: str, windows: list[tuple[int, int]], calls: list[tuple[int, int]]) -> None:
    MODELS[name]()(pack(TEXTS, np.arange(len(TEXTS))))
    assert calls == windows


def test_texts_of_one_token(calls: list[tuple[int, int]]) -> None:
    classifier = MODELS["gemma3-bidirectional"]()
    assert classifier(pack(random_texts([1, 1, 1]), np.arange(3))).isfinite().all()
    assert calls == [(-1, -1), (-1, -1)]


def test_a_window_wider_than_every_text_is_ignored(calls: list[tuple[int, int]]) -> None:
    MODELS["mistral-window"]()(pack(random_texts([3, 8]), np.arange(2)))
    assert calls == [(-1, 0), (-1, -1)]


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_rotary_embeddings_float32_is_cast_back_to_the_values_dtype(name: str, calls: list[tuple[int, int]]) -> None:
    classifier = MODELS[name]()
    set_precision(classifier, "bf16")
    assert classifier(pack(TEXTS, np.arange(len(TEXTS)))).isfinite().all()  # the reference accepts a single dtype only
    assert len(calls) == 2


def test_boundaries_are_where_sequences_begin_and_the_filler_ends() -> None:
    packing = pack(random_texts([3, 1, 4]), np.array([2, 0, 1]), multiple=16).packing
    assert packing.boundaries().tolist() == [0, 4, 7, 8, 16]
    assert packing.boundaries().dtype == torch.int32
    assert packing.real_tokens == 8
    assert packing.boundaries() is replace(packing, pooled_B=packing.ends_B).boundaries()  # computed once
    assert pack(random_texts([3, 1]), np.arange(2)).packing.boundaries().tolist() == [0, 3, 4, 4]


def test_shared_prefixes_do_not_lie_end_to_end() -> None:
    assert pack(random_texts([3, 1]), np.arange(2), share_prefixes=True).packing.shares
    assert not pack(random_texts([3, 1]), np.arange(2)).packing.shares


WIDE = torch.zeros(1, 2, 8, 64, dtype=torch.bfloat16)
PACKING = pack(random_texts([5, 3]), np.arange(2)).packing
FIRST, LAST = (replace(PACKING, pooled_B=rows) for rows in (PACKING.starts_B, PACKING.ends_B))
ALL, CAUSAL, NEAR = AttentionScope(False, None), AttentionScope(True, None), AttentionScope(False, 3)


def pooled(packing: Packing) -> PooledPacking:
    return PooledPacking(packing, packing.lengths_B)


@pytest.mark.parametrize(
    ("x", "packing", "scope", "dropout", "reason"),
    [
        (WIDE, PACKING, ALL, 0.0, None),
        (WIDE.half(), PACKING, CAUSAL, 0.0, None),
        (WIDE[..., :40], PACKING, NEAR, 0.0, None),
        (WIDE, pooled(LAST), CAUSAL, 0.0, None),
        (WIDE, pooled(LAST), NEAR, 0.0, None),
        (WIDE, pooled(FIRST), ALL, 0.0, None),
        (WIDE, pooled(FIRST), AttentionScope(False, 5), 0.0, None),  # no sequence is longer
        (WIDE, pooled(FIRST), NEAR, 0.0, "places a single query at the last position"),
        (WIDE, pooled(FIRST), AttentionScope(False, 1), 0.0, "places a single query at the last position"),
        (WIDE, pooled(FIRST), CAUSAL, 0.0, "places a single query at the last position"),
        (WIDE, PACKING, ALL, 0.1, "has no attention dropout"),
        (WIDE.float(), PACKING, ALL, 0.0, "in 16 bits, not in torch.float32"),
        (WIDE[..., :20], PACKING, ALL, 0.0, "20 wide"),
        (torch.zeros(1, 2, 8, 264, dtype=torch.bfloat16), PACKING, ALL, 0.0, "264 wide"),
        (WIDE, replace(PACKING, shares=True), ALL, 0.0, "share tokens"),
    ],
)
def test_when_it_can_run(
    x: Tensor,
    packing: Packing | PooledPacking,
    scope: AttentionScope,
    dropout: float,
    reason: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(varlen, "device_unsupported_reason", lambda device: None)
    found = unsupported_reason(x, x, packing, scope, dropout)
    assert found is None if reason is None else found is not None and reason in found


@pytest.mark.parametrize(("capability", "can"), [((8, 0), True), ((9, 0), True), ((8, 9), False), ((12, 0), False)])
def test_the_widest_heads_need_the_largest_gpus(
    capability: tuple[int, int], can: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(varlen, "device_unsupported_reason", lambda device: None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    x = torch.zeros(1, 2, 8, 256, dtype=torch.bfloat16)
    assert (unsupported_reason(x, x, PACKING, ALL, 0.0) is None) == can


@pytest.mark.parametrize(
    ("cuda", "flash", "recent", "capability", "reason"),
    [
        ("13.0", True, True, (8, 0), None),
        ("13.0", True, True, (7, 5), "is older than Ampere"),
        ("13.0", True, False, (8, 0), "is too old for it"),
        ("13.0", False, True, (8, 0), "no FlashAttention"),
        (None, True, True, (9, 4), "no FlashAttention"),  # ROCm calls its devices cuda
    ],
)
def test_which_devices_can(
    cuda: str | None,
    flash: bool,
    recent: bool,
    capability: tuple[int, int],
    reason: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.backends.cuda, "is_flash_attention_available", lambda: flash)
    monkeypatch.setattr(varlen, "_varlen_attn", lambda: reference if recent else len)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    found = device_unsupported_reason.__wrapped__(torch.device("cuda", 0))
    assert found is None if reason is None else found is not None and reason in found


def test_the_cpu_cannot() -> None:
    assert device_unsupported_reason(torch.device("cpu")) == "not a CUDA device"


def test_the_installed_torch_takes_the_arguments_that_are_passed() -> None:
    assert varlen._has_varlen()
    from inspect import signature

    import torch.nn.attention.varlen as theirs

    given = signature(reference).parameters
    known = signature(theirs.varlen_attn).parameters
    assert list(given)[:7] == list(known)[:7]
    assert set(given) <= set(known)
