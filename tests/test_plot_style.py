"""What holds of all figures: looks, labels of axes, sizes, and that each can be drawn."""

import itertools
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from drawings import drawn, every_figure, overprinting, panels
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from matplotlib.text import Text
from synthetic import history, measurements, study, with_objectives

from gradreg.reporting.plots import common, errors, style, theory
from gradreg.reporting.summaries import PLAIN, Training
from gradreg.storage import metrics

pytestmark = pytest.mark.usefixtures("close_figures")


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


@pytest.mark.parametrize("value", [None, 0.0, 1.0, np.nan])
def test_every_figure_can_be_drawn_whatever_was_measured(template, tmp_path, value):
    """Also where nothing is learnt, every network diverges, no gradient is left.

    Each logarithmic axis has two labels at least, and colours of p are not those of attacks.
    """
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
    for name, figure in every_figure(tables, tmp_path):
        assert (tmp_path / f"{name}.png").stat().st_size > 0
        assert not overprinting(figure), name
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
    assert not overprinting(figure)
    assert min(len(style.shown(ax.yaxis)) for ax in axes[:, 0]) >= 2


GRIDS = {
    "1": ["0.5", "1", "12"],
    "1.3": ["1.25", "2.5", "5"],
    "2": ["0.2", "0.4", "8.75"],
    "4": ["0.1", "0.15", "0.2"],
    "inf": ["0.05", "8/255", "0.12"],
}
PLAIN_SETTINGS = [("plain", "none", "0"), ("plain-decay-1e-4", "none", "0")]


def settings_of(objectives, norms, joined):
    """Those of ``study``: objectives with all norms, and others with several together."""
    one = [(name, p, eps) for name in objectives for p in norms for eps in GRIDS[p]]
    strengths = ["+".join(eps) for eps in zip(*(GRIDS[p] for p in norms), strict=True)] if len(norms) > 1 else []
    return PLAIN_SETTINGS + one + [(name, "+".join(norms), eps) for name in joined for eps in strengths]


def grids_of(norms):
    union = {"+".join(norms): ["+".join(eps) for eps in zip(*(GRIDS[p] for p in norms), strict=True)]}
    return {p: GRIDS[p] for p in norms} | (union if len(norms) > 1 else {})


def check_figures(folder, width, models, norms, objectives, joined, seeds):
    """Every figure of such a study fits the width and the page, and no text is small or lies on another."""
    style.use(width)
    names = settings_of(objectives, norms, joined)
    for name, figure in every_figure(study(models, names, grids_of(norms), seeds), folder):
        assert figure.get_size_inches()[1] <= style.PAGE_HEIGHT + 0.01, name
        assert figure.get_tightbbox().width <= width + 0.01, name
        assert not overprinting(figure), name
        assert min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text()) >= 6, name
        assert all(legend.get_window_extent().width <= figure.bbox.width for legend in figure.legends), name
        plt.close(figure)


@pytest.mark.parametrize(
    ("width", "joined", "models", "norms"),
    [
        (style.TEXT_WIDTH, 3, ["maxout", "sigmoid-mlp"], ["1", "2", "inf"]),
        (style.COLUMN_WIDTH, 1, ["maxout", "sigmoid-mlp"], ["1", "2", "inf"]),
        (style.TEXT_WIDTH, 0, ["maxout"], list(GRIDS)),
        (style.COLUMN_WIDTH, 0, ["maxout"], list(GRIDS)),
    ],
)
def test_no_text_lies_on_another(tmp_path, width, joined, models, norms):
    several = ["worst-norm", "average-norm", "random-norm"][:joined]
    check_figures(tmp_path, width, models, norms, ["perturb"], several, 3)


@pytest.mark.faults
@settings(max_examples=5, phases=[Phase.generate])
@given(st.data())
def test_no_text_lies_on_another_whatever_the_study(tmp_path_factory, data):
    width = data.draw(st.sampled_from([style.TEXT_WIDTH, style.COLUMN_WIDTH]))
    models = data.draw(st.sampled_from([["net"], ["maxout", "sigmoid-mlp"], ["a", "preact-resnet-18", "c"]]))
    norms = [p for p in GRIDS if data.draw(st.booleans())] or ["inf"]
    names = ["perturb", "penalty-squared", "adversarial", "difference-central", "noise-uniform"]
    objectives = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=5, unique=True))
    joined = data.draw(st.lists(st.sampled_from(["worst-norm", "average-norm"]), max_size=2, unique=True))
    assume(not joined or len(norms) <= 3)  # legends of the probe name the eps of each norm
    rows = 5 if width == style.TEXT_WIDTH else 2  # more have no room for their labels on a page
    assume(len(models) * len([*objectives, *joined]) <= rows)
    seeds = data.draw(st.integers(1, 5))
    check_figures(tmp_path_factory.mktemp("drawn"), width, models, norms, objectives, joined, seeds)
