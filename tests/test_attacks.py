"""The family's attacks against a linear model, whose worst perturbation is known, and against what they promise."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gradreg.attacks import steepest as attacks
from gradreg.attacks.checks import check_attackable
from gradreg.attacks.gradients import ascent_direction, loss_gradient
from gradreg.attacks.noise import random as random_attack
from gradreg.norms import dual_exponent, norm, steepest_step

NORMS = [1.0, 1.001, 1.01, 1.5, 2.0, 3.0, math.inf]


def random_problem(seed, n=6, shape=(1, 5, 5)):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(n, *shape, generator=generator)
    x = torch.where(x < 0.2, 0.0, torch.where(x > 0.8, 1.0, x))  # many pixels at the walls
    g = torch.randn(n, *shape, generator=generator) * (torch.rand(n, *shape, generator=generator) < 0.8)
    return x, g


def linear(seed=0, inputs=25):
    net = nn.Sequential(nn.Flatten(), nn.Linear(inputs, 2)).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    net[1].weight.copy_(torch.randn(2, inputs, generator=generator) / 5)
    net[1].bias.copy_(-net[1].weight.sum(1) / 2)  # the boundary passes through mid-grey
    return net


def feasible(x, moved, p, eps):
    return norm(moved - x, p).max() <= eps * (1 + 1e-5) + 1e-6 and moved.min() >= 0 and moved.max() <= 1


@settings(max_examples=40)
@given(st.integers(0, 2**31), st.sampled_from(NORMS), st.sampled_from([0.01, 0.3, 1.0, 4.0, 100.0]))
def test_box_step_is_feasible_and_no_feasible_step_gains_more(seed, p, eps):
    x, g = random_problem(seed)
    s = attacks.box_step(x, g, p, eps)
    assert feasible(x, x + s, p, eps)
    gain = (g * s).flatten(1).sum(1)
    generator = torch.Generator().manual_seed(seed + 1)
    for _ in range(10):
        other = torch.randn(x.shape, generator=generator) * (torch.rand(x.shape, generator=generator) < 0.4)
        other = (x + eps * other / norm(other, p).clamp(min=1e-9).reshape(-1, 1, 1, 1)).clamp(0, 1) - x
        assert ((g * other).flatten(1).sum(1) <= gain + 1e-4 * gain.abs() + 1e-6).all()


@pytest.mark.parametrize("p", NORMS)
def test_far_from_the_walls_the_box_step_is_the_steepest_step(p):
    g = torch.randn(4, 3, 3, generator=torch.Generator().manual_seed(0))
    x = torch.full((4, 3, 3), 0.5)
    torch.testing.assert_close(attacks.box_step(x, g, p, 0.1), steepest_step(g, p, 0.1), rtol=1e-4, atol=1e-6)


def test_in_l1_coordinates_are_filled_in_the_order_of_the_gradient():
    x, g = torch.tensor([[0.9, 0.5, 0.2]]), torch.tensor([[3.0, -2.0, 1.0]])
    torch.testing.assert_close(attacks.box_step(x, g, 1, 0.8), torch.tensor([[0.1, -0.5, 0.2]]))


def test_near_p_1_the_budget_is_spent_where_there_is_room():
    x, g = torch.tensor([[0.9, 0.9, 0.9, 0.9]]), torch.tensor([[1.0, 0.3, 0.3, 0.3]])
    for p in (1.0001, 1.001, 1.01):
        s = attacks.box_step(x, g, p, 0.3)
        torch.testing.assert_close(norm(s, p), torch.tensor([0.3]), rtol=1e-4, atol=0)
        torch.testing.assert_close(s[0, 0].item(), 0.1)


@pytest.mark.parametrize("p", NORMS)
def test_denormal_gradients_count(p):
    g = torch.tensor([[3e-44, -1e-44, 0.0]])
    s = attacks.box_step(torch.full((1, 3), 0.5), g, p, 0.1)
    torch.testing.assert_close(norm(s, p), torch.tensor([0.1]))


def test_confident_networks_do_not_hide_the_gradient():
    """In single precision the loss of a margin of 30 has lost the label's logit; the direction has not."""
    net, x = linear(), torch.full((1, 1, 5, 5), 0.5)
    direction = ascent_direction(net, x, torch.tensor([0]))
    net[1].bias += torch.tensor([30.0, 0.0])
    sure = ascent_direction(net, x, torch.tensor([0]))
    torch.testing.assert_close(sure, (net[1].weight[1] - net[1].weight[0]).view_as(x))
    torch.testing.assert_close(direction, sure)
    gradient = loss_gradient(linear(), x, torch.tensor([0]))
    cosine = (gradient * direction).sum() / gradient.norm() / direction.norm()
    assert cosine.item() == pytest.approx(1)


@pytest.mark.parametrize("value", [0.0, 5.0, -1e30])
def test_equal_logits_have_a_direction(value):
    """All rivals count alike then."""
    weights = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]])
    direction = ascent_direction(
        lambda x: x @ weights.T * 0 + value + (x - x.detach()) @ weights.T, torch.rand(1, 2), torch.tensor([2])
    )
    torch.testing.assert_close(direction, torch.tensor([[-1.5, -1.5]]))


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.sampled_from(NORMS), st.floats(-3, 3), st.integers(2, 12))
def test_the_scale_of_the_logits_changes_no_answer(seed, p, exponent, classes):
    """Nor, where the scale is a power of two, a bit of the perturbation."""
    x, _ = random_problem(seed, n=8)
    generator = torch.Generator().manual_seed(seed)
    first, last = torch.randn(25, 20, generator=generator) / 5, torch.randn(20, classes, generator=generator) / 4

    def network(images, scale=1.0):
        return scale * (images.flatten(1) @ first).tanh() @ last

    y = network(x).argmax(1)
    eps = 0.2 * 25 ** (1 / p)
    ways = {
        "one_step": attacks.one_step,
        "multi_step": lambda *given: attacks.multi_step(*given, 10),
        "targeted": lambda *given: attacks.targeted(*given, 10),
        "random": random_attack,
    }
    for name, way in ways.items():
        moved = way(network, x, y, p, eps)
        assert torch.equal(way(lambda images: network(images, 2.0**-10), x, y, p, eps), moved), name
        other = way(lambda images: network(images, 10**exponent), x, y, p, eps)
        assert torch.equal(network(other).argmax(1), network(moved).argmax(1)), name


@pytest.mark.parametrize("p", NORMS)
@pytest.mark.parametrize("attack", ["one_step", "multi_step"])
def test_on_a_linear_model_the_exact_distance_is_enough(p, attack):
    """A linear model's distance to the boundary is |margin| / ||w_1 - w_0||_q while the box does not bind."""
    net = linear()
    x = 0.5 + 0.02 * torch.randn(40, 1, 5, 5, generator=torch.Generator().manual_seed(1))
    y = net(x).argmax(1)
    difference = (net[1].weight[1] - net[1].weight[0])[None]
    margin = (net(x)[:, 1] - net(x)[:, 0]).abs()
    distance = margin / norm(difference, dual_exponent(p))
    inside = distance < (0.4 if p < 1.1 else 0.2)  # one coordinate carries an L1 step: it must fit into the box
    assert inside.sum() >= 3

    def attacked(part, eps):
        if attack == "one_step":
            return attacks.one_step(net, x[part], y[part], p, eps)
        return attacks.multi_step(net, x[part], y[part], p, eps, 20)

    for i in inside.nonzero().flatten().tolist()[:8]:
        part = slice(i, i + 1)
        assert net(attacked(part, 1.01 * distance[i].item())).argmax(1) != y[i]
        assert net(attacked(part, 0.99 * distance[i].item())).argmax(1) == y[i]


@pytest.mark.parametrize("p", NORMS)
def test_attacks_stay_in_their_ball_and_the_box(p):
    net = nn.Sequential(nn.Flatten(), nn.Linear(25, 30), nn.ReLU(), nn.Linear(30, 4)).eval()
    x, _ = random_problem(3, n=50)
    y = net(x).argmax(1)
    for eps in (0.05, 0.5, 3.0):
        one, many = attacks.one_step(net, x, y, p, eps), attacks.multi_step(net, x, y, p, eps, 10)
        assert feasible(x, one, p, eps)
        assert feasible(x, many, p, eps)
        assert torch.equal(many, attacks.multi_step(net, x, y, p, eps, 10))
        wrong = [(net(moved).argmax(1) != y).float().mean() for moved in (one, many)]
        assert wrong[1] >= wrong[0]
    assert all(parameter.grad is None for parameter in net.parameters())


def test_what_is_misclassified_already_is_left_alone():
    net, (x, _) = linear(), random_problem(0)
    y = 1 - net(x).argmax(1)
    assert torch.equal(attacks.multi_step(net, x, y, 2.0, 0.5, 5), x)


def test_a_zero_gradient_moves_nothing():
    x = torch.rand(2, 1, 3, 3)
    for p in NORMS:
        assert (attacks.box_step(x, torch.zeros_like(x), p, 0.3) == 0).all()


def test_inputs_outside_the_box_and_training_mode_are_refused():
    net = linear()
    check_attackable(net, torch.rand(1, 1, 5, 5))
    with pytest.raises(ValueError, match=r"inputs must lie in \[0, 1\]"):
        check_attackable(net, torch.full((1, 1, 5, 5), 1.5))
    with pytest.raises(ValueError, match="training mode"):
        check_attackable(net.train(), torch.rand(1, 1, 5, 5))
