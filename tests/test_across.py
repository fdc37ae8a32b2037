"""Several experiments in one table."""

import os
import subprocess
import sys

import pandas as pd
from synthetic import measurements, with_rows

from gradreg.reporting import across, tables


def test_rows_stand_below_each_other_with_what_they_were_measured_on():
    one = measurements(models=["net"], seeds=2)
    grids = {"2": ("0.5",), "inf": ("0.3",)}
    two = measurements(n_train=900, models=["other"], grids=grids).assign(n=70)
    table = across.beside([part for name, test in (("a", one), ("b", two)) for part in across.errors(name, test, {})])
    about = table[["experiment", "data", "training images", "test images", "images, multi-step", "seeds"]]
    assert about.drop_duplicates().to_numpy().tolist() == [
        ["a", "digits", 100, 50, 50, 2],
        ["b", "digits", 900, 70, 70, 3],
    ]
    same, only_one, only_two = (
        table[f"error, %, multi-step {at}"] for at in ("L2 eps = 0.5", "Linf eps = 0.05", "Linf eps = 0.3")
    )
    assert (same != "–").all()
    assert only_one.eq("–").tolist() == [False] * 4 + [True] * 4
    assert only_two.eq("–").tolist() == [True] * 4 + [False] * 4
    union = with_rows(one, ("multi_step", "2+inf", "0.5+0.1", "error", 0.8, ""))
    (part,) = across.errors("a", union, {})
    assert "error, %, multi-step any norm of 2+inf eps = 0.5+0.1" in part
    expected = tables.networks(one)["test error, %"].map(str).tolist()
    assert table["test error, %"].map(str).tolist()[:4] == expected


def test_the_command_compares_what_is_there(template, tmp_path):
    script = [sys.executable, template.folder / "workflow/scripts/compare.py", "--out", tmp_path]
    run = {"cwd": template.folder, "capture_output": True, "text": True}
    run["env"] = os.environ | {"PYTHONPATH": str(template.folder)}
    done = subprocess.run([*script, "tiny"], check=True, **run)
    table = pd.read_csv(tmp_path / "errors.csv")
    assert table[["experiment", "data"]].drop_duplicates().to_numpy().tolist() == [["tiny", "digits"], ["tiny", "twin"]]
    assert all((tmp_path / f"errors.{suffix}").exists() for suffix in ("md", "tex"))
    assert "| tiny " in done.stdout
    refused = subprocess.run([*script, "nothing"], check=False, **run)
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1].endswith("there is no experiment nothing; there are tiny")
