"""Tidy metrics made up for the tests of reporting."""

import itertools

import numpy as np
import pandas as pd

from gradreg.storage import metrics


def measurements(n_train=100, part="test", seeds=3, diverged=()):
    """Two models, plain and three norms, three attack strengths in each of two norms."""
    generator = np.random.default_rng(0)
    settings = (("plain", "none", "0"), ("perturb", "1", "2"), ("perturb", "2", "0.5"), ("perturb", "inf", "8/255"))
    grids = {"2": ("0.2", "0.5", "1"), "inf": ("0.05", "8/255", "0.1")}
    measured = [("none", "", "", "error", 0.05), ("none", "", "", "confidence", 0.9)]
    measured += [("none", "", "", f"gradient_norm_{q}", 2.0) for q in ("1", "2", "inf")]
    for p, attack in itertools.product(grids, ("one_step", "multi_step")):
        measured += [(attack, p, eps, "error", 0.5) for eps in grids[p]]
    rows = []
    for model, setting, seed in itertools.product(("net", "other"), settings, range(seeds)):
        flags = "diverged:3" if (model, setting[1], seed) in diverged else ""
        for *measurement, mean in measured:
            value = mean + generator.normal(0, 0.01)
            rows.append(("digits", n_train, model, *setting, seed, part, *measurement, value, 50, flags))
    return pd.DataFrame(rows, columns=[*metrics.CELL, *metrics.MEASUREMENT])


def history(table):
    """Three epochs for every cell of a table."""
    cells = table[metrics.CELL].drop_duplicates()
    columns = {"error": 0.1, "held_out_loss": 1.0}
    return pd.concat([cells.assign(epoch=e, loss=1 / e, held_out_error=0.1 / e, **columns) for e in (1, 2, 3)])


def with_rows(table, *rows):
    """The table with further measurements of each of its cells: (attack, p, eps, metric, value, flags)."""
    cells = table[[*metrics.CELL, "part"]].drop_duplicates()
    names = ["attack", "attack_p", "attack_eps", "metric", "value", "flags"]
    return pd.concat([table, *(cells.assign(**dict(zip(names, row, strict=True)), n=50) for row in rows)])


def with_flags(table):
    """The table with a further attack, flagged in Linf."""
    errors = (("2", "0.5", ""), ("inf", "0.1", "square-stronger"))
    return with_rows(table, *(("hard", p, eps, "error", 0.8, flag) for p, eps, flag in errors))


def with_objectives(table, *names):
    """The table with further objectives, which have the measurements of perturb at p = 2 and inf."""
    perturb = table[table.p.isin(["2", "inf"])]
    return pd.concat([table, *(perturb.assign(objective=name) for name in names)], ignore_index=True)
