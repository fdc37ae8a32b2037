"""Tidy metrics made up for the tests of reporting."""

import numpy as np
import pandas as pd

from gradreg.storage import metrics


def measurements(n_train=100, part="test", seeds=3, diverged=()):
    """Two models, plain and three norms, three attack strengths in each of two norms."""
    generator = np.random.default_rng(0)
    rows = []
    for model in ("net", "other"):
        for p, eps in (("none", "0"), ("1", "2"), ("2", "0.5"), ("inf", "8/255")):
            objective = "plain" if p == "none" else "perturb"
            for seed in range(seeds):
                flags = "diverged:3" if (model, p, seed) in diverged else ""
                cell = dict(zip(metrics.CELL, ("digits", n_train, model, objective, p, eps, seed), strict=True))
                values = [("none", "", "", "error", 0.05), ("none", "", "", "confidence", 0.9)]
                values += [("none", "", "", f"gradient_norm_{q}", 2.0) for q in ("1", "2", "inf")]
                for attack_p, grid in (("2", ("0.2", "0.5", "1")), ("inf", ("0.05", "8/255", "0.1"))):
                    values += [
                        (attack, attack_p, attack_eps, "error", 0.5)
                        for attack in ("one_step", "multi_step")
                        for attack_eps in grid
                    ]
                for attack, attack_p, attack_eps, metric, value in values:
                    measured = (
                        part,
                        attack,
                        attack_p,
                        attack_eps,
                        metric,
                        value + generator.normal(0, 0.01),
                        50,
                        flags,
                    )
                    rows.append(cell | dict(zip(metrics.MEASUREMENT, measured, strict=True)))
    return pd.DataFrame(rows)


def history(table):
    """Three epochs for every cell of a table."""
    cells = table[metrics.CELL].drop_duplicates()
    epochs = [
        cells.assign(epoch=e, loss=1 / e, error=0.1, held_out_error=0.1 / e, held_out_loss=1.0) for e in (1, 2, 3)
    ]
    return pd.concat(epochs)


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
    """The table with further objectives beside perturb, those of the regularised cells at p = 2 and inf."""
    own = table[table.p.isin(["2", "inf"])]
    return pd.concat([table, *(own.assign(objective=name) for name in names)], ignore_index=True)
