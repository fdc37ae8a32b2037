"""Files that are damaged after they were written: each is named, and made again where it is deleted as advised."""

import os

import faults
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from project import only

from gradreg.storage import files, metrics, npz, tensors
from gradreg.storage.files import DamagedFileError

WRITES = {  # for each kind of file, how it is written and read
    "json": (lambda path: files.write_json(path, {"eps": "0.3", "errors": [0.25, 0.5]}), files.read_json),
    "csv": (lambda path: metrics.write(path, [{"value": i / 7, "n": 10} for i in range(5)]), metrics.read),
    "npz": (lambda path: npz.write(path, {"labels": np.arange(20)}, compress=False), npz.read),
    "safetensors": (lambda path: tensors.write(path, {"w": torch.arange(20.0)}), tensors.read),
}


@pytest.mark.parametrize("kind", WRITES)
@given(place=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255), cut=st.booleans())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_byte_that_is_changed_or_lost_anywhere_is_told(tmp_path, kind, place, change, cut):
    write, read = WRITES[kind]
    path = tmp_path / f"file.{kind}"
    write(path)
    read(path)
    content = bytearray(path.read_bytes())
    at = int(place * len(content))
    content[at] ^= change
    path.write_bytes(content[:at] if cut else content)
    with pytest.raises(DamagedFileError, match=f"file.{kind} is damaged"):
        read(path)
    write(path)
    read(path)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"", b"0" * 63])
def test_a_damaged_checksum_harms_no_new_file(tmp_path, content):
    path = tmp_path / "a.json"
    files.write_json(path, {})
    files.checksum_file(path).write_bytes(content)
    with pytest.raises(DamagedFileError):
        files.read_json(path)
    path.unlink()
    files.write_json(path, {})
    assert files.read_json(path) == {}


def test_a_kill_between_the_checksum_and_its_file_leaves_the_old_file_good(tmp_path, monkeypatch):
    path = tmp_path / "state"
    files.write_json(path, {"epoch": 1})
    replace = os.replace

    def killed(source, target):
        if target == path:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr("gradreg.storage.files.os.replace", killed)
    for epoch in range(2, 6):  # time and again
        with pytest.raises(KeyboardInterrupt):
            files.write_json(path, {"epoch": epoch})
        assert files.read_json(path) == {"epoch": 1}
    monkeypatch.undo()
    files.write_json(path, {"epoch": 9})
    assert files.read_json(path) == {"epoch": 9}


def cut_at_a_line(path):
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-2]))


def cut_in_a_number(path):
    path.write_text(path.read_text().rstrip()[:-1])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def relabel(path):
    with np.load(path) as file:
        arrays = dict(file)
    arrays["train_labels"] = arrays["train_labels"][::-1]
    np.savez(path, **arrays)


FINAL = "cells/digits-300/softmax/plain/p-none/eps-0/seed-0"
GROUP = "groups/digits-300/softmax/perturb/p-2"
DAMAGE = [  # file, what befalls it, a file that is made from it
    (f"{FINAL}/model.safetensors", flip, f"{FINAL}/metrics.csv"),
    (f"{FINAL}/metrics.csv", cut_in_a_number, "groups/digits-300/softmax/baseline/p-none/test.csv"),
    (f"{GROUP}/choice.json", cut_at_a_line, "metrics/test.csv"),
    ("metrics/test.csv", cut_at_a_line, "tables/digits-300/errors.csv"),
    ("../data/digits.npz", relabel, f"{FINAL}/metrics.csv"),
]


@pytest.mark.faults
def test_whatever_is_damaged_is_named_and_what_is_advised_helps(tmp_path, untouched):
    """Without a newer time, as by a failing disk: Snakemake does not see it."""
    whole = untouched(only(2), [])
    project = whole.copy(tmp_path / "project")
    root = project.folder / "results/tiny"
    for file, damage, target in DAMAGE:
        path = root / file
        times = path.stat()
        damage(path)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        (root / target).unlink()
        done = project.snakemake("--cores", 2, f"results/tiny/{target}", check=False)
        shown = f"results/{file.removeprefix('../')}" if file.startswith("../") else f"results/tiny/{file}"
        assert done.returncode != 0, file
        told = [line for line in done.stderr.splitlines() if f"{shown} is damaged" in line]
        assert told, (file, done.stderr)
        assert told[0].endswith("delete it, then give the same command again to recreate it")
        assert "Traceback" not in done.stderr
        path.unlink()
        project.snakemake("--cores", 2, f"results/tiny/{target}")
    for file in (root / "logs/seconds").rglob("*.tsv"):
        file.write_text("")
    project.snakemake("--cores", 2)
    files, expected = faults.results(project, *faults.COMPARED), faults.results(whole, *faults.COMPARED)
    assert files == expected
