"""Figures of errors, theory and trust, from synthetic metrics."""

import numpy as np
import pandas as pd
import pytest
from drawings import drawn, legend, panels, y_names
from synthetic import history, measurements, study, with_flags, with_objectives, with_rows

from gradreg.planning.attacked import Criterion
from gradreg.reporting import selection
from gradreg.reporting.plots import errors, style, theory, training_norm, trust

pytestmark = pytest.mark.usefixtures("close_figures")


@pytest.mark.parametrize("seeds", [1, 3])
def test_figures_have_a_panel_per_model_and_norm(seeds):
    test, validation = measurements(seeds=seeds), measurements(n_train=80, part="validation", seeds=seeds)
    for figure, count in (
        (errors.validation_error(validation, test), 6),
        (errors.robust_error(test), 4),
        (errors.norm_matrix(test), 2),
        (errors.learning_curves(history(validation), test), 4),
        (theory.gradient_norms(test), 2),
    ):
        assert len(panels(figure)) == count
        assert all(ax.has_data() for ax in panels(figure))
        assert figure.get_size_inches()[0] <= style.TEXT_WIDTH


def test_several_objectives_have_a_row_each():
    """A row per model and objective, one colour for one p throughout; a norm that an objective lacks is left out."""
    test = with_objectives(measurements(), "penalty", "noise")
    validation = with_objectives(measurements(n_train=80, part="validation"), "penalty", "noise")
    for figure, rows, columns in (
        (errors.validation_error(validation, test), 6, 3),
        (errors.robust_error(test), 6, 2),
        (errors.learning_curves(history(validation), test), 6, 2),
        (theory.gradient_norms(test), 3, 2),
    ):
        assert len(panels(figure)) == rows * columns
        assert figure.get_size_inches()[0] <= style.TEXT_WIDTH
        assert not any("penalty" in text for text in legend(figure))
    figure = errors.validation_error(validation, test)
    empty = [ax for ax in panels(figure) if not ax.has_data()]
    assert len(empty) == 4  # p = 1 of penalty and noise, for two models
    # Their rows are named left of the first column, like all others, so that the columns lie side by side.
    named = [ax for ax in panels(figure) if ax.get_ylabel()]
    assert named == panels(figure)[::3]
    assert not any(spine.get_visible() for ax in empty for spine in ax.spines.values())
    figure.draw_without_rendering()
    assert len({round(ax.get_position().width, 3) for ax in panels(figure)}) == 1


def test_objectives_are_compared_at_their_means():
    test = with_objectives(measurements(), "penalty")
    figure = errors.objectives(test)
    assert len(panels(figure)) == 2 * 3
    ax = panels(figure)[0]
    assert y_names(ax) == ["perturb", "penalty"]
    clean = test[(test.model == "net") & (test.attack == "none") & (test.metric == "error")]
    assert ax.lines[0].get_xdata()[0] == pytest.approx(100 * clean[clean.p == "none"].value.mean())
    marked = {round(x, 6) for line in ax.lines[1:] for x in np.atleast_1d(line.get_xdata())}
    assert round(100 * clean[(clean.objective == "penalty") & (clean.p == "2")].value.mean(), 6) in marked
    assert figure.get_size_inches()[0] <= style.TEXT_WIDTH


@pytest.mark.parametrize("norms", [2, 5, 10])
def test_the_marks_of_an_objective_stay_on_its_line(norms):
    names = ("1", "1.25", "1.5", "2", "4", "8", "16", "32", "64", "inf")[-norms:]
    settings = (("plain", "none", "0"), *(("perturb", p, "0.5") for p in names))
    figure = errors.objectives(with_objectives(measurements(settings=settings), "penalty"))
    for ax in panels(figure):
        marks = [y for line in ax.lines if line.get_marker() not in ("None", "|", "") for y in line.get_ydata()]
        assert len(marks) > norms
        assert max(abs(y - round(y)) for y in marks) < 0.401
        assert {round(y) for y in marks} == {0, 1}
        assert ax.get_ylim() == (1.5, -0.5)


def test_errors_against_training_images():
    test = pd.concat([measurements(n_train=n, seeds=2).query("model == 'net'") for n in (100, 300, 1000)])
    test.loc[(test.p == "2") & (test.metric == "error") & (test.attack == "none"), "value"] *= 0.5
    figure = errors.sample_size(test)
    left, shares = panels(figure)
    assert (left.get_xscale(), left.get_yscale()) == ("log", "log")
    plain = next(line for line in shares.lines if line.get_linestyle() == "--")
    assert plain.get_ydata() == pytest.approx([1, 1, 1])
    assert legend(figure) == ["plain", "p = 1", "p = 2", "p = ∞"]
    clean = test[(test.attack == "none") & (test.metric == "error")].set_index(["n_train", "seed"])
    ratios = clean[clean.p == "2"].value / clean[clean.p == "none"].value  # seed by seed, then their mean
    expected = ratios.groupby("n_train").mean().to_numpy()
    lines = [np.asarray(line.get_ydata()) for line in shares.lines]
    assert any(len(line) == 3 and np.allclose(line, expected) for line in lines)


def test_the_matrix_shows_means_in_percent():
    test = measurements()
    ax = panels(errors.norm_matrix(test))[0]
    cell = test[(test.model == "net") & (test.p == "2") & (test.attack == "multi_step") & (test.attack_eps == "0.5")]
    assert ax.images[0].get_array()[2, 0] == pytest.approx(100 * cell.value.mean())
    assert y_names(ax) == ["plain", "p = 1", "p = 2", "p = ∞"]


def test_diverged_replicas_are_marked_in_figures():
    figure = errors.robust_error(measurements(diverged=[("net", "inf", 0)]))
    assert any("diverged: 1 (epoch 3)" in text for text in legend(figure))


def test_a_flagged_value_is_framed():
    test = with_flags(measurements())
    for figure in (errors.robust_error(test), trust.attack_strength(test)):
        assert any("flagged" in text for text in legend(figure))
        framed = [any(line.get_markeredgecolor() == "#AA0000" for line in ax.lines) for ax in panels(figure)]
        assert framed == [False, True] * 2
    assert not any("flagged" in text for text in legend(errors.robust_error(measurements())))


def test_noise_curves_start_at_the_unperturbed_images():
    noisy = (("gaussian", "0.1", 0.2), ("gaussian", "0.2", 0.4), ("uniform", "0.3", 0.3))
    test = with_rows(measurements(), *((noise, "", size, "error", value, "") for noise, size, value in noisy))
    figure = errors.noise(test)
    assert len(panels(figure)) == 4
    line = panels(figure)[0].lines[0]
    assert line.get_xdata().tolist() == [0, 0.1, 0.2]
    clean = test[(test.model == "net") & (test.p == "none") & (test.attack == "none") & (test.metric == "error")]
    assert line.get_ydata() == pytest.approx([100 * clean.value.mean(), 20, 40])
    assert len(panels(errors.robust_error(test))) == 4  # noise is no attack in a norm


def test_linearisation_draws_the_rise_against_its_prediction():
    rises = (("0.1", "rise", 0.2), ("0.1", "predicted_rise", 0.1), ("0.5", "rise", 2), ("0.5", "predicted_rise", 0.5))
    rows = [("steepest", "2", eps, metric, value, "") for eps, metric, value in rises]
    ax = panels(theory.linearisation(with_rows(measurements(), *rows)))[0]
    assert ax.lines[0].get_xdata() == pytest.approx([0.1, 0.5])
    assert ax.lines[0].get_ydata() == pytest.approx([0.2, 2.0])


def test_a_norm_in_which_one_model_is_not_attacked_is_left_out():
    rows = [("steepest", p, "0.1", metric, 0.2, "") for p in ("2", "inf") for metric in ("rise", "predicted_rise")]
    test = with_rows(measurements(), *rows)
    test = test[(test.model == "net") | (test.attack_p != "inf")]
    for figure in (theory.linearisation(test), trust.attack_strength(test), errors.robust_error(test)):
        assert len(panels(figure)) == 4
    assert [ax.get_visible() for ax in panels(theory.linearisation(test))] == [True, True, True, False]


def test_the_union_has_a_panel_with_the_eps_of_each_norm():
    table = measurements()
    strengths = zip(("0.2", "0.5", "1"), ("0.05", "8/255", "0.1"), strict=True)
    rows = [("multi_step", "2+inf", "+".join(eps), "error", 0.8, "") for eps in strengths]
    test = with_rows(table, *rows)
    figure = errors.robust_error(test)
    assert len(panels(figure)) == 6
    title, ax = panels(figure)[2].get_title(), panels(figure)[5]
    assert title == "attack in any norm"
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0.2\n0.05", "0.5\n8/255", "1\n0.1"]
    assert ax.get_xlabel() == r"attack $\epsilon$ in $L_{2}$, $L_{∞}$"
    assert len(panels(errors.objectives(test))) == 2 * 4
    assert panels(errors.norm_matrix(test))[0].images[0].get_array().shape == (4, 3)


def test_the_error_that_settings_competed_by_is_drawn_for_several_norms_together_too():
    validation = measurements(n_train=80, part="validation")
    for old, new in ((validation.p, "p"), (validation.eps, "eps")):
        validation[new] = old.replace({"8/255": "0.5+8/255", "inf": "2+inf"})
    test = validation.assign(part="test", n_train=100)
    by = Criterion("multi_step", "2", "0.5")
    figure = errors.validation_error(validation, test, by)
    last = panels(figure)[2]
    assert last.get_title() == "training with p = 2+∞"
    assert [label.get_text() for label in last.get_xticklabels()] == ["0.5\n8/255"]
    rows = validation[(validation.model == "net") & (validation.p == "2+inf")]
    error = 100 * selection.errors(rows, by).value.mean()
    assert any(np.allclose(line.get_ydata(), error) for line in last.lines if len(line.get_xdata()) == 1)


def test_joined_strengths_stand_side_by_side_though_their_first_numbers_are_equal():
    settings = (("plain", "none", "0"), ("worst", "2+inf", "4+0.1"), ("worst", "2+inf", "4+0.2"))
    validation = measurements(80, "validation", models=("net",), settings=settings)
    is_worse = validation.eps == "4+0.1"
    validation.loc[is_worse, "value"] += 0.2
    figure = errors.validation_error(validation, measurements(models=("net",), settings=(settings[0], settings[2])))
    (ax,) = panels(figure)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["4\n0.1", "4\n0.2"]
    (ring,) = [line for line in ax.lines if line.get_markersize() == 9]
    chosen = validation[(validation.eps == "4+0.2") & (validation.attack == "none") & (validation.metric == "error")]
    assert (ring.get_xdata(), ring.get_ydata()) == (2, pytest.approx(100 * chosen.value.mean()))
    assert "logarithmic" not in ax.get_xlabel()


def test_one_strength_is_drawn_as_a_mark():
    test = measurements()
    figure = errors.robust_error(test[test.attack_eps.isin(["", "0.5", "0.1"])])
    assert "" not in {line.get_marker() for line in drawn(figure)}


def test_training_that_diverged_at_once_has_a_figure_too():
    lost = history(measurements()).assign(probe_error_1=np.nan, probe_error_5=np.nan)
    assert len(panels(trust.probe(lost, measurements()))) == 1


def assert_panels_fill(figure):
    """Two panels side by side are as wide as they can be: nothing outside has pushed them together."""
    figure.canvas.draw()
    assert min(ax.get_position().width for ax in panels(figure)) > 0.35


def test_the_epoch_of_a_divergence_is_marked():
    whole = history(measurements())
    figure = errors.learning_curves(whole, measurements())
    assert not any(line.get_marker() == "x" for line in drawn(figure))
    assert_panels_fill(figure)
    lost = whole.mask((whole.p == "2") & (whole.seed == 0) & (whole.epoch >= 2), whole.assign(loss=np.nan))
    figure = errors.learning_curves(lost, measurements())
    marks = [line for line in panels(figure)[0].lines if line.get_marker() == "x" and len(line.get_xdata())]
    assert [set(line.get_xdata()) for line in marks] == [{2}]
    assert legend(figure)[-1] == "a replica diverged"
    assert_panels_fill(figure)


def test_every_network_of_the_sweep_is_a_mark_against_its_gradient():
    validation = measurements(n_train=80, part="validation")
    figure = theory.error_and_gradient(validation)
    assert len(panels(figure)) == 6
    assert sum(len(line.get_xdata()) for line in panels(figure)[0].lines) == 4 * 3
    clean = validation[(validation.model == "net") & (validation.attack == "none")]
    wide = clean.pivot_table(index=["p", "seed"], columns="metric", values="value")
    rank = wide[["gradient_norm_1", "error"]].corr("spearman").iloc[0, 1]
    assert panels(figure)[0].get_title() == f"rank correlation {rank:.2f}"


def test_alignment_is_drawn_at_its_mean():
    figure = theory.alignment(with_rows(measurements(), ("none", "", "", "alignment", 0.25, "")))
    assert len(panels(figure)) == 2
    assert all(line.get_xdata()[0] == pytest.approx(0.25) for ax in panels(figure) for line in ax.lines[:1])


def test_estimates_are_those_of_the_smooth_network():
    estimates = (("gradient_estimate", "2"), ("gradient_estimate", "inf"), ("curvature_estimate", "2"))
    rows = [(name, p, eps, "estimated_error", 0.3, "") for name, p in estimates for eps in ("0.05", "0.5")]
    smooth = with_rows(measurements().query("model == 'net'"), *rows)
    figure = trust.estimates(pd.concat([smooth, measurements().query("model == 'other'")]))
    assert len(panels(figure)) == 2
    assert "estimate, gradient and curvature" in legend(figure)


def test_the_probe_has_a_line_for_one_and_for_five_steps():
    table = history(measurements(n_train=80, part="validation"))
    table = pd.concat([table, table[table.p != "none"].assign(eps="9")])
    one, five = (np.where(table.p == "none", np.nan, error) for error in (0.2, 0.6))
    figure = trust.probe(table.assign(probe_error_1=one, probe_error_5=five), measurements())
    assert len(panels(figure)) == 2 * 3
    full, dotted = panels(figure)[0].lines[:2]
    assert full.get_ydata() == pytest.approx([60] * 3)
    assert dotted.get_ydata() == pytest.approx([20] * 3)
    assert panels(figure)[0].get_legend().get_texts()[0].get_text().endswith("(chosen)")


def test_one_eps_of_the_probe_stands_in_the_title():
    """A legend would lie on the lines of a low panel."""
    table = history(measurements(n_train=80, part="validation"))
    table = table.assign(probe_error_5=np.where(table.p == "none", np.nan, 0.6), probe_error_1=0.2)
    for ax in panels(trust.probe(table, measurements())):
        assert ax.get_legend() is None
        assert "\\epsilon$ = " in ax.get_title()


def test_errors_in_the_literature_are_stars():
    figure = errors.robust_error(measurements().assign(dataset="mnist"))
    assert "literature (maxout, dense), one step" in legend(figure)  # networks of ours may be others
    stars = [(*line.get_xdata(), *line.get_ydata()) for line in drawn(figure) if line.get_marker() == "*"]
    assert sorted(stars) == [(0.25, 17.9), (0.25, 89.4)]  # once, not in each row


def test_a_network_that_was_not_trained_has_no_row():
    test = measurements()
    test = test[~((test.model == "other") & (test.p == "1"))]
    named = [names for ax in panels(trust.attack_strength(test)) if (names := y_names(ax))]
    assert named == [["plain", "p = 1", "p = 2", "p = ∞"], ["plain", "p = 2", "p = ∞"]]


def test_an_objective_in_many_norms_has_its_errors_over_them():
    norms = ["1", "1.25", "2", "8", "inf"]
    names = [("plain", "none", "0"), *(("perturb", p, "0.1") for p in norms), ("penalty", "2", "0.1")]
    tables = study(["net"], names, {"2": ["0.2", "0.4", "0.8"]})
    test = tables["test"]
    collapsed = (test.p == "8") & (test.attack != "none")
    test = test.assign(flags=test["flags"].mask(collapsed, "collapsed"))
    history = tables["history"]
    history = history.assign(participation_ratio=history.participation_ratio.mask(history.p == "1", 0.1))
    figure = training_norm.training_norm(history, test)
    over, ratios = panels(figure)  # the penalty, in one norm, has no row
    assert [label.get_text() for label in over.get_xticklabels()] == ["plain", "1", "1.25", "2", "8", "∞"]
    framed = [line for line in over.lines if line.get_marker() == "s" and line.get_markeredgecolor() == "#AA0000"]
    assert [list(line.get_xdata()) for line in framed] == [[4]]
    assert [line.get_ydata()[0] for line in ratios.lines] == pytest.approx([0.3, 0.1, 0.3, 0.3, 0.3, 0.3])
    assert legend(figure)[-1] == "p = ∞"
