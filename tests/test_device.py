"""Where to compute, and the face of a long loop."""

import argparse
import ctypes
import subprocess
import sys

import pytest
import torch

from gradreg import device
from gradreg.training import progress


def test_without_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device.choose("auto") == device.choose("cpu") == torch.device("cpu")
    assert torch.get_num_threads() == 1
    with pytest.raises(ValueError, match="finds no usable GPU; use device: auto or cpu"):
        device.choose("cuda")
    with pytest.raises(argparse.ArgumentTypeError, match="finds no usable GPU"):
        device.argument("cuda")


def test_unknown_devices_are_refused():
    with pytest.raises(ValueError, match="device: tpu is none of auto, cpu, cuda"):
        device.choose("tpu")


PAGES = """
import resource, sys, torch
from gradreg import device
if sys.argv[1:]: device.choose("cpu")
def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for round in range(3):
    if round == 1: before = faults()
    some = [torch.ones(500000) for _ in range(40)]  # 2 MB each
    del some
print(faults() - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="needs glibc")
def test_memory_is_kept_for_what_comes_next():
    """Otherwise the tensors of a step come from the system anew, page by page."""
    asked, unasked = (
        int(subprocess.run([sys.executable, "-c", PAGES, *how], text=True, capture_output=True).stdout)
        for how in (["choose"], [])
    )
    assert asked < unasked / 4


ROWS = [{"loss": 1.0, "error": 0.5, "held_out_error": 0.25}, {"loss": 3.0, "error": 0.1, "held_out_error": 0.75}]


def test_a_log_gets_a_line_per_epoch(capsys):
    show = progress.EpochProgress("net", 2)
    show(1, ROWS)
    show(2, [{"loss": float("nan"), "error": 0.1}])
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("net  epoch 1/2  loss 2.0000  error % 30.00  validation error % 50.00  ")
    assert second.startswith("net  epoch 2/2  error % 10.00  ")


def test_a_terminal_gets_a_bar(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    show = progress.EpochProgress("net", 2)
    show(1, ROWS)
    show(2, ROWS)
    captured = capsys.readouterr()
    assert captured.out == ""
    last = captured.err.split("\r")[-1]
    assert "net: 100%" in last
    assert "loss=2.0000, error %=30.00, validation error %=50.00" in last
    assert "<" in last  # the time left
