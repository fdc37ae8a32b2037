"""Flags of masked gradients: on rows made up, on a network built to mask, and on one trained into collapse."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_given import Rooted
from test_measure import ATTACK, table
from test_training import CPU, TRAIN, spec
from torch import nn

from gradreg.evaluation import masking
from gradreg.evaluation import measure as evaluation
from gradreg.models.checkpoint import build
from gradreg.planning.specs import ModelSpec, StrongAttackSpec, grid
from gradreg.training import block as training


def row(attack="multi_step", p="2", eps="0.1", metric="error", value=0.5):
    return {"attack": attack, "attack_p": p, "attack_eps": eps, "metric": metric, "value": value}


def curve(*errors, attack="multi_step"):
    return [row(attack, eps=str(i + 1), value=error) for i, error in enumerate(errors)]


def flags(rows, **arguments):
    return [own["flags"] for own in masking.marked(rows, **arguments)]


def test_a_union_has_the_flags_of_its_norms():
    rows = [row(eps="", metric="error_in_box", value=0.9), row(), row(p="inf"), row(p="2+inf", eps="0.1+0.1")]
    rows += [row(attack="one_step", p="1+inf", eps="1+0.1")]
    assert flags(rows) == ["box-not-enough", "box-not-enough", "", "box-not-enough", ""]


def test_honest_rows_have_no_flag():
    rows = [
        *curve(0.1, 0.5, 0.495),
        row(metric="error_of_one_step", value=0.4),
        row(metric="error_of_last_step", value=0.5),
    ]
    rows += [row(eps="", metric="error_in_box", value=1.0), row("none", "", "", "zero_gradient", 0.0)]
    rows += [row("none", "", "", "explained", 0.5), row("none", "", "", "explained", None)]
    rows += [row("standard", metric=f"error_after_{kind}", value=0.5) for kind in ("apgd_t", "square")]
    assert set(flags(rows)) == {""}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (curve(0.1, 0.5, 0.4), "not-monotone"),
        (
            [*curve(0.5), row(metric="error_of_one_step", value=0.5), row(metric="error_of_last_step", value=0.4)],
            "one-step-stronger",
        ),
        ([*curve(0.5), row(eps="", metric="error_in_box", value=0.9)], "box-not-enough"),
        ([*curve(0.5), row("none", "", "", "zero_gradient", 0.2)], "zero-gradients"),
        ([*curve(0.5), row("none", "", "", "explained", 0.1)], "hidden-pixels"),
        ([row("hard", eps="", metric="error_in_box", value=0.9), row("hard")], "box-not-enough"),
        (
            [row("standard", metric=f"error_after_{kind}", value=v) for kind, v in (("apgd_t", 0.5), ("square", 0.6))],
            "square-stronger",
        ),
    ],
)
def test_each_sign_flags_the_rows_that_it_concerns(rows, expected):
    elsewhere = [row("one_step", "inf"), row("none", "", "", "error", 0.1), row("gaussian", "", "0.1")]
    found = flags([*rows, *elsewhere])
    attacked = [flag for own, flag in zip(rows, found, strict=False) if own["attack"] != "none"]
    assert set(attacked) == {expected}
    other = {expected} if expected in ("zero-gradients", "hidden-pixels") else {""}
    assert set(found[len(rows) : len(rows) + 1]) == other
    assert set(found[len(rows) + 1 :]) == {""}


@pytest.mark.parametrize("blind", ["random", "square"])
@pytest.mark.parametrize("before", ["random", "apgd_t"])
def test_blind_attacks_are_compared_with_those_that_follow_gradients(before, blind):
    rows = [row("hard", metric=f"error_after_{kind}", value=v) for kind, v in ((before, 0.5), (blind, 0.9))]
    assert set(flags(rows)) == ({"square-stronger"} if before == "apgd_t" else {""})


def test_what_concerns_the_network_stands_on_all_its_rows():
    rows = [*curve(0.5, 0.2), row("none", "", "")]
    assert flags(rows, diverged=2) == ["diverged:2+not-monotone"] * 2 + ["diverged:2"]


def probed(*errors):
    return [{"probe_error_1": one, "probe_error_5": many} for one, many in errors]


@pytest.mark.parametrize(
    ("history", "epoch"),
    [
        (probed((0.9, 0.95), (0.4, 0.5), (0.2, 0.4)), None),  # a gap, and all is well
        (probed((0.9, 0.95), (0.4, 0.5), (0.2, 0.8), (0.1, 0.9)), 3),  # it jumps, and stays
        (probed((0.9, 0.95), (0.4, 0.5), (0.2, 0.8), (0.3, 0.4)), None),  # it recovers
        (probed((0.9, 0.95), (0.1, 1.0)), 2),  # wide apart, wherever it was before
        (probed((math.nan, math.nan)), None),  # not probed
        ([], None),
    ],
)
def test_collapse_is_a_gap_that_opens_and_stays(history, epoch):
    assert masking.collapse(history) == epoch


class Masked(nn.Module):
    """A network behind an input of few grey values, at all pixels or at a share: its gradient vanishes there."""

    def __init__(self, net, share=1.0, levels=4):
        super().__init__()
        self.net, self.share, self.levels = net, share, levels

    def forward(self, x):
        hidden = torch.rand(x.shape[1:], generator=torch.Generator().manual_seed(0)) < self.share
        return self.net(torch.where(hidden, (x * self.levels).round() / self.levels, x))


def test_a_network_built_to_mask_is_flagged():
    generator = torch.Generator().manual_seed(0)
    model = ModelSpec("maxout", settings={"units": [32], "pieces": 2, "init": 0.3})
    net = Masked(build(model, (1, 8, 8), 10, generator)).eval()
    images = TRAIN.first(60)
    split = replace(images, labels=net(images.pixels()).argmax(1))
    eps = grid({"2": ["0.5", "1.5"], "inf": ["0.2", "0.3"]})
    attack = replace(ATTACK, images=60, eps=eps, batch_size=60)
    rows = evaluation.evaluate(net, split, attack).rows
    assert table(rows)["multi_step", "inf", "0.3", "error"]["value"] == 0  # so robust it looks
    marked = masking.marked(rows)
    attacked = [own["flags"] for own in marked if own["attack"] == "multi_step" and own["metric"] == "error"]
    assert set(attacked) == {"zero-gradients+hidden-pixels+box-not-enough"}
    settings = StrongAttackSpec(["apgd_ce", "square"], images=20, steps=3, batch_size=20, eps=grid({"inf": ["0.3"]}))
    strong = masking.marked(evaluation.strong(net, split, settings, "standard").rows)
    found = {own["flags"] for own in strong if own["metric"] == "error"}
    assert found == {"zero-gradients+hidden-pixels+box-not-enough+square-stronger"}


@settings(max_examples=10)
@given(st.integers(0, 99), st.floats(0.2, 0.9), st.sampled_from([1, 4, 15]), st.sampled_from(["maxout", "sigmoid_mlp"]))
def test_pixels_that_a_network_hides_are_flagged_and_an_honest_one_is_not(seed, share, levels, kind):
    generator = torch.Generator().manual_seed(seed)
    made = {"maxout": {"units": [32], "pieces": 2, "init": 0.3}, "sigmoid_mlp": {"units": [32]}}
    net = build(ModelSpec(kind, settings=made[kind]), (1, 8, 8), 10, generator).eval()
    split = TRAIN.first(60)
    attack = replace(ATTACK, images=60, eps=grid({"2": ["0.5"]}), batch_size=60)
    for network, expected in ((net, False), (Masked(net, share, levels).eval(), True)):
        marked = masking.marked(evaluation.evaluate(network, split, attack).rows)
        (flags,) = {own["flags"] for own in marked if own["attack"] == "multi_step" and own["metric"] == "error"}
        assert ("hidden-pixels" in flags.split("+")) == expected


def test_a_network_trained_into_collapse_is_flagged_and_one_that_was_not_is_not():
    model = {"kind": "maxout", "units": [48, 48], "pieces": 4, "init": 0.1}
    found = {}
    for eps, warmup in ((0.4, 0.0), (0.06, 0.5)):
        objective = {"kind": "perturb", "p": math.inf, "eps": eps}
        settings = spec(model, objective, epochs=20, eps_warmup=warmup, weight_decay=0.0, max_norm=1.9365)
        (replica,) = training.train_block([0], TRAIN.first(1000), None, settings, CPU)
        found[eps] = replica.history
    collapsed = masking.marked([row()], found[0.4], classes=10)[0]["flags"]
    assert collapsed == "collapsed"
    assert masking.marked([row()], found[0.06], classes=10)[0]["flags"] == ""


@pytest.mark.parametrize(
    ("train", "flag"),
    [
        ({"kind": "plain"}, ""),
        ({"kind": "penalty", "p": 2.0, "eps": 1.0}, ""),
        ({"kind": "penalty", "p": 2.0, "eps": 1e4, "power": 2}, "no-better-than-constant:1"),
    ],
)
def test_training_that_fails_without_infinities_is_flagged(train, flag):
    (replica,) = training.train_block([0], TRAIN.first(1000), None, spec(objective=train, epochs=5), CPU)
    assert replica.diverged is None
    assert masking.marked([row()], replica.history, classes=10)[0]["flags"] == flag


@pytest.mark.parametrize(
    ("history", "epoch"),
    [
        ([(2.4, 0.9), (1.0, 0.3)], None),
        ([(2.4, 0.9), (1.0, 0.3), (2.31, 0.3)], 3),
        ([(1.0, 0.86), (1.0, 0.87)], 1),
        ([(1.0, 0.3), (math.nan, math.nan)], None),
        ([], None),
    ],
)
def test_training_is_compared_with_constant_answers(history, epoch):
    assert masking.failure([{"loss": loss, "error": error} for loss, error in history], 10) == epoch


def test_a_direction_that_is_not_a_number_is_none():
    images = TRAIN.first(20)
    rows = table(evaluation.evaluate(Rooted().eval(), images, ATTACK).rows)
    assert rows["none", "", "", "zero_gradient"]["value"] > 0.9
