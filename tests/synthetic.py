"""Tidy metrics made up for the tests of reporting."""

import itertools

import numpy as np
import pandas as pd

from gradreg.storage import metrics

SETTINGS = (("plain", "none", "0"), ("perturb", "1", "2"), ("perturb", "2", "0.5"), ("perturb", "inf", "8/255"))
GRIDS = {"2": ("0.2", "0.5", "1"), "inf": ("0.05", "8/255", "0.1")}


def measurements(
    n_train=100, part="test", seeds=3, diverged=(), models=("net", "other"), settings=SETTINGS, grids=GRIDS
):
    """By default two models, plain and three norms, three attack strengths in each of two norms."""
    generator = np.random.default_rng(0)
    measured = [("none", "", "", "error", 0.05), ("none", "", "", "confidence", 0.9)]
    measured += [("none", "", "", f"gradient_norm_{q}", 2.0) for q in ("1", "2", "inf")]
    for p, attack in itertools.product(grids, ("one_step", "multi_step")):
        measured += [(attack, p, eps, "error", 0.5) for eps in grids[p]]
    rows = []
    for model, setting, seed in itertools.product(models, settings, range(seeds)):
        flags = "diverged:3" if (model, setting[1], seed) in diverged else ""
        for *measurement, mean in measured:
            value = mean + generator.normal(0, 0.01)
            rows.append(("digits", n_train, model, *setting, seed, part, *measurement, value, 50, flags))
    return pd.DataFrame(rows, columns=[*metrics.CELL, *metrics.MEASUREMENT])


def study(models, settings, grids, seeds=3):
    """Measurements of the final and of the selection runs, and histories: of all that figures show but transfer.

    settings: (objective, p, eps) of the selection runs, those of plain first; the last of each objective and p is
    chosen. grids: eps of the attacks by norm, their union too if that is wanted.
    """
    validation = measurements(80, "validation", seeds, (), models, settings, grids)
    chosen = list({("" if p == "none" else name, p): (name, p, eps) for name, p, eps in settings}.values())
    test = measurements(100, "test", seeds, (), models, chosen, grids)
    rows = [(noise, "", "0.1", "error", 0.3, "") for noise in ("gaussian", "uniform")]
    rows += [("none", "", "", "alignment", 0.2, "")]
    for p, grid in grids.items():
        rows += [("targeted", p, grid[len(grid) // 2], metric, 0.6, "") for metric in ("error", "error_of_multi_step")]
        if "+" not in p:
            rows += [("steepest", p, eps, metric, 0.1, "") for eps in grid for metric in ("rise", "predicted_rise")]
            rows += [("gradient_estimate", p, eps, "estimated_error", 0.4, "") for eps in grid]
    probed = {"probe_error_1": 0.2, "probe_error_5": 0.4, "participation_ratio": 0.3}
    return {"test": with_rows(test, *rows), "validation": validation, "history": history(validation).assign(**probed)}


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
