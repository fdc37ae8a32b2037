"""Numbers in README and docs against the published files that they come from."""

import re

import pandas as pd
import pytest
from markdown_it import MarkdownIt
from project import ROOT
from published import PUBLISHED, check, compared, errors, heading

from gradreg.storage import metrics


def objective(name, p, attack="none", norm="", eps=""):
    """The mean error in percent over seeds of an objective of the published comparison; "plain" for the baseline."""
    table = metrics.read(PUBLISHED / "objectives/metrics/test.csv")
    rows = table[(table.metric == "error") & (table.attack == attack) & (table.attack_p == norm)]
    rows = rows[rows.attack_eps == eps]
    return 100 * rows[(rows.p == p) if name == "plain" else (rows.objective == name) & (rows.p == p)].value.mean()


PLAIN = ("plain", "none")
STEPS = [
    (name, p) for name in ("perturb", "perturb-half", "perturb-start", "adversarial", "alignment") for p in ("2", "inf")
]
STEPS += [("perturb-through", "2")]
NOISE = [(name, p) for name in ("noise-gaussian", "noise-uniform") for p in ("2", "inf")]
IN_L2, IN_LINF = ("multi_step", "2", "1.5"), ("multi_step", "inf", "0.2")


def off(names):
    """How much of plain's test error objectives take off, in percent."""
    return [100 * (1 - objective(*name) / objective(*PLAIN)) for name in names]


def transferred(p, **target):
    """Errors in percent of networks of the published experiment on images perturbed for a plain one of seed 0."""
    table = metrics.read(PUBLISHED / "mnist/metrics/transfer-mnist-60000.csv")
    rows = table[
        (table.metric == "error") & (table.attack_p == p) & (table.source_p == "none") & (table.source_seed == 0)
    ]
    for column, value in target.items():
        rows = rows[rows[column].isin(value) if isinstance(value, list) else rows[column] == value]
    return 100 * rows.value


OTHER_SEED = {"target_seed": 1, "source_images": "60000", "target_images": "60000"}
HALVES = {"same": ("30000", "30000"), "other": ("30000", "30000from30000")}


def halves(p, which):
    source, target = HALVES[which]
    return transferred(p, target_p="none", target_seed=1, source_images=source, target_images=target).mean()


def on_mnist(p, attack="none", norm="", eps="", metric="error"):
    """The mean error in percent over seeds of the published experiment on MNIST."""
    table = metrics.read(PUBLISHED / "mnist/metrics/test.csv")
    rows = table[(table.p == p) & (table.attack == attack) & (table.attack_p == norm) & (table.metric == metric)]
    return 100 * (rows[rows.attack_eps == eps] if eps else rows).value.mean()


def missed(p, norm):
    """How many points more the strong attack finds than 20 steps on the same images, on MNIST."""
    return on_mnist(p, "apgd", norm) - on_mnist(p, "apgd", norm, metric="error_of_multi_step")


IN_L1 = [("2", "1"), ("inf", "1")]
ELSEWHERE = [(p, norm) for p in ("none", "1", "2", "inf") for norm in ("1", "2", "inf") if (p, norm) not in IN_L1]


def share(size, name, p):
    """The test error of an objective at a number of training images as a share of plain's with the same seed."""
    table = metrics.read(PUBLISHED / "small-samples/metrics/test.csv")
    rows = table[(table.metric == "error") & (table.attack == "none") & (table.n_train == size)].set_index("seed")
    return (rows[(rows.objective == name) & (rows.p == p)].value / rows[rows.p == "none"].value).mean()


def small_in_any_norm(training):
    """The error under the ten-step attack in any norm at each number of training images, to whole percents."""
    values = []
    for size in (100, 1000, 10000, 60000):
        table = errors(f"small-samples/tables/mnist-{size}").set_index("training")
        values.append(round(float(table.loc[training, heading(table, "multi-step", "any norm")].split()[0])))
    return values


def digits_in_any_norm():
    """The least and the greatest gain on plain, in points, and a bound of all P after Holm's correction."""
    table = pd.read_csv(PUBLISHED / "quickstart/tables/digits-1297/comparison.csv")
    table = table[table.measured.str.contains("any norm")]
    assert len(table) == 5
    assert table.p_holm.max() < 0.01
    return [bound(-table.difference) for bound in (min, max)] + [0.01]


def mean_in(study, name, p, column):
    """A mean of a published table: of the test error, or of the error in a norm under the attack towards each class."""
    table = errors(study).set_index("training")
    key = "test error, %" if column == "test error" else heading(table, "targeted", column)
    return float(table.loc[f"{name}, p = {p}" if p else name, key].split()[0])


def in_norms(name, p, column="any norm"):
    return mean_in("norms/tables/mnist-40000", name, p, column)


def rival(name, p, column="test error"):
    return mean_in("rivals/tables/mnist-60000", name, p, column)


TOGETHER = [(name, "1+2+inf") for name in ("worst", "average", "drawn")]


def held_out(eps):
    """The held-out error in any norm of training with the step in the union."""
    table = metrics.read(PUBLISHED / "norms/metrics/validation.csv")
    rows = table[(table.metric == "error") & (table.attack == "multi_step") & (table.attack_p == "1+2+inf")]
    return 100 * rows[(rows.objective == "worst") & (rows.eps == eps) & (rows.attack_eps == "8+1.4+0.1")].value.mean()


def held_out_rival(name, p):
    """The least held-out error of a rival of one step, in percent."""
    table = metrics.read(PUBLISHED / "rivals/metrics/validation.csv")
    rows = table[(table.metric == "error") & (table.attack == "none")]
    return 100 * rows[(rows.objective == name) & (rows.p == p)].value.min()


def least_held_out(p):
    """That of one step, which is the least of all."""
    rivals = {name: held_out_rival(name, p) for name in ("perturb", "virtual", "trades", "sam")}
    assert min(rivals, key=rivals.get) == "perturb"
    return rivals["perturb"]


BOTH = ("2", "inf")
OTHERS = [(name, p) for name in ("virtual", "trades", "sam") for p in BOTH]
CLAIMS = {  # page and sentence, its numbers in brackets: what they are in the published files
    ("README.md", r"1, 2 and inf make (\d+) to (\d+) % fewer errors than plain training"): lambda: [
        bound(100 * (1 - on_mnist(p) / on_mnist("none")) for p in ("1", "2", "inf")) for bound in (min, max)
    ],
    (
        "docs/results.md",
        r"breaks (\d\.\d) points more .* \(P < 0.001\); under the 20-step attack, p = inf seems to gain (\d\.\d)",
    ): lambda: [
        on_mnist("inf", "apgd", "1") - on_mnist("none", "apgd", "1"),
        on_mnist("none", "multi_step", "1", "12") - on_mnist("inf", "multi_step", "1", "12"),
    ],
    (
        "docs/results.md",
        r"breaks (\d+) % of the images for plain training and for p = 1, (\d+) % for p = inf and (\d+) % for p = 2",
    ): lambda: [on_mnist(p, "apgd", "1+2+inf") for p in ("1", "inf", "2")],
    (
        "docs/results.md",
        r"seeds: (\d+) points fewer for p = 2 and (\d+) for p = inf in L1, "
        r"and (\d+) to (\d+) otherwise in a single norm",
    ): lambda: [
        *(missed(*where) for where in IN_L1),
        *(bound(missed(*where) for where in ELSEWHERE) for bound in (min, max)),
    ],
    ("docs/results.md", r"Holm's correction for the (\d+) comparisons of the study"): lambda: [
        len(pd.read_csv(PUBLISHED / "quickstart/tables/digits-1297/comparison.csv"))
    ],
    (
        "docs/results.md",
        r"has (\d+) to (\d+) points fewer errors than plain training under the 20-step attack \(P < (0\.01)\)",
    ): lambda: [*digits_in_any_norm()],
    ("docs/results.md", r"Holm's correction for all (\d+) comparisons of the experiment"): lambda: [
        len(pd.read_csv(PUBLISHED / "mnist/tables/mnist-60000/comparison.csv"))
    ],
    (
        "docs/results.md",
        r"A plain network with another seed misclassifies (\d+) % of .* in L1, (\d+) % in L2 and (\d+) % in Linf",
    ): lambda: [transferred(p, target_p="none", **OTHER_SEED).mean() for p in ("1", "2", "inf")],
    (
        "docs/results.md",
        r"Networks trained with p = 2 or p = inf misclassify (\d+) to (\d+) % of them in L2 and Linf",
    ): lambda: [
        bound(pd.concat([transferred(p, target_p=["2", "inf"], **OTHER_SEED) for p in ("2", "inf")]))
        for bound in (min, max)
    ],
    ("docs/results.md", r"the network trained with p = 1 misclassifies (\d+) % in L2 and (\d+) % in Linf"): lambda: [
        transferred(p, target_p="1", **OTHER_SEED).mean() for p in ("2", "inf")
    ],
    (
        "docs/results.md",
        r"halves: (\d+) % against (\d+) % in L2, (\d+) % against (\d+) % in Linf, (\d+) % against (\d+) % in L1",
    ): lambda: [halves(p, which) for p in ("2", "inf", "1") for which in ("same", "other")],
    (
        "docs/results.md",
        r"no test error differs from that of plain training after the correction; the least P is (0\.\d\d)",
    ): lambda: [compared("quickstart/tables/digits-1297").p_holm.min()],
    (
        "docs/norms.md",
        r"in any norm, (\d+\.\d\d) %, but gains nothing in test error: (\d\.\d\d) %, where .* has (\d\.\d\d) %",
    ): lambda: [in_norms("perturb", "2"), in_norms("perturb", "2", "test error"), in_norms("plain", "", "test error")],
    (
        "docs/norms.md",
        r"have (\d+\.\d\d) to (\d+\.\d\d) % in any norm, and test errors of (\d\.\d\d) to (\d\.\d\d) %",
    ): lambda: [
        bound(in_norms(*name, column) for name in TOGETHER)
        for column in ("any norm", "test error")
        for bound in (min, max)
    ],
    ("docs/norms.md", r"on held-out images from (\d+\.\d) to (\d+\.\d) and (\d+\.\d) %"): lambda: [
        held_out(eps) for eps in ("4+0.7+0.05", "8+1.4+0.1", "12+2.1+0.15")
    ],
    ("docs/norms.md", r"in L1 or Linf alone leaves (\d+) to (\d+) % in any norm"): lambda: [
        in_norms("perturb", p) for p in ("inf", "1")
    ],
    ("docs/objectives.md", r"It is (\d\.\d\d) to (\d\.\d\d) %, against (\d\.\d\d) % for plain, at both p"): lambda: [
        *(bound(objective(*name) for name in STEPS) for bound in (min, max)),
        objective(*PLAIN),
    ],
    (
        "docs/objectives.md",
        r"the penalty reaches (\d\.\d\d) %, and the L2 attack breaks (\d+) % of the images, against (\d+) % after",
    ): lambda: [objective("penalty", "2"), objective("penalty", "2", *IN_L2), objective("perturb", "2", *IN_L2)],
    ("docs/objectives.md", r"No rival has a lower mean test error than one step, (\d\.\d\d) to (\d\.\d\d) %"): lambda: [
        least for least in sorted(rival("perturb", p) for p in BOTH) if least < min(rival(*name) for name in OTHERS)
    ],
    ("docs/objectives.md", r"one step had the least error at either p as well, (\d\.\d\d) and (\d\.\d\d) %"): lambda: [
        least_held_out(p) for p in BOTH
    ],
    (
        "docs/objectives.md",
        r"L2 attack (\d+) to (\d+) % errors remain of plain's (\d+) %, where .* images leave (\d+\.\d) to (\d+\.\d) %",
    ): lambda: [
        *sorted(rival("sam", p, "L2") for p in BOTH),
        rival("plain", "", "L2"),
        *(bound(rival(*name, "L2") for name in [("perturb", "2"), *OTHERS[:4]]) for bound in (min, max)),
    ],
    ("docs/objectives.md", r"takes at most (\d+) % off plain's error, where steps take (\d+) to (\d+) % off"): lambda: [
        max(off(NOISE)),
        min(off(STEPS)),
        max(off([*STEPS, ("perturb-sudden", "2"), ("perturb-sudden", "inf")])),
    ],
    ("docs/objectives.md", r"Under the L2 attack, (\d+) to (\d+) % errors remain of plain's (\d+) %"): lambda: [
        *(bound(objective(*name, *IN_L2) for name in NOISE) for bound in (min, max)),
        objective(*PLAIN, *IN_L2),
    ],
    ("docs/objectives.md", r"more robust in L2 \((\d+\.\d) ± 0\.8 % against (\d+\.\d) ± 4\.0 %\)"): lambda: [
        objective(name, "2", *IN_L2) for name in ("adversarial", "perturb")
    ],
    (
        "docs/objectives.md",
        r"At p = inf its test error, (\d\.\d\d) %, .*: (\d+) % errors at eps = 0\.2, where `perturb` has (\d+) %",
    ): lambda: [
        objective("curvature", "inf"),
        *(objective(name, "inf", *IN_LINF) for name in ("curvature", "perturb")),
    ],
    ("docs/objectives.md", r"`difference-squared` at p = 2 ended at (\d+) %"): lambda: [
        objective("difference-squared", "2")
    ],
    (
        "docs/objectives.md",
        r"leads to errors on (\d+), (\d+), (\d+) and (\d+) % of 500 test images after plain training, and on "
        r"(\d+), (\d+), (\d+) and (\d+) % after training with p = 2",
    ): lambda: small_in_any_norm("plain") + small_in_any_norm("perturb, p = 2"),
    ("docs/objectives.md", r"p = 2 nearly halves plain's error \(to (0\.\d\d) of it\)"): lambda: [
        share(1000, "perturb", "2")
    ],
    ("README.md", r"in L2 at eps 1\.5, p = 2 takes the error from (\d+) to (\d+) %"): lambda: [
        on_mnist(p, "apgd", "2") for p in ("none", "2")
    ],
    ("docs/reproduction.md", r"another seed misclassifies (\d+), (\d+) and (\d+) %"): lambda: [
        transferred(p, target_p="none", **OTHER_SEED).mean() for p in ("1", "2", "inf")
    ],
}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim[1][:40])
def test_a_sentence_says_what_was_published(claim):
    page, sentence = claim
    check(page, sentence, CLAIMS[claim]())


@pytest.mark.parametrize(
    "file", [*PUBLISHED.rglob("*.md"), ROOT / "README.md", *(ROOT / "docs").glob("*.md")], ids=lambda file: file.name
)
def test_what_is_meant_bold_is_bold(file):
    """Read by a Markdown parser, no asterisks are left at the edges of a cell."""
    page = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(file.read_text())
    cells = [re.sub(r"<code>.*?</code>", "", text) for text in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", page)]
    assert [text for text in cells if "**" in text] == []
    if file.is_relative_to(PUBLISHED) and file.name == "errors.md":
        assert all(text.startswith("<strong>") for text in cells if text.rstrip("† ").endswith(" *</strong>"))
        assert [text for text in cells if " *" in text and "<strong>" not in text] == []
