"""Tables to read, from tidy metrics."""

import html
import itertools
import math
import re
import string
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gradreg.planning import numerals
from gradreg.registry import literature
from gradreg.reporting import significance, summaries
from gradreg.reporting.summaries import ANY_NORM, NETWORK, PLAIN, Training
from gradreg.storage.metrics import outcome

BETTER, FLAG = " *", " †"
NO_FLAG = "no flag"
NOTE = (
    "Errors in %, mean ± half-width of the 95 % interval over seeds. "
    "* and bold: less than plain, P < 0.05 after Holm's correction over the study. †: see the table of flags."
)
OF_TRAINING = ("collapsed", "diverged", "no-better-than-constant")  # flags of a whole network
COMPARED = ["model", "training", "measured", "images", "seeds", "difference", "low", "high", "p_value"]
MARKDOWN = re.compile(r"[\\`*_~\[<&|]")  # have a meaning, unless a backslash stands before them
LATEX = str.maketrans(  # pandas escapes cells only, not captions and notes
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--"}
    | {"±": r"$\pm$", "†": r"$\dagger$", "<": "$<$", ">": "$>$", "|": "$|$"}
)
STYLE = (
    "body{font:14px/1.4 system-ui,sans-serif;margin:1.5em;color:#222}h2{font-size:1.05em}p,h2{max-width:60em}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "th,td{padding:.3em .7em;text-align:left;border-bottom:1px solid #ccc}td{white-space:nowrap}"
    "th{border-bottom:2px solid #444;vertical-align:bottom}.numbers :is(th,td):nth-child(n+4){text-align:right}"
    ".numbers td:nth-child(-n+2),.measured td:nth-child(3){white-space:normal}"
)
SHOWN = {"difference": "difference", "low": "from", "high": "to", "p_value": "P", "p_holm": "P, Holm"}
Outcomes = Mapping[tuple[str, Training, int], Mapping[str, Any]]


@dataclass(frozen=True)
class Mean:
    """A cell: a mean in percent, the half-width of its interval, and its marks; nan for no value."""

    value: float
    half: float = math.nan
    better: bool = False
    flagged: bool = False

    def __str__(self) -> str:
        return interval(self.value, self.half) + (BETTER if self.better else "") + (FLAG if self.flagged else "")


def interval(mean: float, half: float, digits: int = 2) -> str:
    """ "1.23 ± 0.04"; the mean alone if there is no half-width, and a dash if there is no mean."""
    if math.isnan(mean):
        return "–"
    text = f"{mean:.{digits}f}"
    return text if math.isnan(half) else f"{text} ± {half:.{digits}f}"


def measured(test: pd.DataFrame) -> list[tuple[str, str, str, str]]:
    """The columns of errors of a study: (attack, p, eps, heading), the test error first.

    Errors under attack are at the middle eps of each norm's grid.
    """
    columns = [("none", "", "", "test error, %")]
    for attack in summaries.attacks(test):
        attacked = test[(test.attack == attack) & (test.metric == "error")]
        for p in numerals.by_number(attacked.attack_p):
            eps = numerals.middle(attacked[attacked.attack_p == p].attack_eps)
            columns.append((attack, p, eps, f"error, %, {attack.replace('_', '-')} {norm_name(p)} eps = {eps}"))
    return columns


def comparisons(test: pd.DataFrame, outcomes: Outcomes) -> pd.DataFrame:
    """Every regularised network of a study against plain, one row per error, on the same images.

    outcomes: which images each network got wrong, by (model, training, seed) and ``metrics.outcome``. Differences are
    in percentage points, with 95 % intervals. P values are given as they are and after Holm's correction over all rows
    of the study. Attacks run on fewer than ``significance.FEWEST`` seeds, or on one image, are left out.
    """
    test = summaries.with_training(test)
    rows = []
    for model in dict.fromkeys(test.model):
        regularised = sorted(set(test[test.model == model].training) - {PLAIN})
        for training, (attack, p, eps, heading) in itertools.product(regularised, measured(test)):
            key = outcome(attack, p, eps)
            wrong, wrong_of_plain = (
                [arrays[key] for (m, t, _), arrays in sorted(outcomes.items()) if (m, t) == network and key in arrays]
                for network in ((model, training), (model, PLAIN))
            )
            if not significance.is_enough(wrong, wrong_of_plain):
                continue
            difference = significance.difference(np.array(wrong), np.array(wrong_of_plain))
            percent = (100 * value for value in (difference.mean, difference.low, difference.high))
            rows.append((model, training, heading, len(wrong[0]), len(wrong), *percent, difference.p_value))
    table = pd.DataFrame(rows, columns=COMPARED)
    return table.assign(p_holm=significance.holm(table.p_value.tolist()))


def compared_before(table: pd.DataFrame, test: pd.DataFrame) -> pd.DataFrame:
    """What ``comparisons`` returned for ``test``, as it comes from a file, where trainings are texts."""
    trainings = {str(training): training for training in summaries.with_training(test).training}
    return table.assign(training=table.training.map(trainings))


def errors(test: pd.DataFrame, compared: pd.DataFrame | None = None) -> pd.DataFrame:
    """The table of ``networks``, and below it errors on the data set in the literature, with their source."""
    rows = _rows(test, compared)
    for entry in literature.entries(str(test.dataset.iloc[0])):
        if entry.error is not None:
            as_many = entry.n_train == test.n_train.iloc[0]
            name = entry.network + ("" if as_many else f", {entry.n_train} training images")
            row = {"model": f"literature: {name}", "training": entry.training, "source": entry.source}
            rows.append(row | {"test error, %": Mean(entry.error)})
    return _table(rows)


def networks(test: pd.DataFrame, compared: pd.DataFrame | None = None) -> pd.DataFrame:
    """One row per chosen network: its setting, and errors in percent with 95 % intervals over seeds.

    test: tidy metrics of the final runs of one study. An error is marked BETTER if it is less than plain's with
    P < 0.05 after Holm's correction (``comparisons``), and FLAG if a measurement behind it has a masking flag.
    """
    return _table(_rows(test, compared))


def _table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as a table, which says what diverged only where something did."""
    table = pd.DataFrame(rows, dtype=object).fillna("")
    return table if (table.diverged != "").any() else table.drop(columns="diverged")


def _rows(test: pd.DataFrame, compared: pd.DataFrame | None) -> list[dict[str, Any]]:
    test = summaries.with_training(test)
    better = set()
    if compared is not None:
        significant = compared[(compared.p_holm < 1 - summaries.LEVEL) & (compared.difference < 0)]
        better = set(significant[["model", "training", "measured"]].itertuples(index=False, name=None))
    columns = measured(test)
    return [
        _errors_of(of_model[of_model.training == training], columns, better)
        for _, of_model in test.groupby("model", sort=False)
        for training in sorted(set(of_model.training))
    ]


def with_criterion(table: pd.DataFrame, by: str) -> pd.DataFrame:
    """The table that ``errors`` made with a column that says by which error settings were chosen."""
    place = list(table.columns).index("setting") + 1
    told = table.copy()
    told.insert(place, "chosen by", [by if setting else "" for setting in table.setting])
    return told


def with_letters(table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The table that ``errors`` made with letters in place of sources, to fit onto a page, and what they mean."""
    if "source" not in table:
        return table, ""
    letters = dict(zip(dict.fromkeys(filter(None, table.source)), string.ascii_lowercase, strict=False))
    meaning = " ".join(f"{letter}: {source}." for source, letter in letters.items())
    return table.assign(source=table.source.map(letters).fillna("")), meaning


def by_attack(table: pd.DataFrame, test: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The table that ``errors`` made of ``test``, cut by attack, so that each part fits onto a page."""
    columns = measured(test)
    attacked = [heading for attack, *_, heading in columns if attack != "none"]
    parts = {"Not attacked": table.drop(columns=attacked)}
    for attack in summaries.attacks(test):
        headings = {heading: f"{norm_name(p)}, eps = {eps}" for name, p, eps, heading in columns if name == attack}
        values = table[list(headings)]
        has = values.map(lambda cell: isinstance(cell, Mean) and not math.isnan(cell.value)).any(axis=1)
        part = table.loc[has, ["model", "training", "setting", *headings]].rename(columns=headings)
        parts[f"Under attack: {attack.replace('_', '-')}"] = part
    return parts


def rounded(compared: pd.DataFrame) -> pd.DataFrame:
    """What ``comparisons`` returned, as text to read."""
    text = compared.copy()
    for column in ("difference", "low", "high"):
        text[column] = compared[column].map("{:.2f}".format)
    for column in ("p_value", "p_holm"):
        text[column] = compared[column].map(lambda value: "< 0.001" if value < 0.001 else f"{value:.3f}")
    return text


def _errors_of(
    network: pd.DataFrame, columns: Sequence[tuple[str, str, str, str]], better: Collection[tuple[str, Training, str]]
) -> dict[str, Any]:
    """The row of one network, from its measurements."""
    model, training, objective, eps = network[["model", "training", "objective", "eps"]].iloc[0]
    row = {"model": model, "training": training, "setting": _setting(training, objective, eps)}
    for attack, attack_p, attack_eps, heading in columns:
        at = (network.attack == attack) & (network.attack_p == attack_p) & (network.attack_eps == attack_eps)
        error = network[at & (network.metric == "error")]
        is_better = (model, training, heading) in better
        row[heading] = mean(error.value, is_better, bool(summaries.suspect(error).any()))
        if attack == "none":
            row["confidence, %"] = mean(network[at & (network.metric == "confidence")].value)
    return row | {"seeds": network.seed.nunique(), "diverged": summaries.divergence(network)}


def _setting(training: Training, objective: str, eps: str) -> str:
    """What distinguishes a network from the others that competed."""
    if training.given:
        return "from a file"
    return objective if training.plain else f"eps = {eps}"


def flags(test: pd.DataFrame, validation: pd.DataFrame) -> pd.DataFrame:
    """The networks of a study with a flag, how many of their seeds have it, and in which measurements.

    validation: measurements of the selection runs, which can collapse as well.
    """
    rows = [*_flags_of("chosen", test), *_flags_of("sweep", validation)]
    none = {"part": "all", **dict.fromkeys(NETWORK, ""), "flag": NO_FLAG, "seeds": "", "in": ""}
    return pd.DataFrame(rows or [none])


def _flags_of(part: str, table: pd.DataFrame) -> Iterator[dict[str, str]]:
    for network, rows in table.groupby(NETWORK, sort=False):
        by_row, measured = rows["flags"].str.split("+"), rows.attack + " " + rows.attack_p
        for flag in sorted(set(by_row.explode()) - {""}):
            name, _, epoch = flag.partition(":")
            has_it = by_row.map(lambda flags, flag=flag: flag in flags)
            flagged = rows[has_it]
            attacked = flagged[flagged.attack_p != ""]
            # An attack may be run on a few seeds only.
            possible = rows if name in OF_TRAINING else rows[measured.isin(measured[has_it])]
            where = sorted({f"{row.attack} {norm_name(row.attack_p)}" for row in attacked.itertuples()})
            everywhere = f"all, since epoch {epoch} of training" if epoch else "all"
            yield {
                "part": part,
                **dict(zip(NETWORK, network, strict=True)),
                "flag": name,
                "seeds": f"{flagged.seed.nunique()} of {possible.seed.nunique()}",
                "in": everywhere if name in OF_TRAINING else ", ".join(where),
            }


def mean(shares: pd.Series, better: bool = False, flagged: bool = False) -> Mean:
    """The mean of some shares in percent, with its interval over seeds."""
    percent = (100 * shares).dropna().tolist()
    return Mean(float(np.mean(percent)) if percent else math.nan, summaries.half_width(percent), better, flagged)


def norm_name(p: str) -> str:
    """L1, L2, Linf; "any norm" for several."""
    return ANY_NORM if numerals.is_joined(p) else f"L{p}"


def _bold(cell: object) -> bool:
    return isinstance(cell, Mean) and cell.better


def _as_text(table: pd.DataFrame, escape: Callable[[str], str], bold: str) -> pd.DataFrame:
    """The table with all cells as escaped text, and in bold where they are marked BETTER."""
    cells = table.map(lambda cell: (bold if _bold(cell) else "{}").format(escape(str(cell))))
    return cells.rename(columns=escape)


def to_markdown(table: pd.DataFrame) -> str:
    """The table in GitHub's Markdown."""
    text = _as_text(table, lambda cell: MARKDOWN.sub(r"\\\g<0>", cell), "**{}**")
    return f"{text.to_markdown(index=False, disable_numparse=True)}\n"


def to_latex(tables: Mapping[str, pd.DataFrame], note: str = "") -> str:
    """Tables for LaTeX with booktabs, below their captions if there are several, and a note: what one float holds."""
    parts = [_tabular(table) for table in tables.values()]
    if len(parts) > 1:
        parts = [f"{_in_latex(name)}\\par\\smallskip\n{part}" for name, part in zip(tables, parts, strict=True)]
    return "\\par\\medskip\n".join([*parts, *([f"{_in_latex(note.strip())}\n"] if note.strip() else [])])


def _tabular(table: pd.DataFrame) -> str:
    bold = table.map(lambda cell: "textbf:--rwrap;" if _bold(cell) else "")
    style = table.map(str).astype(object).style.hide(axis="index").apply(lambda _: bold, axis=None)
    return str(style.format(_in_latex).format_index(_in_latex, axis=1).to_latex(hrules=True))


def _in_latex(text: str) -> str:
    return text.translate(LATEX)


def to_html(tables: Mapping[str, pd.DataFrame], title: str, note: str = "", *, numbers: bool = True) -> str:
    """A page that shows a note, and tables below their captions.

    With ``numbers``, those are in the columns after the third.
    """
    body = f"<p>{html.escape(note)}</p>" if note else ""
    for caption, table in tables.items():
        text = _as_text(table.rename(columns=SHOWN), html.escape, "<b>{}</b>")
        classes = ["numbers"] * numbers + ["measured"] * ("measured" in table)
        cells = text.to_html(index=False, border=0, escape=False, classes=classes)
        body += f"<h2>{html.escape(caption)}</h2>{cells}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head><body>{body}</body></html>\n"
    )
