"""Tables for people, from tidy metrics."""

import html
import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gradreg.planning import numerals
from gradreg.reporting import literature, significance, summaries
from gradreg.reporting.summaries import NETWORK, PLAIN, Training

BETTER, FLAG = " *", " †"
NO_SIGN = "no sign found"
COMPARED = ["model", "training", "measured", "images", "seeds", "difference", "low", "high", "p_value"]
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
Outcomes = Mapping[tuple[str, Training, int], Mapping[str, Any]]


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
    for attack in summaries.attacks(test):
        attacked = test[(test.attack == attack) & (test.metric == "error")]
        for p in numerals.by_number(attacked.attack_p):
            eps = numerals.middle(attacked[attacked.attack_p == p].attack_eps)
            found.append((attack, p, eps, f"error, %, {attack.replace('_', '-')} {norm_name(p)} eps = {eps}"))
    return found


def comparisons(test: pd.DataFrame, outcomes: Outcomes) -> pd.DataFrame:
    """Every regularised network of a study against plain, one row per error, on the same images.

    outcomes: what each network answered wrongly, by (model, training, seed) and ``labels.outcome``. Differences are in
    percentage points, with 95 % intervals; p-values as they are and after Holm's correction over all rows of the study.
    Attacks run on fewer than ``significance.FEWEST`` seeds are left out.
    """
    test = summaries.with_training(test)
    rows = []
    for model in dict.fromkeys(test.model):
        regularised = sorted(set(test[test.model == model].training) - {PLAIN})
        for training, (attack, p, eps, heading) in itertools.product(regularised, measured(test)):
            key = numerals.outcome(attack, p, eps)
            ours, plain = (
                [own[key] for (m, t, _), own in sorted(outcomes.items()) if (m, t) == (model, name) and key in own]
                for name in (training, PLAIN)
            )
            if min(len(ours), len(plain)) < significance.FEWEST:
                continue
            found = significance.difference(np.array(ours), np.array(plain))
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
    return table.assign(p_holm=significance.holm(table.p_value.tolist()))


def errors(test: pd.DataFrame, compared: pd.DataFrame | None = None) -> pd.DataFrame:
    """One row per chosen network: what was chosen, and errors in percent with 95 % intervals over seeds.

    test: tidy metrics of the final runs of one study. Published errors of the data set stand below ours, with their
    source. An error that is less than plain's with p < 0.05 after Holm's correction (``comparisons``) is marked BETTER,
    one with a sign that it cannot be trusted FLAG.
    """
    test = summaries.with_training(test)
    better = set()
    if compared is not None:
        sure = compared[(compared.p_holm < 1 - significance.LEVEL) & (compared.difference < 0)]
        better = set(sure[["model", "training", "measured"]].itertuples(index=False, name=None))
    columns = measured(test)
    table = pd.DataFrame(
        [
            _errors_of(of_model[of_model.training == training], columns, better)
            for _, of_model in test.groupby("model", sort=False)
            for training in sorted(set(of_model.training))
        ]
    )
    table = table if (table.diverged != "").any() else table.drop(columns="diverged")
    published = literature.clean(str(test.dataset.iloc[0]))
    if published:
        table = table.assign(source="").astype(object)
        for anchor in published:
            row = dict.fromkeys(table.columns, "") | {"training": anchor.training, "source": anchor.source}
            row |= {"model": f"published: {anchor.network}", "test error, %": f"{anchor.error:.2f}"}
            table.loc[len(table)] = row
    return table


def _errors_of(
    own: pd.DataFrame, columns: Sequence[tuple[str, str, str, str]], better: Collection[tuple[str, str, str]]
) -> dict[str, Any]:
    """The row of one network, from its measurements."""
    model, training = own.model.iloc[0], own.training.iloc[0]
    row: dict[str, Any] = {"model": model, "training": training, "setting": setting(own.iloc[0])}
    for attack, p, eps, heading in columns:
        at = (own.attack == attack) & (own.attack_p == p) & (own.attack_eps == eps)
        error = own[at & (own.metric == "error")]
        star = BETTER if (model, training, heading) in better else ""
        row[heading] = shown(error.value) + star + (FLAG if summaries.suspect(error).any() else "")
        if attack == "none":
            row["confidence, %"] = shown(own[at & (own.metric == "confidence")].value)
    return row | {"seeds": own.seed.nunique(), "diverged": summaries.divergence(own)}


def signs(test: pd.DataFrame, validation: pd.DataFrame) -> pd.DataFrame:
    """The networks of a study with a flag, how many of their seeds have it, and in which measurements.

    validation: measurements of the selection runs, which can collapse as well.
    """
    rows = [*_signs_of("chosen", test), *_signs_of("sweep", validation)]
    none = {"part": "all", **dict.fromkeys(NETWORK, ""), "sign": NO_SIGN, "seeds": "", "in": ""}
    return pd.DataFrame(rows or [none])


def _signs_of(part: str, table: pd.DataFrame) -> Iterator[dict[str, str]]:
    for cell, whole in table.groupby(NETWORK, sort=False):
        flags = whole["flags"].str.split("+")
        for flag in sorted(set(flags.explode()) - {""}):
            having = whole[flags.map(set).map(lambda found, flag=flag: flag in found)]
            attacked = having[having.attack_p != ""]
            where = sorted({f"{row.attack} {norm_name(row.attack_p)}" for row in attacked.itertuples()})
            sign, _, epoch = flag.partition(":")
            everywhere = f"all, since epoch {epoch} of training" if epoch else "all"
            yield {
                "part": part,
                **dict(zip(NETWORK, cell, strict=True)),
                "sign": sign,
                "seeds": f"{having.seed.nunique()} of {whole.seed.nunique()}",
                "in": everywhere if sign in ("collapsed", "diverged") else ", ".join(where),
            }


def shown(values: pd.Series) -> str:
    """Shares as a mean in percent with its interval over seeds."""
    own = (100 * values).dropna().tolist()
    return interval(float(np.mean(own)) if own else math.nan, summaries.half_width(own))


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
