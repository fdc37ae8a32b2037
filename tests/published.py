"""What tests read of published tables, and of the pages that show them."""

import re

import pandas as pd
from project import ROOT

from gradreg.storage import metrics

PUBLISHED = ROOT / "results" / "published"


def table_of(page, first):
    """The rows of the Markdown table whose header begins with ``first``."""
    lines = (ROOT / page).read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def errors(study):
    """The published table of errors of a study, without what the literature has."""
    table = metrics.read(PUBLISHED / study / "errors.csv").astype(str)
    return table[~table.model.str.startswith("literature")]


def compared(study, name="test error, %"):
    table = pd.read_csv(PUBLISHED / study / "comparison.csv")
    return table[table.measured == name]


def cell(value):
    """A cell as a page shows it: bold where it is marked, without its marks."""
    bare = value.removesuffix(" †").removesuffix(" *")
    return f"**{bare}**" if " *" in value else bare


def flagged(value):
    """The same with the mark of a flag."""
    return cell(value) + (" †" if value.endswith(" †") else "")


def heading(table, attack, norm):
    return next(column for column in table if re.search(rf"\b{attack} {norm} eps", column))


def check(page, sentence, values):
    """A sentence of a page, a pattern with its numbers in brackets, says these numbers, to as many digits."""
    match = re.search(sentence, (ROOT / page).read_text())
    assert match, "the sentence has changed"
    for said, value in zip(match.groups(), values, strict=True):
        digits = len(said.partition(".")[2])
        assert said == f"{value:.{digits}f}"
