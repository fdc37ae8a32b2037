"""Figures on trust, theory and transfer, from metrics made up for the purpose."""

import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from test_analysis import history, made_up, panels

from gradreg.reporting import literature as published
from gradreg.reporting import plots, tables
from gradreg.reporting import significance as statistics
from gradreg.reporting.plots import images as pictures
from gradreg.reporting.plots import style
from gradreg.storage import metrics

pytestmark = pytest.mark.usefixtures("close_figures")


def with_rows(table, *rows):
    """The table with further measurements of each of its cells: (attack, p, eps, metric, value, flags)."""
    cells = table[[*metrics.CELL, "part"]].drop_duplicates()
    names = ["attack", "attack_p", "attack_eps", "metric", "value", "flags"]
    return pd.concat([table, *(cells.assign(**dict(zip(names, row, strict=True)), n=50) for row in rows)])


def legend(figure):
    return [text.get_text() for own in figure.legends for text in own.get_texts()]


def framed(ax):
    """The marks that stand for a flag."""
    return [line for line in ax.lines if line.get_markeredgecolor() == "#AA0000"]


def test_a_flagged_value_is_framed_in_figures_and_marked_in_tables():
    rows = [
        ("hard", p, eps, "error", 0.8, flag) for p, eps, flag in (("2", "0.5", ""), ("inf", "0.1", "square-stronger"))
    ]
    test = with_rows(made_up(), *rows)
    for figure in (plots.robust_error(test), plots.attack_strength(test)):
        assert any("flagged" in text for text in legend(figure))
        assert [bool(framed(ax)) for ax in panels(figure)] == [False, True] * 2
    table = tables.errors(test)
    assert table["error, %, hard Linf eps = 0.1"].str.endswith(tables.FLAG).all()
    assert not table["error, %, hard L2 eps = 0.5"].str.contains(tables.FLAG).any()
    found = tables.signs(test, made_up(n_train=80, part="validation"))
    assert set(found.sign) == {"square-stronger"}
    assert set(found["in"]) == {"hard Linf"}
    assert set(found.seeds) == {"3 of 3"}


def test_without_a_sign_the_table_says_so():
    clean = tables.signs(made_up(), made_up())
    assert clean.sign.tolist() == [tables.NO_SIGN]
    assert not any("flagged" in text for text in legend(plots.robust_error(made_up())))


def test_noise_curves_start_at_the_images_as_they_are():
    rows = [
        (kind, "", level, "error", value, "")
        for kind, level, value in (("gaussian", "0.1", 0.2), ("gaussian", "0.2", 0.4), ("uniform", "0.3", 0.3))
    ]
    test = with_rows(made_up(), *rows)
    figure = plots.noise(test)
    assert len(panels(figure)) == 4
    line = panels(figure)[0].lines[0]
    assert line.get_xdata().tolist() == [0, 0.1, 0.2]
    own = test[(test.model == "net") & (test.p == "none") & (test.attack == "none") & (test.metric == "error")]
    assert line.get_ydata() == pytest.approx([100 * own.value.mean(), 20, 40])
    assert len(panels(plots.robust_error(test))) == 4  # noise is no attack in a norm


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
    ax = panels(plots.linearisation(with_rows(made_up(), *rows)))[0]
    assert ax.lines[0].get_xdata() == pytest.approx([0.1, 0.5])
    assert ax.lines[0].get_ydata() == pytest.approx([0.2, 2.0])


def test_a_norm_in_which_one_model_is_not_attacked_is_left_out():
    rows = [("steepest", p, "0.1", metric, 0.2, "") for p in ("2", "inf") for metric in ("rise", "predicted_rise")]
    test = with_rows(made_up(), *rows)
    test = test[(test.model == "net") | (test.attack_p != "inf")]
    for figure in (plots.linearisation(test), plots.attack_strength(test), plots.robust_error(test)):
        assert len(panels(figure)) == 4
    hidden = [ax for ax in panels(plots.linearisation(test)) if not ax.get_visible()]
    assert len(hidden) == 1


def test_one_strength_is_drawn_as_a_mark():
    test = made_up()
    test = test[test.attack_eps.isin(["", "0.5", "0.1"])]
    marks = {line.get_marker() for ax in panels(plots.robust_error(test)) for line in ax.lines if len(line.get_xdata())}
    assert "" not in marks


def test_training_that_diverged_at_once_has_a_figure_too():
    lost = history(made_up()).assign(probe_error_1=np.nan, probe_error_5=np.nan)
    assert len(panels(plots.probe(lost, made_up()))) == 1


def assert_panels_fill(figure):
    """Two panels beside each other as wide as they can be: what lies outside of them has not pushed them together."""
    figure.canvas.draw()
    assert min(ax.get_position().width for ax in panels(figure)) > 0.35


def test_the_epoch_of_a_divergence_is_marked():
    whole = history(made_up())
    assert not any(
        line.get_marker() == "x"
        for ax in panels(plots.learning_curves(whole, made_up()))
        for line in ax.lines
        if len(line.get_xdata())
    )
    assert_panels_fill(plots.learning_curves(whole, made_up()))
    lost = whole.copy()
    own = (lost.p == "2") & (lost.seed == lost.seed.iloc[0]) & (lost.epoch >= 2)
    assert own.any()
    lost.loc[own, "loss"] = np.nan
    figure = plots.learning_curves(lost, made_up())
    marks = [line for line in panels(figure)[0].lines if line.get_marker() == "x" and len(line.get_xdata())]
    assert [set(line.get_xdata()) for line in marks] == [{2}]
    assert figure.legends[0].get_texts()[-1].get_text() == "a replica diverged"
    assert_panels_fill(figure)


def test_every_network_of_the_sweep_is_a_mark_against_its_gradient():
    validation = made_up(n_train=80, part="validation")
    figure = plots.error_and_gradient(validation)
    assert len(panels(figure)) == 6
    assert sum(len(line.get_xdata()) for line in panels(figure)[0].lines) == 4 * 3
    own = validation[(validation.model == "net") & (validation.attack == "none")]
    wide = own.pivot_table(index=["p", "seed"], columns="metric", values="value")
    rank = wide[["gradient_norm_1", "error"]].corr("spearman").iloc[0, 1]
    assert panels(figure)[0].get_title() == f"rank correlation {rank:.2f}"


def test_alignment_and_estimates():
    test = with_rows(made_up(), ("none", "", "", "alignment", 0.25, ""))
    figure = plots.alignment(test)
    assert len(panels(figure)) == 2
    assert all(line.get_xdata()[0] == pytest.approx(0.25) for ax in panels(figure) for line in ax.lines[:1])
    smooth = with_rows(
        made_up().query("model == 'net'"),
        *(
            (kind, p, eps, "estimated_error", 0.3, "")
            for kind, p in (("gradient_estimate", "2"), ("gradient_estimate", "inf"), ("curvature_estimate", "2"))
            for eps in ("0.05", "0.5")
        ),
    )
    both = pd.concat([smooth, made_up().query("model == 'other'")])
    figure = plots.estimates(both)
    assert len(panels(figure)) == 2  # of the smooth network only
    assert "estimate, gradient and curvature" in legend(figure)


def test_the_probe_has_a_line_for_one_and_for_five_steps():
    own = history(made_up(n_train=80, part="validation"))
    own = own.assign(
        probe_error_1=np.where(own.p == "none", np.nan, 0.2), probe_error_5=np.where(own.p == "none", np.nan, 0.6)
    )
    figure = plots.probe(own, made_up())
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
    figure = plots.transfer(table)
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
    matrix = plots.transfer_matrix(table)
    values = panels(matrix)[0].images[0].get_array()
    assert values.shape == (4, 4)
    assert (values == 50).all()  # even the same training differs in its seed


def test_one_network_and_one_seed_have_a_transfer_too():
    table = transfers()
    alone = table[(table.source_model == "net") & (table.target_model == "net") & (table.target_seed == 0)]
    assert len(panels(plots.transfer(alone.query("source_images == '100' and target_images == '100'")))) == 2


def test_published_errors_stand_beside_ours_with_their_source():
    found = published.anchors("mnist")
    assert {(a.p, a.eps, a.error) for a in found if a.p} == {("inf", "0.25", 89.4), ("inf", "0.25", 17.9)}
    assert all(a.source for a in found)
    assert published.anchors("digits") == []
    test = made_up().assign(dataset="mnist")
    table = tables.errors(test)
    assert table["test error, %"].tolist()[-3:] == ["0.94", "0.84", "0.45"]
    assert table.source.tolist()[:8] == [""] * 8
    assert table.source.str.contains("Goodfellow").sum() == 3
    assert "published, one step" in legend(plots.robust_error(test))
    stars = [line for ax in panels(plots.robust_error(test)) for line in ax.lines if line.get_marker() == "*"]
    assert (
        sorted((line.get_xdata()[0], line.get_ydata()[0]) for line in stars) == [(0.25, 17.9)] * 2 + [(0.25, 89.4)] * 2
    )


def outcomes(test, better):
    """Outcomes of 400 images, 20 % wrong; of those in ``better`` none."""
    generator = np.random.default_rng(0)
    found = {}
    for model, training in ((m, t) for m in ("net", "other") for t in ("plain", "p = 1", "p = 2", "p = inf")):
        for seed in range(5):
            wrong = generator.random((7, 400)) < (0.0 if (model, training) in better else 0.2)
            keys = [f"{a}|{p}|{e}" for a, p, e, _ in tables.measured(test)]
            found[model, training, seed] = dict(zip(keys, wrong, strict=False))
    return found


def test_only_what_differs_from_plain_after_holms_correction_is_bold():
    test = made_up(seeds=5)
    compared = tables.comparisons(test, outcomes(test, {("other", "p = 2")}))
    assert len(compared) == 2 * 3 * 3  # regularised networks times errors
    assert (compared.p_holm >= compared.p_value).all()
    table = tables.errors(test, compared)
    marked = table[table["test error, %"].str.contains(tables.BETTER, regex=False)]
    assert list(zip(marked.model, marked.training, strict=True)) == [("other", "p = 2")]
    assert len([line for line in tables.to_markdown(table).splitlines() if "**" in line]) == 1


def test_a_worse_network_is_no_winner_and_few_seeds_are_not_compared():
    test = made_up(seeds=5)
    own = outcomes(test, {("net", "plain")})
    worse = tables.comparisons(test, own)
    assert (worse[worse.model == "net"].p_holm < 0.05).all()
    assert not tables.errors(test, worse)["test error, %"].str.contains(tables.BETTER, regex=False).any()
    few = {key: value for key, value in own.items() if key[2] < statistics.FEWEST - 1}
    assert tables.comparisons(test, few).empty
    assert not tables.errors(test, tables.comparisons(test, few)).astype(str).map(lambda t: "*" in t).any(axis=None)


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
    gallery, dreams = pictures.gallery(paths, "net"), pictures.dreams(paths, "net")
    assert len(gallery.axes) == 2 * 2 * 3
    assert len(dreams.axes) == 2 * 4
    assert dreams.axes[1].get_title() == "class 0"
    assert gallery.get_size_inches()[0] <= style.TEXT_WIDTH
    assert len(plt.get_fignums()) == 2
