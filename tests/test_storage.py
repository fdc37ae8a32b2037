"""Files are written completely or not at all, and damaged ones are reported in one line."""

import errno
import math
import os
import stat
import subprocess
import sys
import time

import pytest
import torch
from project import ROOT

from gradreg import cli
from gradreg.models import checkpoint
from gradreg.storage import files, metrics, npz, tensors
from gradreg.storage.files import DamagedFileError


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "new" / "a.txt"
    files.write_text(path, "old")

    def fail():
        with files.atomic_path(path) as temporary:
            temporary.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert path.read_text() == "old"
    assert sorted(os.listdir(path.parent)) == [".a.txt.sha256", "a.txt"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~files._umask()


def test_an_error_names_the_file_that_was_to_be_written(tmp_path):
    path = tmp_path / "a.txt"
    with pytest.raises(OSError, match="No space left") as caught, files.atomic_path(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.filename == str(path)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="exists"):
        files.write_text(tmp_path / "file" / "a.txt", "")


def test_the_temporary_file_of_a_killed_process_is_removed_an_hour_later(tmp_path):
    path = tmp_path / "a[1].txt"
    names = (".1-a[1].txt", ".sum.1-a[1].txt", ".2-a[1].txt", ".3-b.txt")
    left, checksum, young, other = (tmp_path / name for name in names)
    for file in (left, checksum, young, other):
        file.touch()
    before = time.time() - 2 * files.STALE_SECONDS
    for file in (left, checksum, other):
        os.utime(file, (before, before))
    files.write_text(path, "x")
    assert sorted(os.listdir(tmp_path)) == [young.name, other.name, ".a[1].txt.sha256", path.name]


@pytest.mark.parametrize("content", [b"", b"x", b"\x80\x04", b'{"a": ', b"\xff\xfe\xff", bytes(1000)])
@pytest.mark.parametrize(
    "read", [files.read_json, metrics.read, npz.read, tensors.read, checkpoint.load], ids=lambda read: read.__module__
)
def test_a_damaged_file_is_reported_in_one_line(tmp_path, read, content):
    path = tmp_path / "a"
    path.write_bytes(content)
    if read is metrics.read and content in (b"x", bytes(1000), b'{"a": ', b"\x80\x04"):
        return  # a valid table of one column
    with pytest.raises(DamagedFileError) as caught:
        read(path)
    text = cli.explained(caught.value)
    assert text.startswith(f"{path} is damaged (")
    assert "\n" not in text
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "absent")


def test_a_truncated_file_of_each_kind_is_damaged(tmp_path):
    npz.write(tmp_path / "a.npz", {"a": torch.arange(1000).numpy()})
    tensors.write(tmp_path / "a.safetensors", {"a": torch.arange(1000)}, {"key": "x"})
    assert tensors.read(tmp_path / "a.safetensors")[1] == {"key": "x"}
    for name, read in (("a.npz", npz.read), ("a.safetensors", tensors.read)):
        whole = (tmp_path / name).read_bytes()
        for length in (len(whole) - 1, len(whole) // 2, 9):
            (tmp_path / name).write_bytes(whole[:length])
            with pytest.raises(DamagedFileError):
                read(tmp_path / name)


def test_tables_are_joined_whose_columns_some_lack(tmp_path):
    """As histories, of which only those of a patience that watches an attack have its error."""
    tables = {
        "plain": [{"p": "none", "epoch": 1, "error": 0.25}],
        "watched": [{"p": "inf", "epoch": 1, "error": 0.5, "watched_error": 0.75}],
        "again": [{"p": "none", "epoch": 1, "error": 0.25}],
        "empty": [],
    }
    for name, rows in tables.items():
        metrics.write(tmp_path / f"{name}.csv", rows)
    for order in (("plain", "watched", "again", "empty"), ("empty", "watched", "plain")):
        out = tmp_path / f"{order[0]}-first.csv"
        command = [sys.executable, ROOT / "workflow/scripts/join_tables.py", "--out", out]
        done = subprocess.run(
            [*command, *(tmp_path / f"{name}.csv" for name in order)], check=True, capture_output=True, text=True
        )
        assert done.stdout.startswith("2 rows")
        joined = metrics.read(out).set_index("p")
        assert joined.error.to_dict() == {"none": 0.25, "inf": 0.5}
        assert math.isnan(joined.watched_error["none"])
        assert joined.watched_error["inf"] == 0.75
