"""The cores of a container: the fewest of affinity and quota, in both versions of control groups."""

import os
from pathlib import Path

import pytest

from feathertune.system.cores import cpu_quota, usable_cores


def group(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content + "\n")


@pytest.fixture
def membership(tmp_path: Path) -> Path:
    return tmp_path / "membership"


@pytest.mark.parametrize(
    ("own", "around", "quota"),
    [
        ("150000 100000", "max 100000", 1.5),
        ("max 100000", "50000 100000", 0.5),
        ("300000 100000", "200000 100000", 2.0),
        ("max 100000", "max 100000", None),
        ("nonsense", "max", None),
    ],
)
def test_the_smallest_quota_around_the_process_counts(
    own: str, around: str, quota: float | None, tmp_path: Path, membership: Path
) -> None:
    group(tmp_path / "cgroup" / "pods", cpu__max=around)
    group(tmp_path / "cgroup" / "pods" / "one", cpu__max=own)
    membership.write_text("0::/pods/one\n")
    assert cpu_quota(tmp_path / "cgroup", membership) == quota


def test_a_container_sees_its_own_group_as_the_root(tmp_path: Path, membership: Path) -> None:
    group(tmp_path / "cgroup", cpu__max="100000 100000")
    for path in ("/", "/docker/0a1b"):  # with a namespace of its own, and without
        membership.write_text(f"0::{path}\n")
        assert cpu_quota(tmp_path / "cgroup", membership) == 1.0


def test_version_1(tmp_path: Path, membership: Path) -> None:
    membership.write_text("5:memory:/a\n4:cpu,cpuacct:/a\n")
    group(tmp_path / "cgroup" / "cpu" / "a", cpu__cfs_quota_us="250000", cpu__cfs_period_us="100000")
    assert cpu_quota(tmp_path / "cgroup", membership) == 2.5
    group(tmp_path / "cgroup" / "cpu" / "a", cpu__cfs_quota_us="-1")
    assert cpu_quota(tmp_path / "cgroup", membership) is None


@pytest.mark.parametrize(("quota", "cores"), [("50000", 1), ("199999", 1), ("200000", 2), ("9900000", 99)])
def test_whole_cores_at_least_one_and_no_more_than_there_are(
    quota: str, cores: int, tmp_path: Path, membership: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group(tmp_path / "cgroup", cpu__max=f"{quota} 100000")
    membership.write_text("0::/\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert usable_cores(tmp_path / "cgroup", membership) == min(cores, 8)


def test_elsewhere_there_is_no_quota(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path, tmp_path / "missing") is None
