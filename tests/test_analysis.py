"""Choices, intervals, tables and figures, from metrics made up for the purpose."""

import math

import numpy as np
import pandas as pd
import pytest

from gradreg.reporting import plots, tables
from gradreg.reporting import summaries as analysis
from gradreg.reporting.plots import style
from gradreg.storage import metrics

pytestmark = pytest.mark.usefixtures("close_figures")


def made_up(n_train=100, part="test", seeds=3, diverged=()):
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


def test_the_least_mean_error_wins_and_the_first_of_equals():
    assert analysis.choose([[0.2, 0.4], [0.1, 0.3], [0.0, 0.5]]) == 1
    assert analysis.choose([[0.1, 0.3], [0.3, 0.1], [0.2, 0.2]]) == 0
    assert analysis.choose([[0.1 + 0.2], [0.3]]) == 0  # equal but for rounding
    for wrong in ([], [[0.1], []]):
        with pytest.raises(ValueError, match="cannot compete"):
            analysis.choose(wrong)


def test_the_half_width_is_students():
    # Student's quantile for two degrees of freedom is 4.302653; the standard error of 1, 2, 3 is 1 / sqrt(3).
    assert analysis.half_width([1, 2, 3]) == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert math.isnan(analysis.half_width([1]))


def test_trainings_are_named_and_ordered():
    table = analysis.with_training(made_up())
    assert analysis.training_order(table) == ["plain", "p = 1", "p = 2", "p = inf"]
    several = made_up().replace({"objective": {"perturb": "other"}})
    both = analysis.with_training(pd.concat([made_up(), several]))
    assert analysis.training_order(both)[:3] == ["plain", "other, p = 1", "other, p = 2"]


def test_the_table_has_a_row_per_network_with_intervals():
    table = tables.errors(made_up())
    assert table.training.tolist() == ["plain", "p = 1", "p = 2", "p = inf"] * 2
    assert table.setting.tolist()[:4] == ["plain", "eps = 2", "eps = 0.5", "eps = 8/255"]
    assert table["error, %, multi-step L2 eps = 0.5"].str.fullmatch(r"\d\d\.\d\d ± \d\.\d\d").all()
    assert (table.seeds == 3).all()
    assert "diverged" not in table
    values = 100 * made_up().query("model == 'net' and p == '2' and attack == 'none' and metric == 'error'").value
    expected = tables.interval(values.mean(), analysis.half_width(values.tolist()))
    assert table["test error, %"][2] == expected


def test_diverged_replicas_are_counted():
    table = tables.errors(made_up(diverged=[("net", "inf", 0), ("net", "inf", 2)]))
    assert table.diverged.tolist() == ["", "", "", "2 (epoch 3)", "", "", "", ""]


def test_formats_of_the_table():
    table = pd.DataFrame({"a, %": ["<x>"], "b": [f"1 ± 2{tables.BETTER}"]})
    assert tables.to_markdown(table) == "| a, % | b |\n| --- | --- |\n| <x> | **1 ± 2 *** |\n"
    page = tables.to_html({"what it is": table}, "title")
    assert "&lt;x&gt;" in page
    assert "<b>1 ± 2 *</b>" in page
    assert "what it is" in page
    latex = tables.to_latex(table)
    assert r"a, \% & b \\" in latex
    assert r"<x> & \textbf{1 $\pm$ 2 *} \\" in latex
    assert "http" not in page
    assert tables.interval(1.234, float("nan")) == "1.23"
    assert tables.interval(float("nan"), float("nan")) == "–"


def panels(figure):
    return [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]


@pytest.mark.parametrize("seeds", [1, 3])
def test_figures_have_a_panel_per_model_and_norm(seeds):
    test, validation = made_up(seeds=seeds), made_up(n_train=80, part="validation", seeds=seeds)
    for figure, count in (
        (plots.validation_error(validation, test), 6),
        (plots.robust_error(test), 4),
        (plots.norm_matrix(test), 2),
        (plots.learning_curves(history(validation), test), 4),
        (plots.gradient_norms(test), 2),
    ):
        assert len(panels(figure)) == count
        assert all(ax.has_data() for ax in panels(figure))
        assert figure.get_size_inches()[0] <= style.TEXT_WIDTH


def with_objectives(table, *names):
    """The table with further objectives beside perturb, those of the regularised cells at p = 2 and inf."""
    own = table[table.p.isin(["2", "inf"])]
    return pd.concat([table, *(own.assign(objective=name) for name in names)], ignore_index=True)


def test_several_objectives_stand_below_each_other():
    """A row per model and objective, one colour for one p throughout; a norm that an objective lacks is left out."""
    test = with_objectives(made_up(), "penalty", "noise")
    validation = with_objectives(made_up(n_train=80, part="validation"), "penalty", "noise")
    assert [name for name, _ in analysis.by_objective(test)][:3] == ["net\nperturb", "net\npenalty", "net\nnoise"]
    for figure, rows, columns in (
        (plots.validation_error(validation, test), 6, 3),
        (plots.robust_error(test), 6, 2),
        (plots.learning_curves(history(validation), test), 6, 2),
        (plots.gradient_norms(test), 3, 2),
    ):
        assert len(panels(figure)) == rows * columns
        assert figure.get_size_inches()[0] <= style.TEXT_WIDTH
        assert not [text for legend in figure.legends for text in legend.get_texts() if "penalty" in text.get_text()]
    hidden = [ax for ax in panels(plots.validation_error(validation, test)) if not ax.get_visible()]
    assert len(hidden) == 4  # p = 1 of penalty and noise, for two models


def test_objectives_are_compared_at_their_means():
    test = with_objectives(made_up(), "penalty")
    figure = plots.objectives(test)
    assert len(panels(figure)) == 2 * 3
    ax = panels(figure)[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["perturb", "penalty"]
    own = test[(test.model == "net") & (test.attack == "none") & (test.metric == "error")]
    plain = 100 * own[own.p == "none"].value.mean()
    assert ax.lines[0].get_xdata()[0] == pytest.approx(plain)
    marked = {round(x, 6) for line in ax.lines[1:] for x in np.atleast_1d(line.get_xdata())}
    assert round(100 * own[(own.objective == "penalty") & (own.p == "2")].value.mean(), 6) in marked
    assert figure.get_size_inches()[0] <= style.TEXT_WIDTH


def test_errors_against_training_images():
    sizes = (100, 300, 1000)
    test = pd.concat([made_up(n_train=n, seeds=2).query("model == 'net'") for n in sizes])
    test.loc[(test.p == "2") & (test.metric == "error") & (test.attack == "none"), "value"] *= 0.5
    figure = plots.sample_size(test)
    errors, shares = panels(figure)
    assert (errors.get_xscale(), errors.get_yscale()) == ("log", "log")
    plain = next(line for line in shares.lines if line.get_linestyle() == "--")
    assert plain.get_ydata() == pytest.approx([1, 1, 1])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["plain", "p = 1", "p = 2", "p = ∞"]
    clean = test[(test.attack == "none") & (test.metric == "error")].set_index(["n_train", "seed"])
    ratios = clean[clean.p == "2"].value / clean[clean.p == "none"].value  # seed by seed, then their mean
    expected = ratios.groupby("n_train").mean().to_numpy()
    lines = [np.asarray(line.get_ydata()) for line in shares.lines]
    assert any(len(line) == 3 and np.allclose(line, expected) for line in lines)


def test_the_matrix_shows_means_in_percent():
    test = made_up()
    figure = plots.norm_matrix(test)
    ax = panels(figure)[0]
    own = test[(test.model == "net") & (test.p == "2") & (test.attack == "multi_step") & (test.attack_eps == "0.5")]
    assert ax.images[0].get_array()[2, 0] == pytest.approx(100 * own.value.mean())
    assert [label.get_text() for label in ax.get_yticklabels()] == ["plain", "p = 1", "p = 2", "p = ∞"]


def test_diverged_replicas_are_marked_in_figures():
    figure = plots.robust_error(made_up(diverged=[("net", "inf", 0)]))
    assert any("diverged: 1 (epoch 3)" in text.get_text() for legend in figure.legends for text in legend.get_texts())


def test_a_series_keeps_its_look_and_plain_is_grey():
    looks = style.series(["plain", "p = 1", "p = 2"])
    assert looks["plain"] == style.BASELINE
    assert len({look["color"] for look in looks.values()}) == 3
    assert len({look["marker"] for look in looks.values()}) == 3


def test_the_same_figure_gives_the_same_file(tmp_path):
    for name in ("a", "b"):
        style.save(plots.gradient_norms(made_up()), tmp_path / f"{name}.svg", tmp_path / f"{name}.png")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.png").stat().st_size > 0
