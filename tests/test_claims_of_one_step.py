"""Sentences of the page of one step against the published files that they come from."""

import pytest
from published import PUBLISHED, check, errors, heading

from gradreg.storage import metrics

ONE_STEP = "one-step/tables/mnist-10000"


def one_step(*trainings, norm="test error"):
    """Means of the published table of one step, in percent; trainings as in its first column."""
    table = errors(ONE_STEP).set_index("training")
    column = "test error, %" if norm == "test error" else heading(table, "multi-step", norm)
    return [float(table.loc[training, column].split()[0]) for training in trainings]


def after_one_step(p):
    """The error after the one-step attack of 0.1 in Linf, whether or not images are classified correctly before it."""
    table = metrics.read(PUBLISHED / "one-step/metrics/test.csv")
    rows = table[(table.metric == "error_of_one_step") & (table.attack == "multi_step") & (table.attack_p == "inf")]
    rows = rows[(rows.objective == "perturb") & (rows.p == p)]
    assert rows.seed.is_unique
    return 100 * rows.value.mean()


def on_the_same_images(p):
    """Errors in Linf of the 20-step attack and of the strong one, on the images and seeds of the strong one."""
    table = metrics.read(PUBLISHED / "one-step/metrics/test.csv")
    rows = table[(table.attack == "targeted") & (table.attack_p == "inf") & (table.objective == "perturb")]
    rows = rows[rows.p == p]
    return [100 * rows[rows.metric == metric].value.mean() for metric in ("error_of_multi_step", "error")]


def by_seed(training, p):
    table = metrics.read(PUBLISHED / "one-step/metrics/test.csv")
    rows = table[(table.metric == "error") & (table.attack == "none") & (table.objective == training) & (table.p == p)]
    return [100 * bound(rows.value) for bound in (min, max)]


def collapsed():
    """How many final networks of one step from p = 4 on have the flag, and how many there are."""
    table = metrics.read(PUBLISHED / "one-step/metrics/test.csv")
    rows = table[(table.objective == "perturb") & table.p.isin(["4", "8", "16", "32", "64", "inf"])]
    networks = rows.assign(flag=rows["flags"].fillna("").str.contains("collapsed")).groupby(["p", "seed"]).flag.any()
    return [networks.sum(), len(networks)]


def participation(objective, p, epoch):
    table = metrics.read(PUBLISHED / "one-step/metrics/history.csv")
    rows = table[(table.objective == objective) & (table.p == p) & (table.epoch == epoch)]
    return rows.participation_ratio.mean()


LARGE = [f"perturb, p = {p}" for p in ("4", "8", "16", "32", "64", "inf")]
CLAIMS = {  # a sentence, its numbers in brackets: what they are in the published files
    r"p = 1\.25 and 1\.5 it is (\d\.\d) %, where plain training has (\d\.\d) %": lambda: [
        max(one_step("perturb, p = 1.25", "perturb, p = 1.5")),
        *one_step("plain"),
    ],
    r"At p = 2 it is (\d+) % \((\d+) to (\d+) % by seed\)": lambda: [
        *one_step("perturb, p = 2"),
        *by_seed("perturb", "2"),
    ],
    r"From p = 4 on it is (\d+) to (\d+) %": lambda: [min(one_step(*LARGE)), max(one_step(*LARGE))],
    r"misclassify (\d+) % of 200 test images\.\n.* misclassify (\d+) % of 10000, after 20 steps "
    r"(\d+) % of 500": lambda: [
        after_one_step("inf"),
        *one_step("perturb, p = inf"),
        *one_step("perturb, p = inf", norm="Linf"),
    ],
    r"(\d+) of (\d+) networks have the flag": collapsed,
    r"p = 32 .*\*\*: (\d+) ± 10 % test error, where p = inf has (\d+) ± 11 %": lambda: one_step(
        "perturb, p = 32", "perturb, p = inf"
    ),
    r"It leaves (\d+) % errors in L1, where five steps leave (\d+) %": lambda: one_step(
        "perturb, p = 1", "several, p = 1", norm="L1"
    ),
    r"the test errors (\d\.\d) and (\d\.\d) %, less than plain": lambda: one_step("clipped, p = 2", "clipped, p = inf"),
    r"step away \((\d+) % errors in L1\); the exact step in the box leaves (\d+) %": lambda: one_step(
        "clipped, p = 1", "exact, p = 1", norm="L1"
    ),
    r"rises slowly\*\*: test errors of (\d\.\d) and (\d\.\d) % at": lambda: one_step("slow, p = 2", "slow, p = inf"),
    r"At p = 1 it leaves (\d+) % errors in L1": lambda: one_step("slow, p = 1", norm="L1"),
    r"in Linf of p = 32 from (\d+) to (\d+) %": lambda: on_the_same_images("32"),
    r"random start .*\*\*: (\d+) and (\d+) % test error": lambda: one_step("start, p = 2", "start, p = inf"),
    r"leaves (\d+) % errors in L1, more than the exact step, but (\d+) % in any norm, where the exact step "
    r"leaves (\d+) %": lambda: [
        *one_step("euclidean, p = 1", norm="L1"),
        *one_step("euclidean, p = 1", "exact, p = 1", norm="any norm"),
    ],
    r"errors in any norm\*\*, (\d+) %; .* p = 2 leave (\d+) %": lambda: one_step(
        "perturb, p = 1.5", "several, p = 2", norm="any norm"
    ),
    r"epoch it is (0\.\d\d) .*\n.* to (0\.\d\d) to (0\.\d\d); at p = inf .* falls to "
    r"(0\.\d\d)\.\n.* p = 1 ends at (0\.\d\d) .* at (0\.\d\d)": lambda: [
        participation("plain", "none", 1),
        min(participation("perturb", p, 12) for p in ("4", "8", "16", "32", "64", "inf")),
        max(participation("perturb", p, 12) for p in ("4", "8", "16", "32", "64", "inf")),
        participation("exact", "inf", 12),
        participation("exact", "1", 12),
        participation("perturb", "2", 12),
    ],
}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim[:40])
def test_a_sentence_about_one_step_says_what_was_published(claim):
    check("docs/one-step.md", claim, CLAIMS[claim]())
