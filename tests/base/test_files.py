"""Files are whole or not there."""

import os
import threading

import pytest

from radioopt.base.files import whole_directory, write_whole


def test_a_file_is_written_and_replaced(tmp_path):
    path = tmp_path / "a.json"
    assert write_whole(path, b"old") == path
    assert write_whole(str(path), b"new") == path
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, step):
    path = tmp_path / "a.json"
    write_whole(path, b"old")

    def fail(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="disk full"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_missing_folders_are_made(tmp_path):
    assert write_whole(tmp_path / "new" / "folder" / "a.json", b"{}").read_bytes() == b"{}"


def test_a_file_in_the_place_of_a_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        write_whole(tmp_path / "file" / "a.json", b"")


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_permissions_are_those_of_any_new_file(tmp_path):
    (tmp_path / "usual").touch()
    write_whole(tmp_path / "whole", b"")
    with whole_directory(tmp_path / "folder"):
        pass
    (tmp_path / "usual folder").mkdir()
    for whole, usual in [("whole", "usual"), ("folder", "usual folder")]:
        assert (tmp_path / whole).stat().st_mode == (tmp_path / usual).stat().st_mode


def test_writers_at_the_same_time_do_not_mix(tmp_path):
    path = tmp_path / "a"
    contents = [bytes([i]) * 50_000 for i in range(8)]
    threads = [
        threading.Thread(target=write_whole, args=(path, content), daemon=True) for content in contents
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "runs" / "one"
    with whole_directory(path) as folder:
        (folder / "result").write_text("42")
        assert not path.exists()
        assert folder.parent == path.parent  # on the same file system, so that the rename is one step
    assert (path / "result").read_text() == "42"
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_no_directory(tmp_path):
    def fail_halfway():
        with whole_directory(tmp_path / "one") as folder:
            (folder / "half").write_text("")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_halfway()
    assert list(tmp_path.iterdir()) == []


def test_an_existing_directory_is_kept(tmp_path):
    (tmp_path / "one").mkdir()
    with pytest.raises(FileExistsError, match="one exists already"), whole_directory(tmp_path / "one"):
        pytest.fail("the block must not run")
