"""Sentences of the page of one step against the published files that they come from."""

import pytest
from published import PUBLISHED, check, errors, heading

from gradreg.storage import metrics

LARGE = ("4", "8", "16", "32", "64", "inf")  # norms in which one step fails
TRAININGS = [f"perturb, p = {p}" for p in LARGE]


def one_step(*trainings, norm="test error"):
    """Means of the published table, in percent; trainings as in its first column."""
    table = errors("one-step/tables/mnist-10000").set_index("training")
    column = "test error, %" if norm == "test error" else heading(table, "multi-step", norm)
    return [float(table.loc[training, column].split()[0]) for training in trainings]


def measured(p, metric="error", attack="none", norm=""):
    """Values in percent of training with one step, one per seed."""
    table = metrics.read(PUBLISHED / "one-step/metrics/test.csv")
    rows = table[(table.objective == "perturb") & (table.p == p) & (table.metric == metric)]
    rows = rows[(rows.attack == attack) & (rows.attack_p == norm)]
    assert rows.seed.is_unique
    return 100 * rows.value


def collapsed():
    """How many final networks of one step in a large norm have the flag, and how many there are."""
    table = metrics.read(PUBLISHED / "one-step/metrics/test.csv")
    rows = table[(table.objective == "perturb") & table.p.isin(LARGE)]
    networks = rows.assign(flag=rows["flags"].fillna("").str.contains("collapsed")).groupby(["p", "seed"]).flag.any()
    return [networks.sum(), len(networks)]


def participation(objective, p, epoch=12):
    table = metrics.read(PUBLISHED / "one-step/metrics/history.csv")
    rows = table[(table.objective == objective) & (table.p == p) & (table.epoch == epoch)]
    return rows.participation_ratio.mean()


def equal_in_effect(*norms):
    """The eps by the page's rule, on the plain networks of the run, each norm as the q of its gradient's norm."""
    table = metrics.read(PUBLISHED / "one-step/metrics/test.csv")
    plain = table[table.p == "none"].groupby("metric").value.mean()
    return [0.1 * plain["gradient_norm_1"] / plain[f"gradient_norm_{q}"] for q in norms]


CLAIMS = {  # a sentence, its numbers in brackets: what they are in the published files
    r"the rule gives (\d+\.\d) in L1 and (\d\.\d\d) in L2": lambda: equal_in_effect("inf", "2"),
    r"p = 1\.25 and 1\.5 it is (\d\.\d) %, where plain training has (\d\.\d) %": lambda: [
        max(one_step("perturb, p = 1.25", "perturb, p = 1.5")),
        *one_step("plain"),
    ],
    r"At p = 2 it is (\d+) % \((\d+) to (\d+) % by seed\)": lambda: [
        *one_step("perturb, p = 2"),
        measured("2").min(),
        measured("2").max(),
    ],
    r"From p = 4 on it is (\d+) to (\d+) %": lambda: [min(one_step(*TRAININGS)), max(one_step(*TRAININGS))],
    r"misclassify (\d+) % of 200 test images\.\n.* misclassify (\d+) % of 10000, after 20 steps "
    r"(\d+) % of 500": lambda: [
        measured("inf", "error_of_one_step", "multi_step", "inf").mean(),
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
    r"rises slowly, .*\*\*: (\d\.\d) and (\d\.\d) % at": lambda: one_step("slow, p = 2", "slow, p = inf"),
    r"At p = 1 it leaves (\d+) % errors in L1": lambda: one_step("slow, p = 1", norm="L1"),
    r"in Linf of p = 32 from (\d+) to (\d+) %": lambda: [
        measured("32", metric, "targeted", "inf").mean() for metric in ("error_of_multi_step", "error")
    ],
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
        participation("plain", "none", epoch=1),
        min(participation("perturb", p) for p in LARGE),
        max(participation("perturb", p) for p in LARGE),
        participation("exact", "inf"),
        participation("exact", "1"),
        participation("perturb", "2"),
    ],
}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim[:40])
def test_a_sentence_about_one_step_says_what_was_published(claim):
    check("docs/one-step.md", claim, CLAIMS[claim]())
