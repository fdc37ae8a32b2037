"""Tables of errors, comparisons and flags, from synthetic metrics, and their formats."""

import html
import itertools
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from synthetic import measurements, with_flags

from gradreg.reporting import significance, summaries, tables
from gradreg.reporting.summaries import PLAIN, Training
from gradreg.storage.metrics import outcome


def test_the_table_has_a_row_per_network_with_intervals():
    table = tables.errors(measurements())
    assert table.training.map(str).tolist() == ["plain", "p = 1", "p = 2", "p = inf"] * 2
    assert table.setting.tolist()[:4] == ["plain", "eps = 2", "eps = 0.5", "eps = 8/255"]
    assert table["error, %, multi-step L2 eps = 0.5"].map(str).str.fullmatch(r"\d\d\.\d\d ± \d\.\d\d").all()
    assert (table.seeds == 3).all()
    assert "diverged" not in table
    values = 100 * measurements().query("model == 'net' and p == '2' and attack == 'none' and metric == 'error'").value
    assert table["test error, %"][2] == tables.Mean(pytest.approx(values.mean()), summaries.half_width(values.tolist()))


def test_diverged_replicas_are_counted():
    table = tables.errors(measurements(diverged=[("net", "inf", 0), ("net", "inf", 2)]))
    assert table.diverged.tolist() == ["", "", "", "2 (epoch 3)", "", "", "", ""]


def test_flagged_values_are_marked_and_listed():
    test = with_flags(measurements())
    table = tables.errors(test)
    assert all(cell.flagged for cell in table["error, %, hard Linf eps = 0.1"])
    assert not any(cell.flagged for cell in table["error, %, hard L2 eps = 0.5"])
    flags = tables.flags(test, measurements(n_train=80, part="validation"))
    assert set(flags.flag) == {"square-stronger"}
    assert set(flags["in"]) == {"hard Linf"}
    assert set(flags.seeds) == {"3 of 3"}


def test_flags_count_the_seeds_that_an_attack_was_run_on():
    test = with_flags(measurements())
    hard = (test.attack == "hard") & (test.seed > 0)
    flags = tables.flags(test[~hard], measurements(n_train=80, part="validation"))
    assert set(flags.seeds) == {"1 of 1"}


def test_without_a_flag_the_table_says_so():
    assert tables.flags(measurements(), measurements()).flag.tolist() == [tables.NO_FLAG]


def test_errors_in_the_literature_stand_below_with_their_source():
    table = tables.errors(measurements().assign(dataset="mnist"))
    assert table["test error, %"].map(str).tolist()[8:11] == ["0.94", "0.78", "0.84"]
    assert table.source.tolist()[:8] == [""] * 8
    assert table.source[8:].str.contains("Lyu et al. 2015, table").all()
    assert table.model[8] == "literature: maxout, dense, dropout, 60000 training images"  # the study has fewer
    as_many = tables.errors(measurements(n_train=60000).assign(dataset="mnist"))
    assert as_many.model[8] == "literature: maxout, dense, dropout"


def test_intervals_are_written_with_their_mean():
    assert tables.interval(1.234, 0.056) == "1.23 ± 0.06"
    assert tables.interval(1.234, float("nan")) == "1.23"
    assert tables.interval(float("nan"), float("nan")) == "–"
    assert str(tables.Mean(1.234, 0.056, better=True, flagged=True)) == "1.23 ± 0.06 * †"


MARKED = pd.DataFrame({"a, %": ["<x>"], "b": [tables.Mean(1, 2, better=True)]})


def test_a_page_has_captions_and_nothing_from_the_network():
    page = tables.to_html({"the caption": MARKED}, "title")
    assert "&lt;x&gt;" in page
    assert "<b>1.00 ± 2.00 *</b>" in page
    assert "<h2>the caption</h2>" in page
    assert "http" not in page


PIECES = [*"\\%_&#${}~^<>|±†–*`[]()!\"'ab01 ", "&amp;", "<b>", "[a](b)", "~a~"]
SPECIAL = st.lists(st.sampled_from(PIECES)).map("".join)
MEANING = {r"\textbackslash{}": "\\", r"\textasciitilde{}": "~", r"\textasciicircum{}": "^"}
MEANING |= {"\\" + special: special for special in "%_&#${}"}
MEANING |= {r"$\pm$": "±", r"$\dagger$": "†", "--": "–", "$<$": "<", "$>$": ">", "$|$": "|"}
ESCAPED = re.compile("|".join(map(re.escape, MEANING)))


@given(SPECIAL)
def test_latex_has_no_special_character_unescaped(text):
    latex = tables.to_latex({"": pd.DataFrame({text: [text]})})
    header, cell = (latex.splitlines()[i].removesuffix(r" \\") for i in (2, 4))
    assert header == cell
    assert ESCAPED.sub(lambda match: MEANING[match[0]], cell) == text
    assert not set(ESCAPED.sub("", cell)) & set(r"\%_&#${}~^<>|±†–")


def test_latex_is_bold_where_a_value_is_marked():
    latex = tables.to_latex({"": MARKED})
    assert latex.startswith("\\begin{tabular}{ll}\n\\toprule\na, \\% & b \\\\\n\\midrule\n")
    assert r"$<$x$>$ & \textbf{1.00 $\pm$ 2.00 *} \\" in latex
    assert latex.endswith("\\bottomrule\n\\end{tabular}\n")


def test_several_tables_for_latex_have_captions_and_a_note():
    one = tables.to_latex({"": MARKED})
    assert tables.to_latex({"100 %": MARKED}, "a: b_c.") == f"{one}\\par\\medskip\na: b\\_c.\n"
    parts = [f"{caption}\\par\\smallskip\n{one}" for caption in (r"100 \%", "x")]
    assert tables.to_latex({"100 %": MARKED, "x": MARKED}) == "\\par\\medskip\n".join(parts)


def rendered(markdown):
    """The cells of a table as HTML."""
    page = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(markdown)
    return re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", page)


@given(SPECIAL)
def test_markdown_shows_every_character(text):
    shown = html.escape(text.strip()).replace("&#x27;", "'")
    assert rendered(tables.to_markdown(pd.DataFrame({text: [text], "b": ["c"]}))) == [shown, "b", shown, "c"]


def test_markdown_is_bold_where_a_value_is_marked():
    cells = [tables.Mean(1, 2), tables.Mean(1, 2, better=True), tables.Mean(1, 2, better=True, flagged=True)]
    bold = ["<strong>1.00 ± 2.00 *</strong>", "<strong>1.00 ± 2.00 * †</strong>"]
    assert rendered(tables.to_markdown(pd.DataFrame({"a": cells}))) == ["a", "1.00 ± 2.00", *bold]


def outcomes(test, better):
    """Outcomes of 400 images, 20 % wrong; of those in ``better`` none."""
    generator = np.random.default_rng(0)
    made_up = {}
    for model, p, seed in itertools.product(("net", "other"), ("none", "1", "2", "inf"), range(5)):
        network = (model, Training(p))
        keys = [outcome(*error[:3]) for error in tables.measured(test)]
        wrong = generator.random((len(keys), 400)) < (0.0 if network in better else 0.2)
        made_up[*network, seed] = dict(zip(keys, wrong, strict=True))
    return made_up


def better(table):
    """The networks whose test error is marked."""
    return [row[:2] for row in table[["model", "training", "test error, %"]].itertuples(index=False) if row[2].better]


def test_only_what_differs_from_plain_after_holms_correction_is_bold():
    test = measurements(seeds=5)
    compared = tables.comparisons(test, outcomes(test, {("other", Training("2"))}))
    assert len(compared) == 2 * 3 * 3  # regularised networks times errors
    assert (compared.p_holm >= compared.p_value).all()
    table = tables.errors(test, compared)
    assert better(table) == [("other", Training("2"))]
    assert len([line for line in tables.to_markdown(table).splitlines() if "**" in line]) == 1


def test_a_page_has_a_table_for_each_attack_with_the_networks_that_it_was_run_on():
    test = measurements(seeds=5)
    test = pd.concat([test, with_flags(test[test.model == "net"])])
    parts = tables.by_attack(tables.errors(test), test)
    assert list(parts) == ["Not attacked", "Under attack: multi-step", "Under attack: hard"]
    first, usual, hard = parts.values()
    assert list(first)[:5] == ["model", "training", "setting", "test error, %", "confidence, %"]
    assert list(usual) == ["model", "training", "setting", "L2, eps = 0.5", "Linf, eps = 0.05"]
    assert set(usual.model) == {"net", "other"}
    assert set(hard.model) == {"net"}


def test_a_worse_network_is_not_marked_and_few_seeds_are_not_compared():
    test = measurements(seeds=5)
    plain_is_best = outcomes(test, {("net", PLAIN)})
    worse = tables.comparisons(test, plain_is_best)
    assert (worse[worse.model == "net"].p_holm < 0.05).all()
    assert better(tables.errors(test, worse)) == []
    few = {key: value for key, value in plain_is_best.items() if key[2] < significance.FEWEST - 1}
    compared = tables.comparisons(test, few)
    assert compared.empty
    assert better(tables.errors(test, compared)) == []
    assert rendered(tables.to_markdown(compared)) == list(compared)
    assert r"p\_holm \\" in tables.to_latex({"": compared})
