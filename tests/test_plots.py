"""Figures, from synthetic metrics."""

import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from synthetic import history, measurements, with_flags, with_objectives, with_rows

from gradreg.reporting import summaries
from gradreg.reporting.plots import errors, images, style, theory, transfer, trust
from gradreg.reporting.summaries import PLAIN, Training
from gradreg.storage import metrics

pytestmark = pytest.mark.usefixtures("close_figures")


def panels(figure):
    return [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]


def legend(figure):
    return [text.get_text() for own in figure.legends for text in own.get_texts()]


def framed(ax):
    """The marks that stand for a flag."""
    return [line for line in ax.lines if line.get_markeredgecolor() == "#AA0000"]


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


def test_several_objectives_stand_below_each_other():
    """A row per model and objective, one colour for one p throughout; a norm that an objective lacks is left out."""
    test = with_objectives(measurements(), "penalty", "noise")
    validation = with_objectives(measurements(n_train=80, part="validation"), "penalty", "noise")
    assert [title for title, _ in summaries.by_objective(test)][:3] == [
        ["net", "perturb"],
        ["net", "penalty"],
        ["net", "noise"],
    ]
    for figure, rows, columns in (
        (errors.validation_error(validation, test), 6, 3),
        (errors.robust_error(test), 6, 2),
        (errors.learning_curves(history(validation), test), 6, 2),
        (theory.gradient_norms(test), 3, 2),
    ):
        assert len(panels(figure)) == rows * columns
        assert figure.get_size_inches()[0] <= style.TEXT_WIDTH
        assert not [text for legend in figure.legends for text in legend.get_texts() if "penalty" in text.get_text()]
    hidden = [ax for ax in panels(errors.validation_error(validation, test)) if not ax.get_visible()]
    assert len(hidden) == 4  # p = 1 of penalty and noise, for two models


def test_objectives_are_compared_at_their_means():
    test = with_objectives(measurements(), "penalty")
    figure = errors.objectives(test)
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
    test = pd.concat([measurements(n_train=n, seeds=2).query("model == 'net'") for n in sizes])
    test.loc[(test.p == "2") & (test.metric == "error") & (test.attack == "none"), "value"] *= 0.5
    figure = errors.sample_size(test)
    left, shares = panels(figure)
    assert (left.get_xscale(), left.get_yscale()) == ("log", "log")
    plain = next(line for line in shares.lines if line.get_linestyle() == "--")
    assert plain.get_ydata() == pytest.approx([1, 1, 1])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["plain", "p = 1", "p = 2", "p = ∞"]
    clean = test[(test.attack == "none") & (test.metric == "error")].set_index(["n_train", "seed"])
    ratios = clean[clean.p == "2"].value / clean[clean.p == "none"].value  # seed by seed, then their mean
    expected = ratios.groupby("n_train").mean().to_numpy()
    lines = [np.asarray(line.get_ydata()) for line in shares.lines]
    assert any(len(line) == 3 and np.allclose(line, expected) for line in lines)


def test_the_matrix_shows_means_in_percent():
    test = measurements()
    figure = errors.norm_matrix(test)
    ax = panels(figure)[0]
    own = test[(test.model == "net") & (test.p == "2") & (test.attack == "multi_step") & (test.attack_eps == "0.5")]
    assert ax.images[0].get_array()[2, 0] == pytest.approx(100 * own.value.mean())
    assert [label.get_text() for label in ax.get_yticklabels()] == ["plain", "p = 1", "p = 2", "p = ∞"]


def test_diverged_replicas_are_marked_in_figures():
    figure = errors.robust_error(measurements(diverged=[("net", "inf", 0)]))
    assert any("diverged: 1 (epoch 3)" in text.get_text() for legend in figure.legends for text in legend.get_texts())


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
        assert [bool(framed(ax)) for ax in panels(figure)] == [False, True] * 2
    assert not any("flagged" in text for text in legend(errors.robust_error(measurements())))


def test_noise_curves_start_at_the_images_as_they_are():
    rows = [
        (kind, "", level, "error", value, "")
        for kind, level, value in (("gaussian", "0.1", 0.2), ("gaussian", "0.2", 0.4), ("uniform", "0.3", 0.3))
    ]
    test = with_rows(measurements(), *rows)
    figure = errors.noise(test)
    assert len(panels(figure)) == 4
    line = panels(figure)[0].lines[0]
    assert line.get_xdata().tolist() == [0, 0.1, 0.2]
    own = test[(test.model == "net") & (test.p == "none") & (test.attack == "none") & (test.metric == "error")]
    assert line.get_ydata() == pytest.approx([100 * own.value.mean(), 20, 40])
    assert len(panels(errors.robust_error(test))) == 4  # noise is no attack in a norm


def test_linearisation_draws_what_rose_against_what_was_predicted():
    rows = [
        ("steepest", "2", eps, metric, value, "")
        for eps, metric, value in (
            ("0.1", "rise", 0.2),
            ("0.1", "predicted_rise", 0.1),
            ("0.5", "rise", 2.0),
            ("0.5", "predicted_rise", 0.5),
        )
    ]
    ax = panels(theory.linearisation(with_rows(measurements(), *rows)))[0]
    assert ax.lines[0].get_xdata() == pytest.approx([0.1, 0.5])
    assert ax.lines[0].get_ydata() == pytest.approx([0.2, 2.0])


def test_a_norm_in_which_one_model_is_not_attacked_is_left_out():
    rows = [("steepest", p, "0.1", metric, 0.2, "") for p in ("2", "inf") for metric in ("rise", "predicted_rise")]
    test = with_rows(measurements(), *rows)
    test = test[(test.model == "net") | (test.attack_p != "inf")]
    for figure in (theory.linearisation(test), trust.attack_strength(test), errors.robust_error(test)):
        assert len(panels(figure)) == 4
    hidden = [ax for ax in panels(theory.linearisation(test)) if not ax.get_visible()]
    assert len(hidden) == 1


def test_one_strength_is_drawn_as_a_mark():
    test = measurements()
    test = test[test.attack_eps.isin(["", "0.5", "0.1"])]
    marks = {
        line.get_marker() for ax in panels(errors.robust_error(test)) for line in ax.lines if len(line.get_xdata())
    }
    assert "" not in marks


def test_training_that_diverged_at_once_has_a_figure_too():
    lost = history(measurements()).assign(probe_error_1=np.nan, probe_error_5=np.nan)
    assert len(panels(trust.probe(lost, measurements()))) == 1


def assert_panels_fill(figure):
    """Two panels beside each other as wide as they can be: what lies outside of them has not pushed them together."""
    figure.canvas.draw()
    assert min(ax.get_position().width for ax in panels(figure)) > 0.35


def test_the_epoch_of_a_divergence_is_marked():
    whole = history(measurements())
    assert not any(
        line.get_marker() == "x"
        for ax in panels(errors.learning_curves(whole, measurements()))
        for line in ax.lines
        if len(line.get_xdata())
    )
    assert_panels_fill(errors.learning_curves(whole, measurements()))
    lost = whole.copy()
    own = (lost.p == "2") & (lost.seed == lost.seed.iloc[0]) & (lost.epoch >= 2)
    assert own.any()
    lost.loc[own, "loss"] = np.nan
    figure = errors.learning_curves(lost, measurements())
    marks = [line for line in panels(figure)[0].lines if line.get_marker() == "x" and len(line.get_xdata())]
    assert [set(line.get_xdata()) for line in marks] == [{2}]
    assert figure.legends[0].get_texts()[-1].get_text() == "a replica diverged"
    assert_panels_fill(figure)


def test_every_network_of_the_sweep_is_a_mark_against_its_gradient():
    validation = measurements(n_train=80, part="validation")
    figure = theory.error_and_gradient(validation)
    assert len(panels(figure)) == 6
    assert sum(len(line.get_xdata()) for line in panels(figure)[0].lines) == 4 * 3
    own = validation[(validation.model == "net") & (validation.attack == "none")]
    wide = own.pivot_table(index=["p", "seed"], columns="metric", values="value")
    rank = wide[["gradient_norm_1", "error"]].corr("spearman").iloc[0, 1]
    assert panels(figure)[0].get_title() == f"rank correlation {rank:.2f}"


def test_alignment_and_estimates():
    test = with_rows(measurements(), ("none", "", "", "alignment", 0.25, ""))
    figure = theory.alignment(test)
    assert len(panels(figure)) == 2
    assert all(line.get_xdata()[0] == pytest.approx(0.25) for ax in panels(figure) for line in ax.lines[:1])
    smooth = with_rows(
        measurements().query("model == 'net'"),
        *(
            (kind, p, eps, "estimated_error", 0.3, "")
            for kind, p in (("gradient_estimate", "2"), ("gradient_estimate", "inf"), ("curvature_estimate", "2"))
            for eps in ("0.05", "0.5")
        ),
    )
    both = pd.concat([smooth, measurements().query("model == 'other'")])
    figure = trust.estimates(both)
    assert len(panels(figure)) == 2  # of the smooth network only
    assert "estimate, gradient and curvature" in legend(figure)


def test_the_probe_has_a_line_for_one_and_for_five_steps():
    own = history(measurements(n_train=80, part="validation"))
    own = own.assign(
        probe_error_1=np.where(own.p == "none", np.nan, 0.2), probe_error_5=np.where(own.p == "none", np.nan, 0.6)
    )
    figure = trust.probe(own, measurements())
    assert len(panels(figure)) == 2 * 3
    full, dotted = panels(figure)[0].lines
    assert full.get_ydata() == pytest.approx([60] * 3)
    assert dotted.get_ydata() == pytest.approx([20] * 3)
    assert panels(figure)[0].get_legend().get_texts()[0].get_text().endswith("(chosen)")


def transfers():
    """Two networks, plain and p = 2, two seeds, and plain ones on the halves."""
    members = [
        (model, o, p, e, "100", seed)
        for model in ("net", "other")
        for o, p, e in (("plain", "none", "0"), ("perturb", "2", "0.5"))
        for seed in (0, 1)
    ]
    members += [("net", "plain", "none", "0", images, seed) for images in ("50", "50from50") for seed in (0, 1)]
    names = ("model", "objective", "p", "eps", "images", "seed")
    rows = []
    for source in (m for m in members if m[-1] == 0):
        for target in members:
            both = {
                f"{side}_{n}": v
                for side, m in (("source", source), ("target", target))
                for n, v in zip(names, m, strict=True)
            }
            for metric, value in (
                ("error", 1.0 if source == target else 0.5),
                ("cosine", 1.0 if source == target else 0.3),
            ):
                rows.append(
                    {
                        "dataset": "digits",
                        "n_train": 100,
                        **both,
                        "attack_p": "2",
                        "attack_eps": "0.5",
                        "metric": metric,
                        "value": value,
                        "n": 20,
                    }
                )
    return pd.DataFrame(rows)


def test_transfer_says_what_differs_and_the_matrix_compares_seeds(tmp_path):
    metrics.write(tmp_path / "t.csv", transfers())
    table = metrics.read(tmp_path / "t.csv")
    figure = transfer.transfer(table)
    first = panels(figure)[0]
    assert [label.get_text() for label in first.get_yticklabels()] == [
        "the network itself",
        "other seed",
        "other seed, same half of the data",
        "other seed, other half of the data",
        "other architecture",
        "trained with p = 2",
    ]
    marks = dict(zip(first.lines[0].get_ydata().round().astype(int), first.lines[0].get_xdata(), strict=False))
    assert marks[0] == 100
    assert marks[1] == marks[3] == marks[5] == 50
    matrix = transfer.transfer_matrix(table)
    values = panels(matrix)[0].images[0].get_array()
    assert values.shape == (4, 4)
    assert (values == 50).all()  # even the same training differs in its seed


def test_one_network_and_one_seed_have_a_transfer_too():
    table = transfers()
    alone = table[(table.source_model == "net") & (table.target_model == "net") & (table.target_seed == 0)]
    assert len(panels(transfer.transfer(alone.query("source_images == '100' and target_images == '100'")))) == 2


def test_errors_in_the_literature_are_stars():
    figure = errors.robust_error(measurements().assign(dataset="mnist"))
    assert "published, one step" in legend(figure)
    stars = [line for ax in panels(figure) for line in ax.lines if line.get_marker() == "*"]
    points = sorted((line.get_xdata()[0], line.get_ydata()[0]) for line in stars)
    assert points == [(0.25, 17.9)] * 2 + [(0.25, 89.4)] * 2


def test_pictures_show_a_row_per_training(tmp_path):
    paths = []
    for model in ("net", "other"):
        for objective, p, eps in (("plain", "none", "0"), ("perturb", "2", "0.5")):
            cell = {"model": model, "objective": objective, "p": p, "eps": eps}
            x = np.random.default_rng(0).random((2, 1, 4, 4)).astype("float32")
            arrays = {"x": x, "y": np.array([1, 2]), "answer": np.array([1, 2]), "confidence": np.ones(2)}
            arrays |= {"x_2": x, "answer_2": np.array([0, 2]), "confidence_2": np.ones(2)}
            arrays |= {"dream": x[[0, 1, 0]], "dream_class": np.arange(3), "dream_confidence": np.ones(3)}
            path = tmp_path / f"{model}-{p}.npz"
            about = np.array(json.dumps({"cell": cell, "eps": {"2": "0.5"}}))
            np.savez(path, about=about, dream_distance=np.ones(3), dream_start=x[:1], **arrays)
            paths.append(path)
    gallery, dreams = images.gallery(paths, "net"), images.dreams(paths, "net")
    assert len(gallery.axes) == 2 * 2 * 3
    assert len(dreams.axes) == 2 * 4
    assert dreams.axes[1].get_title() == "class 0"
    assert gallery.get_size_inches()[0] <= style.TEXT_WIDTH
    assert len(plt.get_fignums()) == 2
