"""Numbers on the page of reproduction against the published files that they come from."""

import numpy as np
import pytest
from published import PUBLISHED, check, compared, table_of
from scipy import stats

from gradreg.reporting import summaries
from gradreg.storage import metrics

HALF = ("paper-cifar10-half", "conv-maxout-half")


def of_seeds(study, p, model="maxout", metric="error", attack="none", level=""):
    """A measurement on test images by seed, as a share of 1, after training with p."""
    table = metrics.read(PUBLISHED / study / "metrics/test.csv")
    rows = table[(table.model == model) & (table.p == p) & (table.metric == metric)]
    return rows[(rows.attack == attack) & (rows.attack_eps == level)].value


def against(study, one, other, **measured):
    """In percent: test errors of two norms of training, their difference and its 95 % interval over seeds (Welch)."""
    left, right = (100 * of_seeds(study, p, **measured) for p in (one, other))
    interval = stats.ttest_ind(left, right, equal_var=False).confidence_interval()
    return [left.mean(), right.mean(), left.mean() - right.mean(), interval.low, interval.high]


def gained(study, model, metric="error", attack="none", level=""):
    """In percent: plain training and p = 2, their difference and its interval."""
    two, plain, *difference = against(study, "2", "none", model=model, metric=metric, attack=attack, level=level)
    return [plain, two, *difference]


def lowered(study, model, **measured):
    """By how much p = 2 lowers what was measured, in percent, and the interval."""
    _, _, difference, low, high = gained(study, model, **measured)
    return [-difference, -high, -low]


def under_noise(level, clipped=True, study="paper-conv", model="conv-maxout"):
    return gained(study, model, attack="gaussian" if clipped else "gaussian_unclipped", level=level)


def aligned(study, model):
    """How much greater the alignment is with p = 2, and the interval."""
    return [share / 100 for share in gained(study, model, metric="alignment")[2:]]


def raised(level):
    """By how many points noise, not clipped, raises the errors of the dense maxout network."""
    return percent(np.subtract(dense("error", "gaussian_unclipped", level), dense("error")))


def taken_off():
    """In percent: the share of plain's error that p = 2 takes off, and its interval (Welch, of logarithms)."""
    two, plain = (np.log(of_seeds(HALF[0], p, HALF[1])) for p in ("2", "none"))
    interval = stats.ttest_ind(two, plain, equal_var=False).confidence_interval()
    return [100 * (1 - np.exp(value)) for value in (two.mean() - plain.mean(), interval.high, interval.low)]


def dense(metric, attack="none", level="", model="maxout", norms=("none", "2")):
    """Means over seeds of the dense networks, by norm of training."""
    return [of_seeds("paper-dense", p, model, metric, attack, level).mean() for p in norms]


def convolutional(metric, attack="none", level="", norms=("none", "2")):
    """The same of the convolutional network."""
    return [of_seeds("paper-conv", p, "conv-maxout", metric, attack, level).mean() for p in norms]


def percent(shares):
    return [100 * share for share in shares]


def gain(column, model="maxout", training="p = 2"):
    table = compared("paper-dense/tables/mnist-60000")
    return -table[(table.model == model) & (table.training == training)][column].item()


def tried(p):
    """Held-out errors in percent of the settings of the convolutional network that competed."""
    table = metrics.read(PUBLISHED / "paper-conv/metrics/validation.csv")
    rows = table[(table.attack == "none") & (table.metric == "error") & (table.p == p)]
    return list(100 * rows.value)


ALL = ("none", "2", "inf")
CLAIMS = {  # page and sentence, its numbers in brackets: what they are in the published files
    (
        "docs/reproduction.md",
        r"the maxout network is lower by (0\.\d\d) points \(95 % interval (0\.\d\d) to (0\.\d\d), P = (0\.\d+), "
        r".* or (\d+) %",
    ): lambda: [gain("difference"), gain("high"), gain("low"), -gain("p_holm"), gain("difference") / dense("error")[0]],
    (
        "docs/reproduction.md",
        r"clipped, plain training has an error of (\d+) % at 0.3, not clipped one of (\d\.\d\d) %",
    ): lambda: [100 * dense("error", kind, "0.3")[0] for kind in ("gaussian", "gaussian_unclipped")],
    (
        "docs/reproduction.md",
        r"plain training has an error of (\d+\.\d) %, p = 1 one of (\d+\.\d) %, p = 2 one of (\d+\.\d) % and p = inf "
        r"one of (\d+\.\d) %",
    ): lambda: percent(dense("error", "multi_step", "12+1.5+0.15", norms=("none", "1", "2", "inf"))),
    (
        "docs/reproduction.md",
        r"has (0\.\d\d) ± (0\.\d\d) % at eps = 2: (0\.\d\d) points below plain "
        r"\((0\.\d\d) to (0\.\d\d), P = (0\.\d+)\), and (0\.\d\d) above p = 2 \((0\.\d\d) to (0\.\d\d), over seeds\)",
    ): lambda: [
        against("paper-dense", "1", "2")[0],
        summaries.half_width(list(100 * of_seeds("paper-dense", "1"))),
        *(gain(column, training="p = 1") for column in ("difference", "high", "low")),
        -gain("p_holm", training="p = 1"),
        *against("paper-dense", "1", "2")[2:],
    ],
    ("docs/reproduction.md", r"(0\.\d\d) % with p = 2, and (1\.\d\d) % with plain training"): lambda: percent(
        dense("error", model="sigmoid-mlp")[::-1]
    ),
    (
        "docs/reproduction.md",
        r"(1\.\d\d) to (0\.\d\d), difference (-0\.\d\d) \((-0\.\d\d) to (-0\.\d\d)\) \| reproduced at the paper",
    ): (
        lambda: (
            percent(dense("error", model="sigmoid-mlp"))
            + [-gain(column, "sigmoid-mlp") for column in ("difference", "low", "high")]
        )
    ),
    ("docs/reproduction.md", r"difference (-0\.\d\d) \((-0\.\d\d) to (-0\.\d\d)\) \| reproduced"): lambda: [
        -gain(column) for column in ("difference", "low", "high")
    ],
    (
        "docs/reproduction.md",
        r"(0\.\d\d) against (0\.\d\d), difference (-0\.\d\d) \((-0\.\d\d) to \+(0\.\d\d)\) \| not decided",
    ): lambda: against("mnist", "2", "inf"),
    (
        "docs/reproduction.md",
        r"(0\.\d\d) against (0\.\d\d), difference \+(0\.\d\d) \((-0\.\d\d) to \+(0\.\d\d)\), eps 0\.04 and alpha 0",
    ): lambda: against("paper-dense", "2", "inf"),
    ("README.md", r"gained nothing in 20 epochs: (0\.\d\d) % plain, (0\.\d\d) % with p = 2"): lambda: gained(
        "paper-conv", "conv-maxout"
    )[:2],
    ("docs/reproduction.md", r"have nearly the same error: (0\.\d\d), (0\.\d\d) and (0\.\d\d) %"): lambda: percent(
        convolutional("error", norms=ALL)
    ),
    (
        "docs/reproduction.md",
        r"That of p = 2 is higher by (0\.\d\d) points \(95 % interval (-0\.\d\d) to (0\.\d\d), over seeds\)",
    ): lambda: gained("paper-conv", "conv-maxout")[2:],
    ("docs/reproduction.md", r"plain networks happen to have (64) errors each"): lambda: [
        10000 * error for error in set(of_seeds("paper-conv", "none", "conv-maxout"))
    ],
    (
        "docs/reproduction.md",
        r"Noise of 0\.1, clipped, raises plain training to (0\.\d\d) % and leaves p = 2 at (0\.\d\d) %; "
        r"the difference is (-0\.\d\d) points \((-0\.\d\d) to \+(0\.\d\d), over seeds\)",
    ): lambda: under_noise("0.1"),
    (
        "docs/reproduction.md",
        r"plain training has (\d+\.\d) % and p = 2 has (\d\.\d) %, "
        r"a difference of (-\d+\.\d) points \((-\d+\.\d) to (-\d\.\d), over seeds\)",
    ): lambda: under_noise("0.3"),
    ("docs/reproduction.md", r"Not clipped, they have (\d+\.\d) and (\d+\.\d) %"): lambda: under_noise(
        "0.3", clipped=False
    )[:2],
    (
        "docs/reproduction.md",
        r"plain training has an error of (\d+\.\d) %, p = 2 one of (\d+\.\d) % and p = inf one of (\d+\.\d) %\.",
    ): lambda: percent(convolutional("error", "multi_step", "1.5+0.15", norms=ALL)),
    (
        "docs/reproduction.md",
        r"(0\.\d\d) to (0\.\d\d), difference \+(0\.\d\d) \((-0\.\d\d) to \+(0\.\d\d)\) \| not reproduced in",
    ): lambda: gained("paper-conv", "conv-maxout"),
    (
        "docs/reproduction.md",
        r"convolutional 0\.39 against 0\.41, the latter with eps 0\.1 \| (0\.\d\d) against (0\.\d\d), "
        r"difference \+(0\.\d\d) \((-0\.\d\d) to \+(0\.\d\d)\), eps 0\.04",
    ): lambda: against("paper-conv", "2", "inf", model="conv-maxout"),
    (
        "docs/tried.md",
        r"without and with weight decay 1e-5 \((0\.\d\d) and (0\.\d\d)\), p = 2 with eps 0\.5 and 1 "
        r"\((0\.\d\d) and (0\.\d\d)\), and p = inf with eps 0\.04 and 0\.08 \((0\.\d\d) and (0\.\d\d)\)",
    ): lambda: [error for p in ALL for error in tried(p)],
    (
        "docs/reproduction.md",
        r"of gradient and image up by (0\.\d\d) \((0\.\d\d) to (0\.\d\d)\) for the dense and "
        r"(0\.\d\d) \((0\.\d\d) to (0\.\d\d)\) for the convolutional maxout network, as with p = inf; "
        r"down by (0\.\d\d\d) \((0\.\d\d\d) to (0\.\d\d\d)\) for the sigmoid network",
    ): lambda: [
        *aligned("paper-dense", "maxout"),
        *aligned("paper-conv", "conv-maxout"),
        *(share / 100 for share in lowered("paper-dense", "sigmoid-mlp", metric="alignment")),
    ],
    **{
        (
            "docs/reproduction.md",
            rf"dense, at {level}: .* \| not clipped, (\d\.\d\d) to (\d\.\d\d), "
            r"difference (-\d\.\d\d) \((-\d\.\d\d) to (-\d\.\d\d)\)",
        ): lambda level=level: under_noise(level, clipped=False, study="paper-dense", model="maxout")
        for level in ("0.1", "0.3")
    },
    (
        "docs/reproduction.md",
        r"convolutional, at 0\.1: .* \| not clipped, (0\.\d\d) to (0\.\d\d), "
        r"difference (-0\.\d\d) \((-0\.\d\d) to \+(0\.\d\d)\); clipped, (-0\.\d\d) \((-0\.\d\d) to \+(0\.\d\d)\)",
    ): lambda: [*under_noise("0.1", clipped=False), *under_noise("0.1")[2:]],
    (
        "docs/reproduction.md",
        r"convolutional, at 0\.3: .* \| not clipped, (\d+\.\d) to (\d+\.\d), "
        r"difference (-\d\.\d) \((-\d\.\d) to \+(\d\.\d)\); clipped, (-\d+\.\d) \((-\d+\.\d) to (-\d\.\d)\)",
    ): lambda: [*under_noise("0.3", clipped=False), *under_noise("0.3")[2:]],
    (
        "docs/reproduction.md",
        r"Noise of 0\.3, not clipped, raises the error of plain training by (1\.\d\d) points "
        r"and that of p = 2 by (0\.\d\d)",
    ): lambda: raised("0.3"),
    ("README.md", r"with half the paper's filters: (\d+\.\d\d) % plain, (\d+\.\d\d) % with p = 2"): lambda: gained(
        *HALF
    )[:2],
    (
        "docs/reproduction.md",
        r"half the filters: (\d+\.\d\d) to (\d+\.\d\d), difference (-0\.\d\d) \((-1\.\d\d) to \+(0\.\d\d)\)",
    ): lambda: gained(*HALF),
    (
        "docs/reproduction.md",
        r"lower by (0\.\d\d) points \(95 % interval (-0\.\d\d) to (1\.\d\d), over seeds\), "
        r"or (\d\.\d) % \((-0\.\d) to (\d\.\d) %\)",
    ): lambda: lowered(*HALF) + taken_off(),
    (
        "docs/reproduction.md",
        r"Under noise of 0\.05 the error is lower by (\d\.\d) points \((\d\.\d) to (\d\.\d)\)",
    ): lambda: lowered(*HALF, attack="gaussian", level="0.05"),
    ("docs/reproduction.md", r"in L2 at eps 0\.25 by (\d+\.\d) points \((\d+\.\d) to (\d+\.\d)\)"): lambda: lowered(
        *HALF, attack="multi_step", level="0.25"
    ),
}


@pytest.mark.filterwarnings("ignore:Precision loss")  # seeds that agree are what was measured
@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim[1][:40])
def test_a_sentence_says_what_was_published(claim):
    page, sentence = claim
    check(page, sentence, CLAIMS[claim]())


def test_the_table_of_the_network_with_half_the_filters():
    measured = [
        {},
        {"attack": "gaussian", "level": "0.05"},
        *({"attack": "multi_step", "level": e} for e in ("0.25", "1/255")),
    ]
    rows = table_of("docs/reproduction.md", "half the filters, 40000 images")
    for row, p in zip(rows, ("none", "2"), strict=True):
        errors = [100 * of_seeds(HALF[0], p, HALF[1], **one) for one in measured]
        assert row[1:] == [f"{one.mean():.2f} ± {summaries.half_width(list(one)):.2f}" for one in errors]


def test_the_selection_of_the_network_with_half_the_filters():
    table = metrics.read(PUBLISHED / HALF[0] / "metrics/validation.csv")
    table = table[(table.attack == "none") & (table.metric == "error") & (table.n_train == 24000)]
    errors = [f"{100 * value:.1f}" for p in ("none", "2") for value in table[table.p == p].value]
    rows = table_of("docs/tried.md", "training | steps")
    assert [row[-1] for row in rows[-4:]] == errors
