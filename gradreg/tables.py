"""Tables for people, from tidy metrics."""

import math

import pandas as pd

from gradreg import analysis
from gradreg.labels import by_number, middle


def interval(mean: float, half: float, digits: int = 2) -> str:
    """ "1.23 ± 0.04"; without a half-width, the mean alone; a dash for no value."""
    if math.isnan(mean):
        return "–"
    text = f"{mean:.{digits}f}"
    return text if math.isnan(half) else f"{text} ± {half:.{digits}f}"


def errors(test: pd.DataFrame) -> pd.DataFrame:
    """One row per chosen network: what was chosen, and errors in percent with 95 % intervals over seeds.

    test: tidy metrics of the final runs of one data set. Errors under attack are those of the multi-step attack, and
    of others where there are any, at the middle eps of each norm's grid.
    """
    test = analysis.with_training(test)
    errors = test[test.metric == "error"]
    columns: dict[str, pd.DataFrame] = {}
    clean = test[test.attack == "none"]
    columns["test error, %"] = 100 * clean[clean.metric == "error"].set_index(KEYS).value
    columns["confidence, %"] = 100 * clean[clean.metric == "confidence"].set_index(KEYS).value
    for attack in analysis.attacks(test):
        attacked = errors[errors.attack == attack]
        for p in by_number(attacked.attack_p):
            part = attacked[attacked.attack_p == p]
            eps = middle(part.attack_eps)
            name = f"error, %, {'attack' if attack == 'multi_step' else attack} {norm_name(p)} eps = {eps}"
            columns[name] = 100 * part[part.attack_eps == eps].set_index(KEYS).value
    rows = []
    order = analysis.training_order(test)
    first = test.drop_duplicates(["model", "training"]).sort_values(
        "training", key=lambda c: c.map(order.index), kind="stable"
    )
    for model in dict.fromkeys(test.model):
        for _, cell in first[first.model == model].iterrows():
            row = {"model": model, "training": cell.training, "setting": setting(cell)}
            for name, values in columns.items():
                own = values.loc[[(model, cell.training)]]
                row[name] = interval(own.mean(), analysis.half_width(own.dropna().tolist()))
            seeds = test[(test.model == model) & (test.training == cell.training)].drop_duplicates("seed")
            row["seeds"] = len(seeds)
            diverged = int((seeds["flags"] == "diverged").sum())
            row["diverged"] = diverged or ""
            rows.append(row)
    table = pd.DataFrame(rows)
    return table if (table.diverged != "").any() else table.drop(columns="diverged")


KEYS = ["model", "training"]


def norm_name(p: str) -> str:
    """L1, L2, Linf."""
    return f"L{p}"


def setting(cell: pd.Series) -> str:
    """What was chosen for a row: the eps, or the baseline's setting."""
    return str(cell.objective) if cell.p == "none" else f"eps = {cell.eps}"


def to_markdown(table: pd.DataFrame) -> str:
    """The table in GitHub's Markdown."""
    lines = [list(table.columns), ["---"] * len(table.columns), *table.astype(str).to_numpy().tolist()]
    return "".join("| " + " | ".join(str(cell) for cell in line) + " |\n" for line in lines)


def to_html(table: pd.DataFrame, title: str) -> str:
    """A page of its own that shows the table."""
    style = (
        "body{font:15px/1.4 system-ui,sans-serif;margin:1.5em;color:#222}"
        "table{border-collapse:collapse}th,td{padding:.35em .8em;text-align:left;border-bottom:1px solid #ccc}"
        "th{border-bottom:2px solid #444;vertical-align:bottom}"
    )
    body = table.to_html(index=False, border=0)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{style}</style></head><body>{body}</body></html>\n"
    )
