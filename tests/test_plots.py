"""Figures, from synthetic metrics."""

import importlib.util
import itertools
import json
import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from project import ROOT
from synthetic import history, measurements, with_flags, with_objectives, with_rows

from gradreg.planning.attacked import Criterion
from gradreg.reporting import selection
from gradreg.reporting.plots import common, errors, images, style, theory, transfer, trust
from gradreg.reporting.summaries import PLAIN, Training
from gradreg.storage import metrics

pytestmark = pytest.mark.usefixtures("close_figures")


def panels(figure):
    return [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]


def legend(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def y_names(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def drawn(figure):
    """The lines of all panels that are not empty."""
    return [line for ax in panels(figure) for line in ax.lines if len(line.get_xdata())]


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
    visible = [ax.get_visible() for ax in panels(errors.validation_error(validation, test))]
    assert visible.count(False) == 4  # p = 1 of penalty and noise, for two models


def test_many_objectives_fit_on_a_page_and_their_names_apart():
    names = [f"objective-{i}" for i in range(13)]
    test = with_objectives(measurements().query("model == 'net'"), *names)
    validation = with_objectives(measurements(n_train=80, part="validation").query("model == 'net'"), *names)
    for figure in (
        errors.validation_error(validation, test),
        errors.robust_error(test),
        errors.learning_curves(history(validation), test),
    ):
        assert figure.get_size_inches()[1] <= style.PAGE_HEIGHT
        figure.draw_without_rendering()
        labels = [ax.yaxis.label for ax in panels(figure) if ax.get_ylabel()]
        assert [label.get_text() for label in labels] == ["perturb", *names]
        boxes = [label.get_window_extent() for label in labels]
        assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


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


def test_a_series_keeps_its_look_and_plain_is_grey():
    looks = style.series([PLAIN, Training("1"), Training("2")])
    assert looks[PLAIN] == style.BASELINE
    assert len({look["color"] for look in looks.values()}) == 3
    assert len({look["marker"] for look in looks.values()}) == 3


def test_the_same_figure_gives_the_same_file(tmp_path):
    for name in ("a", "b"):
        style.save(theory.gradient_norms(measurements()), tmp_path / f"{name}.svg", tmp_path / f"{name}.png")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.png").stat().st_size > 0


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
    one, five = (np.where(table.p == "none", np.nan, error) for error in (0.2, 0.6))
    figure = trust.probe(table.assign(probe_error_1=one, probe_error_5=five), measurements())
    assert len(panels(figure)) == 2 * 3
    full, dotted = panels(figure)[0].lines
    assert full.get_ydata() == pytest.approx([60] * 3)
    assert dotted.get_ydata() == pytest.approx([20] * 3)
    assert panels(figure)[0].get_legend().get_texts()[0].get_text().endswith("(chosen)")


def transfers(*objectives):
    """Two networks, plain and p = 2, two seeds, and plain ones on the halves."""
    plain, *regularised = ("plain", "none", "0"), *((objective, "2", "0.5") for objective in objectives)
    settings = itertools.product(("net", "other"), (plain, *regularised), (0, 1))
    networks = [(model, *setting, "100", seed) for model, setting, seed in settings]
    networks += [("net", *plain, images, seed) for images in ("50", "50from50") for seed in (0, 1)]
    rows = []
    for source, target in itertools.product(networks, networks):
        for metric, value in (("error", 0.5), ("cosine", 0.3)) if source[-1] == 0 else ():
            value = 1.0 if source == target else value
            rows.append(("digits", 100, *source, *target, "2", "0.5", metric, value, 20))
    names = ("model", "objective", "p", "eps", "images", "seed")
    sides = [f"{side}_{name}" for side in ("source", "target") for name in names]
    return pd.DataFrame(rows, columns=["dataset", "n_train", *sides, "attack_p", "attack_eps", "metric", "value", "n"])


def test_transfer_says_what_differs_and_the_matrix_compares_seeds(tmp_path):
    metrics.write(tmp_path / "t.csv", transfers("perturb"))
    table = metrics.read(tmp_path / "t.csv")
    ax = panels(transfer.transfer(table))[0]
    assert y_names(ax) == [*transfer.PAIRS, "trained with p = 2"]
    marks = dict(zip(ax.lines[0].get_ydata().round().astype(int), ax.lines[0].get_xdata(), strict=False))
    assert marks[0] == 100
    assert marks[1] == marks[3] == marks[5] == 50
    ax = panels(transfer.transfer_matrix(table))[0]
    assert y_names(ax) == [f"{model}, {training}" for model in ("net", "other") for training in ("plain", "p = 2")]
    assert ax.images[0].get_array().shape == (4, 4)
    assert (ax.images[0].get_array() == 50).all()  # even the same training differs in its seed


def test_transfer_tells_objectives_apart():
    table = transfers("perturb", "noise")
    assert y_names(panels(transfer.transfer(table))[0])[-2:] == [
        f"trained with {o}, p = 2" for o in ("noise", "perturb")
    ]
    assert y_names(panels(transfer.transfer_matrix(table))[0])[:2] == ["net, plain", "net, noise, p = 2"]


def test_one_network_and_one_seed_have_a_transfer_too():
    table = transfers("perturb")
    alone = table[(table.source_model == "net") & (table.target_model == "net") & (table.target_seed == 0)]
    assert len(panels(transfer.transfer(alone.query("source_images == '100' and target_images == '100'")))) == 2


def test_errors_in_the_literature_are_stars():
    figure = errors.robust_error(measurements().assign(dataset="mnist"))
    assert "published, one step" in legend(figure)
    stars = [(*line.get_xdata(), *line.get_ydata()) for line in drawn(figure) if line.get_marker() == "*"]
    assert sorted(stars) == [(0.25, 17.9), (0.25, 89.4)]  # once, not in each row


def test_galleries_show_a_row_per_training(tmp_path):
    paths = []
    for model, p in itertools.product(("net", "other"), ("none", "2")):
        cell = {"model": model, "objective": "plain" if p == "none" else "perturb", "p": p, "eps": "0.5"}
        x = np.random.default_rng(0).random((2, 1, 4, 4)).astype("float32")
        arrays = {"x": x, "y": np.array([1, 2]), "answer": np.array([1, 2]), "confidence": np.ones(2)}
        arrays |= {"x_2": x, "answer_2": np.array([0, 2]), "confidence_2": np.ones(2), "dream_start": x[:1]}
        arrays |= {"dream": x[[0, 1, 0]], "dream_class": np.arange(3), "dream_confidence": np.ones(3)}
        paths.append(tmp_path / f"{model}-{p}.npz")
        about = np.array(json.dumps({"cell": cell, "eps": {"2": "0.5"}}))
        np.savez(paths[-1], about=about, dream_distance=np.ones(3), **arrays)
    gallery, dreams = images.gallery(paths, "net"), images.dreams(paths, "net")
    assert len(gallery.axes) == 2 * 2 * 3
    assert len(dreams.axes) == 2 * 4
    assert dreams.axes[1].get_title() == "class 0"
    assert dreams.axes[4].get_ylabel() == r"p = 2, $\epsilon$ = 0.5"
    assert gallery.get_size_inches()[0] <= style.TEXT_WIDTH
    assert len(plt.get_fignums()) == 2


@pytest.mark.parametrize("value", [None, 0.0, 1.0, np.nan])
def test_every_figure_can_be_drawn_whatever_was_measured(template, tmp_path, value):
    """Also where nothing is learnt, every network diverges, no gradient is left.

    Each logarithmic axis has two labels at least, and colours of p are not those of attacks.
    """
    location = ROOT / "workflow/scripts/plot_figures.py"
    script = importlib.util.module_from_spec(importlib.util.spec_from_file_location("plot_figures", location))
    script.__spec__.loader.exec_module(script)
    names = {"transfer": "transfer-digits-300"}
    tables = {}
    for name in ("test", "validation", "history", "transfer"):
        table = metrics.read(template.folder / f"results/tiny/metrics/{names.get(name, name)}.csv")
        table = table[table.dataset == "digits"]
        measured = [column for column in table.columns if re.search("value|loss|error", column)]
        changed = table if value is None else table.assign(**dict.fromkeys(measured, value))
        if (
            value is not None and np.isnan(value) and "metric" in table
        ):  # an error is a share of images, and always a number
            changed = changed.where(table.metric != "error", table.assign(value=1.0))
        tables[name] = changed
    for name, (function, needed) in script.FIGURES.items():
        figure = function(*(tables[table] for table in needed))
        style.save(figure, tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 0
        for ax in (ax for ax in panels(figure) if ax.get_visible()):
            few = [axis.axis_name for axis in (ax.xaxis, ax.yaxis) if len(style.labelled(axis)) < 2]
            assert not [axis for axis in few if getattr(ax, f"get_{axis}scale")() == "log"], name
        if name in ("attack_strength", "transfer"):
            assert {line.get_color() for line in drawn(figure)}.isdisjoint(set(style.COLOURS) - {"#000000"})


@pytest.mark.parametrize(("low", "high"), [(1.1, 1.3), (2.1, 4.9), (0.021, 0.019), (3, 300), (0.5, 1e6), (99, 101)])
def test_a_logarithmic_axis_has_labels_whatever_it_spans(tmp_path, low, high):
    figure, axes = common.grid(1, 1)
    axes[0, 0].plot([0, 1], [low, high])
    common.log_axis(axes[0, 0])
    style.save(figure, tmp_path / "a.png")
    assert len(style.labelled(axes[0, 0].yaxis)) >= 2


def test_a_network_that_was_not_trained_has_no_row():
    test = measurements()
    test = test[~((test.model == "other") & (test.p == "1"))]
    named = [names for ax in panels(trust.attack_strength(test)) if (names := y_names(ax))]
    assert named == [["plain", "p = 1", "p = 2", "p = ∞"], ["plain", "p = 2", "p = ∞"]]


def test_strengths_are_shades_of_their_norm():
    colours = [style.shade("#0072B2", i, 3) for i in range(3)]
    assert colours[-1].upper() == "#0072B2"
    assert len(set(colours)) == 3


def test_labels_of_a_low_logarithmic_axis_do_not_overlap(tmp_path):
    figure, axes = common.grid(14, 1, height=0.5)
    for ax in axes[:, 0]:
        ax.plot([0, 1], [2, 90])
        common.log_axis(ax)
    style.save(figure, tmp_path / "a.png")
    figure.draw_without_rendering()
    for ax in axes[:, 0]:
        labels = [label for label in ax.yaxis.get_ticklabels(which="both") if label.get_text()]
        boxes = [label.get_window_extent() for label in labels if label.get_visible()]
        shown = [box for box in boxes if ax.bbox.y0 - 1 <= (box.y0 + box.y1) / 2 <= ax.bbox.y1 + 1]
        assert len(shown) >= 2
        assert not any(a.overlaps(b) for a, b in itertools.combinations(shown, 2))
