"""Numbers on the page of reproduction against the published files that they come from."""

import pytest
from published import PUBLISHED, check, compared
from scipy import stats

from gradreg.reporting import summaries
from gradreg.storage import metrics


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


def gained(attack, level):
    """In percent, on the convolutional network: plain training and p = 2, their difference and its interval."""
    two, plain, *difference = against("paper-conv", "2", "none", model="conv-maxout", attack=attack, level=level)
    return [plain, two, *difference]


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
    ("docs/reproduction.md", r"with p = 2: (0\.\d\d) %, where plain training has (1\.\d\d) %"): lambda: percent(
        dense("error", model="sigmoid-mlp")[::-1]
    ),
    (
        "docs/reproduction.md",
        r"(1\.\d\d) to (0\.\d\d), difference (-0\.\d\d) \((-0\.\d\d) to (-0\.\d\d)\) \| level reproduced \|",
    ): (
        lambda: (
            percent(dense("error", model="sigmoid-mlp"))
            + [-gain(column, "sigmoid-mlp") for column in ("difference", "low", "high")]
        )
    ),
    ("docs/reproduction.md", r"alignment of gradient and image from (0\.\d\d) to (0\.\d\d)"): lambda: dense(
        "alignment"
    ),
    ("docs/reproduction.md", r"difference (-0\.\d\d) \((-0\.\d\d) to (-0\.\d\d)\) \| reproduced"): lambda: [
        -gain(column) for column in ("difference", "low", "high")
    ],
    (
        "docs/reproduction.md",
        r"(0\.\d\d) against (0\.\d\d), difference (-0\.\d\d) \((-0\.\d\d) to \+(0\.\d\d)\) over seeds",
    ): lambda: against("mnist", "2", "inf"),
    (
        "docs/reproduction.md",
        r"(0\.\d\d) against (0\.\d\d), difference \+(0\.\d\d) \((-0\.\d\d) to \+(0\.\d\d)\) over seeds",
    ): lambda: against("paper-dense", "2", "inf"),
    ("README.md", r"gained nothing in 20 epochs: (0\.\d\d) % plain, (0\.\d\d) % with p = 2"): lambda: gained(
        "none", ""
    )[:2],
    ("docs/reproduction.md", r"have nearly the same error: (0\.\d\d), (0\.\d\d) and (0\.\d\d) %"): lambda: percent(
        convolutional("error", norms=ALL)
    ),
    (
        "docs/reproduction.md",
        r"That of p = 2 is higher by (0\.\d\d) points \(95 % interval (-0\.\d\d) to (0\.\d\d), over seeds\)",
    ): lambda: gained("none", "")[2:],
    ("docs/reproduction.md", r"plain networks happen to have (64) errors each"): lambda: [
        10000 * error for error in set(of_seeds("paper-conv", "none", "conv-maxout"))
    ],
    (
        "docs/reproduction.md",
        r"Noise of 0\.1, clipped, raises plain training to (0\.\d\d) % and leaves p = 2 at (0\.\d\d) %; "
        r"the difference is (-0\.\d\d) points \((-0\.\d\d) to \+(0\.\d\d), over seeds\)",
    ): lambda: gained("gaussian", "0.1"),
    (
        "docs/reproduction.md",
        r"plain training has (\d+\.\d) % and p = 2 has (\d\.\d) %, "
        r"a difference of (-\d+\.\d) points \((-\d+\.\d) to (-\d\.\d), over seeds\)",
    ): lambda: gained("gaussian", "0.3"),
    ("docs/reproduction.md", r"Not clipped, they have (\d+\.\d) and (\d+\.\d) %"): lambda: gained(
        "gaussian_unclipped", "0.3"
    )[:2],
    (
        "docs/reproduction.md",
        r"plain training has an error of (\d+\.\d) %, p = 2 one of (\d+\.\d) % and p = inf one of (\d+\.\d) %\.",
    ): lambda: percent(convolutional("error", "multi_step", "1.5+0.15", norms=ALL)),
    (
        "docs/reproduction.md",
        r"(0\.\d\d) to (0\.\d\d), difference \+(0\.\d\d) \((-0\.\d\d) to \+(0\.\d\d)\) over seeds \| not reproduced in",
    ): lambda: gained("none", ""),
    (
        "docs/reproduction.md",
        r"convolutional 0\.39 against 0\.41 \| (0\.\d\d) against (0\.\d\d), "
        r"difference \+(0\.\d\d) \((-0\.\d\d) to \+(0\.\d\d)\) over seeds",
    ): lambda: against("paper-conv", "2", "inf", model="conv-maxout"),
    (
        "docs/reproduction.md",
        r"at 0\.1: (0\.\d\d) to (0\.\d\d); at 0\.3: (\d+\.\d) to (\d\.\d) \(clipped\), (\d+\.\d) to (\d+\.\d) \(not\)",
    ): lambda: [
        *gained("gaussian", "0.1")[:2],
        *gained("gaussian", "0.3")[:2],
        *gained("gaussian_unclipped", "0.3")[:2],
    ],
    (
        "docs/reproduction.md",
        r"weight decay 1e-5 was compared \((0\.\d\d) and (0\.\d\d)\), p = 2 with eps 0\.5 and 1 "
        r"\((0\.\d\d) and (0\.\d\d)\), and p = inf with eps 0\.04 and 0\.08 \((0\.\d\d) and (0\.\d\d)\)",
    ): lambda: [error for p in ALL for error in tried(p)],
    ("docs/reproduction.md", r"of gradient and image from .*; convolutional (0\.\d\d) to (0\.\d\d)"): (
        lambda: convolutional("alignment")
    ),
    (
        "docs/reproduction.md",
        r"at 0\.1: (\d\.\d\d) to (0\.\d\d); at 0\.3: (\d\.\d\d) to (\d\.\d\d) \(not clipped\)",
    ): lambda: [100 * value for level in ("0.1", "0.3") for value in dense("error", "gaussian_unclipped", level)],
}


@pytest.mark.filterwarnings("ignore:Precision loss")  # seeds that agree are what was measured
@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim[1][:40])
def test_a_sentence_says_what_was_published(claim):
    page, sentence = claim
    check(page, sentence, CLAIMS[claim]())
