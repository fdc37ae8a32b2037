"""Tables for people, from tidy metrics."""

import html
import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from gradreg import analysis, statistics
from gradreg.labels import by_number, middle
from gradreg.published import anchors

BETTER, FLAG = " *", " †"
NO_SIGN = "no sign found"
COMPARED = ["model", "training", "measured", "images", "seeds", "difference", "low", "high", "p_value"]
Outcomes = Mapping[tuple[str, str, int], Mapping[str, Any]]


def interval(mean: float, half: float, digits: int = 2) -> str:
    """ "1.23 ± 0.04"; without a half-width, the mean alone; a dash for no value."""
    if math.isnan(mean):
        return "–"
    text = f"{mean:.{digits}f}"
    return text if math.isnan(half) else f"{text} ± {half:.{digits}f}"


def measured(test: pd.DataFrame) -> list[tuple[str, str, str, str]]:
    """The columns of errors of a study: (attack, p, eps, heading), the test error first.

    Under attack at the middle eps of each norm's grid, or the only one.
    """
    found = [("none", "", "", "test error, %")]
    for attack in analysis.attacks(test):
        attacked = test[(test.attack == attack) & (test.metric == "error")]
        for p in by_number(attacked.attack_p):
            eps = middle(attacked[attacked.attack_p == p].attack_eps)
            found.append((attack, p, eps, f"error, %, {attack.replace('_', '-')} {norm_name(p)} eps = {eps}"))
    return found


def comparisons(test: pd.DataFrame, outcomes: Outcomes) -> pd.DataFrame:
    """Every regularised network of a study against plain, one row per error, on the same images.

    outcomes: what each network answered wrongly, by (model, training, seed) and ``attack|p|eps``. Differences are in
    percentage points, with 95 % intervals; p-values as they are and after Holm's correction over all rows of the study.
    Attacks run on fewer than ``statistics.FEWEST`` seeds are left out.
    """
    test = analysis.with_training(test)
    rows = []
    for model in dict.fromkeys(test.model):
        names = [name for name in analysis.training_order(test[test.model == model]) if name != "plain"]
        for training, (attack, p, eps, heading) in itertools.product(names, measured(test)):
            key = f"{attack}|{p}|{eps}"
            ours, plain = (
                [own[key] for (m, t, _), own in sorted(outcomes.items()) if (m, t) == (model, name) and key in own]
                for name in (training, "plain")
            )
            if min(len(ours), len(plain)) < statistics.FEWEST:
                continue
            found = statistics.difference(np.array(ours), np.array(plain))
            rows.append(
                {
                    "model": model,
                    "training": training,
                    "measured": heading,
                    "images": len(ours[0]),
                    "seeds": len(ours),
                    "difference": 100 * found.mean,
                    "low": 100 * found.low,
                    "high": 100 * found.high,
                    "p_value": found.p_value,
                }
            )
    table = pd.DataFrame(rows, columns=COMPARED)
    return table.assign(p_holm=statistics.holm(table.p_value.tolist()))


def errors(test: pd.DataFrame, compared: pd.DataFrame | None = None) -> pd.DataFrame:
    """One row per chosen network: what was chosen, and errors in percent with 95 % intervals over seeds.

    test: tidy metrics of the final runs of one study. Published errors of the data set stand below ours, with their
    source. An error that is less than plain's with p < 0.05 after Holm's correction (``comparisons``) is marked BETTER,
    one with a sign that it cannot be trusted FLAG.
    """
    test = analysis.with_training(test)
    better = set()
    if compared is not None:
        sure = compared[(compared.p_holm < 1 - statistics.LEVEL) & (compared.difference < 0)]
        better = set(sure[["model", "training", "measured"]].itertuples(index=False, name=None))
    columns = measured(test)
    confidence = test[(test.attack == "none") & (test.metric == "confidence")]
    rows = []
    for model in dict.fromkeys(test.model):
        of_model = test[test.model == model]
        for training in analysis.training_order(of_model):
            own = of_model[of_model.training == training]
            row = {"model": model, "training": training, "setting": setting(own.iloc[0])}
            for attack, p, eps, heading in columns:
                at = (own.attack == attack) & (own.attack_p == p) & (own.attack_eps == eps) & (own.metric == "error")
                text = shown(own[at].value)
                text += BETTER if (model, training, heading) in better else ""
                row[heading] = text + (FLAG if analysis.suspect(own[at]).any() else "")
                if attack == "none":
                    row["confidence, %"] = shown(
                        confidence[(confidence.model == model) & (confidence.training == training)].value
                    )
            row["seeds"] = own.seed.nunique()
            row["diverged"] = own[analysis.diverged(own)].seed.nunique() or ""
            rows.append(row)
    table = pd.DataFrame(rows)
    table = table if (table.diverged != "").any() else table.drop(columns="diverged")
    published = [anchor for anchor in anchors(str(test.dataset.iloc[0])) if not anchor.p]
    if published:
        table = table.assign(source="").astype(object)
        for anchor in published:
            row = dict.fromkeys(table.columns, "") | {"training": anchor.training, "source": anchor.source}
            row |= {"model": f"published: {anchor.network}", "test error, %": f"{anchor.error:.2f}"}
            table.loc[len(table)] = row
    return table


def signs(test: pd.DataFrame, validation: pd.DataFrame) -> pd.DataFrame:
    """The networks of a study with a flag, how many of their seeds have it, and in which measurements.

    validation: measurements of the selection runs, which can collapse as well.
    """
    rows = []
    for part, table in (("chosen", test), ("sweep", validation)):
        for cell, own in table[table["flags"] != ""].groupby(["model", "objective", "p", "eps"], sort=False):
            for flag in sorted({flag for flags in own["flags"] for flag in flags.split("+")}):
                having = own[own["flags"].str.split("+").map(lambda flags, flag=flag: flag in flags)]
                attacked = having[having.attack_p != ""]
                where = sorted(
                    {f"{a} {norm_name(p)}" for a, p in attacked[["attack", "attack_p"]].itertuples(index=False)}
                )
                everywhere = flag in ("collapsed", "diverged")
                names = dict(zip(("model", "objective", "p", "eps"), cell, strict=True))
                seeds = (
                    f"{having.seed.nunique()} of {table[(table[list(names)] == list(cell)).all(axis=1)].seed.nunique()}"
                )
                rows.append(
                    {
                        "part": part,
                        **names,
                        "sign": flag,
                        "seeds": seeds,
                        "in": "all" if everywhere else ", ".join(where),
                    }
                )
    if not rows:
        rows = [
            {
                "part": "all",
                **dict.fromkeys(("model", "objective", "p", "eps"), ""),
                "sign": NO_SIGN,
                "seeds": "",
                "in": "",
            }
        ]
    return pd.DataFrame(rows)


def shown(values: pd.Series) -> str:
    """Shares as a mean in percent with its interval over seeds."""
    own = (100 * values).dropna().tolist()
    return interval(float(np.mean(own)) if own else math.nan, analysis.half_width(own))


def norm_name(p: str) -> str:
    """L1, L2, Linf."""
    return f"L{p}"


def setting(cell: pd.Series) -> str:
    """What was chosen for a row: the eps, or the baseline's setting."""
    return str(cell.objective) if cell.p == "none" else f"eps = {cell.eps}"


def to_markdown(table: pd.DataFrame) -> str:
    """The table in GitHub's Markdown; what is marked BETTER in bold."""
    cells = table.astype(str).map(lambda text: f"**{text}**" if BETTER in text else text)
    lines = [list(table.columns), ["---"] * len(table.columns), *cells.to_numpy().tolist()]
    return "".join("| " + " | ".join(str(cell) for cell in line) + " |\n" for line in lines)


def to_latex(table: pd.DataFrame) -> str:
    """The table for LaTeX with booktabs; what is marked BETTER in bold."""

    def cell(text: str) -> str:
        for plain, escaped in LATEX.items():
            text = text.replace(plain, escaped)
        return rf"\textbf{{{text}}}" if BETTER in text else text

    body = [[cell(text) for text in row] for row in table.astype(str).to_numpy().tolist()]
    head = [cell(str(name)) for name in table.columns]
    lines = [" & ".join(row) + r" \\" for row in body]
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{'l' * len(head)}}}",
            r"\toprule",
            " & ".join(head) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


LATEX = {
    "\\": r"\textbackslash{}",
    "%": r"\%",
    "_": r"\_",
    "&": r"\&",
    "±": r"$\pm$",
    "†": r"$\dagger$",
    "–": "--",
    "#": r"\#",
}


def to_html(tables: Mapping[str, pd.DataFrame], title: str) -> str:
    """A page of its own that shows tables below each other, by their captions; what is marked BETTER in bold."""
    style = (
        "body{font:15px/1.4 system-ui,sans-serif;margin:1.5em;color:#222}h2{font-size:1.05em;max-width:60em}"
        "table{border-collapse:collapse}th,td{padding:.35em .8em;text-align:left;border-bottom:1px solid #ccc}"
        "th{border-bottom:2px solid #444;vertical-align:bottom}"
    )
    body = ""
    for caption, table in tables.items():
        cells = table.astype(str).map(html.escape).map(lambda text: f"<b>{text}</b>" if BETTER in text else text)
        body += f"<h2>{html.escape(caption)}</h2>{cells.to_html(index=False, border=0, escape=False)}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{style}</style></head><body>{body}</body></html>\n"
    )
