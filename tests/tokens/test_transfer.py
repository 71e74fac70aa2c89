"""Moving many tensors with one copy gives the same tensors."""

import torch

from feathertune.tokens.transfer import in_one_copy, to_device

TENSORS = [torch.arange(6).view(2, 3), torch.tensor([7]), torch.empty(0, dtype=torch.int64), torch.arange(4).view(4, 1)]


def test_one_copy_has_all_tensors() -> None:
    copies = in_one_copy(TENSORS, torch.device("cpu"))
    assert [copy.tolist() for copy in copies] == [tensor.tolist() for tensor in TENSORS]
    assert len({copy.untyped_storage().data_ptr() for copy in copies if copy.numel()}) == 1
    assert all(copy.is_meta for copy in in_one_copy(TENSORS, torch.device("meta")))


def test_on_the_cpu_nothing_is_copied() -> None:
    assert all(ours is theirs for ours, theirs in zip(to_device(TENSORS, torch.device("cpu")), TENSORS, strict=True))
