"""Tables and sentences of docs/performance.md against the published measurements of speed."""

import json
import re
import statistics

import pytest
from project import ROOT
from published import table_of

from bench.common import shown
from gradreg.reporting.summaries import half_width

PAGE = "docs/performance.md"
MEASURED = json.loads((ROOT / "results/published/bench/cpu.json").read_text())
INTEL = json.loads((ROOT / "results/published/bench/cpu-intel.json").read_text())
NETWORKS = ["dense maxout", "sigmoid", "convolutional maxout", "residual"]
ATTACKED = ["L1", "L2", "Linf"]


def cost(network, name, p="2", measured=MEASURED):
    """The cost of a step, or None: an objective, and behind a comma its precision and whether it is compiled."""
    objective, *how = re.split(r", (?=bfloat16|float32)", name)
    key = f"{objective}, p = {p}, {how[0] if how else 'float32'}"
    return measured["steps"][network]["costs"].get(key)


def step(network, name):
    entry = cost(network, name)
    if entry is None:
        return "–"
    bound = "" if entry["bound"] is None or entry["objective"] != name else f" [{entry['bound']:.2f}]"
    return shown(entry["cost"]) + bound


def test_costs_of_steps():
    first, shares, *rows = table_of(PAGE, "objective")
    assert first[1:] == [shown(MEASURED["steps"][name]["plain step, ms"], 1) for name in NETWORKS]
    assert shares[1:] == [f"{MEASURED['steps'][name]['share']:.2f}" for name in NETWORKS]
    assert len(rows) == 17
    assert rows == [[name, *(step(network, name) for network in NETWORKS)] for name, *_ in rows]


def test_least_costs_of_steps():
    names = ("perturb", "perturb, mixed", "difference", "difference, central")
    bounds = [f"{cost('dense maxout', name)['bound']:.2f}" for name in names]
    assert [row[-1] for row in table_of(PAGE, "step")] == ["1", *bounds]


def test_blocks():
    replicas = MEASURED["blocks"]["replicas"]
    expected = [
        [count, shown(times["block, s"], 1), shown(times["apart, s"], 1), shown(times["ratio"])]
        for count, times in replicas.items()
    ]
    assert table_of(PAGE, "replicas") == expected


def test_other_implementations():
    columns = {"whole job, s": 1, "images/s": 0, "throughput against the toolbox": 2, "test error, %": 2}
    ways = MEASURED["peers"]["ways"]
    rows = {name: [shown(way[key], digits) for key, digits in columns.items()] for name, way in ways.items()}
    assert {name: row for name, *row in table_of(PAGE, "trained by")} == rows


def test_dry_runs():
    dry = MEASURED["dag"]["dry runs"]
    assert table_of(PAGE, "dry run of") == [[f"{n} networks in blocks of 5", shown(times)] for n, times in dry.items()]


def test_attacks():
    names = ["one_step", "multi_step", "targeted", "random", "apgd_ce", "apgd_t", "fab_t", "square"]
    expected = []
    for name in names:
        entries = [MEASURED["attacks"][f"{name}, {norm}"] for norm in ATTACKED]
        cells = [(shown(entry["images/s"], 0), f"{100 * entry['error']:.0f}") for entry in entries]
        expected.append([name.replace("_", "-"), *(text for pair in cells for text in pair)])
    assert table_of(PAGE, "attack") == expected


def differences(way):
    """The mean difference of test errors from those of float32 with the same seeds, and its half-width."""
    errors = MEASURED["precision"]["errors"]
    each = [a - b for a, b in zip(errors[way], errors["float32"], strict=True)]
    return [statistics.mean(each), half_width(each)]


def throughput(way):
    return MEASURED["peers"]["ways"][way]["throughput against the toolbox"]["median"]


def medians(network, *names, p="2", measured=MEASURED):
    return [cost(network, name, p, measured)["cost"]["median"] for name in names]


MEAN = r"(\d\.\d\d) ± (\d\.\d\d)"
SENTENCES = {  # its numbers in brackets: what they are in the published files
    rf"by -{MEAN} points \(bfloat16\), -{MEAN} \(compiled\) and -{MEAN} \(both\)": lambda: [
        abs(number) for way in ("bfloat16", "float32, compiled", "bfloat16, compiled") for number in differences(way)
    ],
    r"the 95 % interval over seeds is ± (\d\.\d\d)": lambda: [half_width(MEASURED["precision"]["errors"]["float32"])],
    r"gradreg is (\d\.\d) times as fast as the toolbox; with .* (\d\.\d) times, and with both (\d\.\d) times": lambda: [
        throughput(f"gradreg, {way}") for way in ("float32, compiled", "bfloat16", "bfloat16, compiled")
    ],
    r"the penalty on the residual network, which is (\d+) % above it, and its square, which is (\d+) %": lambda: [
        100 * (entry["cost"]["median"] / entry["bound"] - 1)
        for entry in (cost("residual", "penalty"), cost("residual", "penalty, squared"))
    ],
    r"takes (\d\.\d\d) .* for perturb and (\d\.\d\d) .* for the mixed loss": lambda: medians(
        "dense maxout", "perturb", "perturb, mixed", p="inf"
    ),
    r"noise costs (\d\.\d\d), and a random start (\d\.\d\d) against a bound of (\d\.\d\d)": lambda: [
        *medians("dense maxout, 100 units", "noise", "perturb, random start"),
        cost("dense maxout, 100 units", "perturb, random start")["bound"],
    ],
    r"took (\d\.\d) ms, perturb (\d\.\d\d) of it, the mixed loss (\d\.\d\d) and the penalty (\d\.\d\d),": lambda: [
        INTEL["steps"]["dense maxout"]["plain step, ms"]["median"],
        *medians("dense maxout", "perturb", "perturb, mixed", "penalty", measured=INTEL),
    ],
    r"A block of 5 spends (\d\.\d\d) \((\d\.\d\d)-(\d\.\d\d)\) s": lambda: [
        MEASURED["blocks"]["outside the loop, block of 5, s"][key] for key in ("median", "low", "high")
    ],
    r"In a run of (\d+) small jobs on 2 cores \((\d+) s in all\), a training job spends (\d\.\d) ": lambda: [
        MEASURED["dag"]["jobs"],
        MEASURED["dag"]["whole run, s"],
        MEASURED["dag"]["a training job outside its loop, s"]["median"],
    ],
    r"takes (\d\.\d) core seconds per job": lambda: [MEASURED["dag"]["all else, core seconds per job"]],
}


@pytest.mark.parametrize(("sentence", "numbers"), SENTENCES.items())
def test_sentences(sentence, numbers):
    text = (ROOT / PAGE).read_text()
    (found,) = re.findall(sentence, text)
    written = (found,) if isinstance(found, str) else found
    digits = [len(number.partition(".")[2]) for number in written]
    assert [f"{number:.{n}f}" for number, n in zip(numbers(), digits, strict=True)] == list(written)


def test_every_objective_but_two_is_within_a_tenth_of_its_bound():
    above = {
        (network, name)
        for network in NETWORKS
        for name, entry in MEASURED["steps"][network]["costs"].items()
        if entry["bound"] and "float32" in name and entry["cost"]["median"] > 1.1 * entry["bound"]
    }
    assert above == {("residual", f"{name}, p = 2, float32") for name in ("penalty", "penalty, squared")}
