"""A file is the old one or the new one and never a part; paths stay inside their folder."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from feathertune.errors import UserError
from feathertune.system.files import (
    atomic_path,
    contained_path,
    read_json,
    sha256,
    write_json,
    write_text,
)


@pytest.fixture
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    old = os.umask(request.param)
    yield request.param
    os.umask(old)


def write_half(path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("half of the n", encoding="utf-8")
        assert path.read_text(encoding="utf-8") == "old"
        raise KeyboardInterrupt


def test_writing_makes_the_folder_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "text.txt"
    write_text(path, "ж\r\n")
    write_text(path, "second")
    assert path.read_text(encoding="utf-8") == "second"
    assert list(path.parent.iterdir()) == [path]


def test_an_exception_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "old")
    with pytest.raises(KeyboardInterrupt):
        write_half(path)
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_the_way_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "name").mkdir()
    with pytest.raises(OSError):  # noqa: PT011 - IsADirectoryError or PermissionError, as the system says
        write_text(tmp_path / "name", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["name"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits")
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002], indirect=True)
def test_permissions_are_those_of_an_ordinary_file(tmp_path: Path, umask: int) -> None:
    write_text(tmp_path / "ours", "")
    (tmp_path / "theirs").touch()
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "theirs").stat().st_mode


def test_json_comes_back_as_it_went(tmp_path: Path) -> None:
    value = {"имя": [1, 2.5, None, True], "nested": {"a": "b"}}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    assert "имя" in (tmp_path / "a.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_json_has_no_nan(tmp_path: Path, value: float) -> None:
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"deep": [value]})
    assert read_json(tmp_path / "a.json") == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_json_that_is_missing_or_broken_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"missing\.json: the file is missing"):
        read_json(tmp_path / "missing.json")
    for content in (b"{", b"", b"\xff\xfe", json.dumps({"a": 1})[:-1].encode()):
        (tmp_path / "bad.json").write_bytes(content)
        with pytest.raises(UserError, match=r"bad\.json: not valid JSON"):
            read_json(tmp_path / "bad.json")


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc" * 100_000)
    assert sha256(tmp_path / "a") == hashlib.sha256(b"abc" * 100_000).hexdigest()


def test_a_path_inside_is_given_and_one_outside_refused(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "folder2").mkdir()
    assert contained_path(folder, "sub/a.txt") == (folder / "sub" / "a.txt").resolve()
    assert contained_path(folder, "sub/../a.txt") == (folder / "a.txt").resolve()
    for name in ("..", "../folder2/a", "sub/../../a", "/etc/passwd", str(tmp_path / "folder2")):
        with pytest.raises(UserError, match="leads out of"):
            contained_path(folder, name)


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret").write_text("", encoding="utf-8")
    try:
        (folder / "link").symlink_to(tmp_path / "secret")
        (folder / "up").symlink_to(tmp_path, target_is_directory=True)
    except OSError:
        pytest.skip("no links here")
    for name in ("link", "up/secret"):
        with pytest.raises(UserError, match="leads out of"):
            contained_path(folder, name)
