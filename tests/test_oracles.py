"""Every attack against linear networks with a known distance, and what an attack must not do."""

import contextlib
import copy
import functools
import math

import linear
import pytest
import torch
from torch import nn

from gradreg import registry
from gradreg.attacks import autoattack, minimum_norm
from gradreg.attacks import steepest as attacks
from gradreg.norms import norm
from gradreg.registry import tiles

RATIO = 1.01
many = functools.partial(attacks.multi_step, steps=20)
# Attacks that follow the loss go for the class of largest logit, which is the nearest one where there are two.
EXACT = [(2, attack, p) for attack in (attacks.one_step, many) for p in linear.DISTANCES]
EXACT += [(2, autoattack.apgd_ce, p) for p in (2.0, math.inf)] + [(10, autoattack.apgd_t, p) for p in (2.0, math.inf)]
for classes in (2, 10):
    EXACT += [(classes, attacks.targeted, p) for p in linear.DISTANCES]
    EXACT += [(classes, autoattack.fab_t, p) for p in autoattack.NORMS]

IMPORTED = [autoattack.apgd_ce, autoattack.apgd_t, autoattack.fab_t, autoattack.square]


def label(value):
    return getattr(getattr(value, "func", value), "__name__", str(value))


def fooled(attack, net, x, y, p, eps):
    moved = attack(net, x, y, p=p, eps=eps)
    assert inside(x, moved, p, eps)
    return (net(moved).argmax(1) != y).sum().item()


def inside(x, moved, p, eps):
    length = norm((moved - x).detach().double(), p)
    return bool((length <= eps + 1e-6).all() and (moved >= 0).all() and (moved <= 1).all())


@pytest.mark.parametrize(("classes", "attack", "p"), EXACT, ids=label)
def test_the_distance_is_enough(classes, attack, p):
    net, distance = linear.network(classes), linear.DISTANCES[p]
    x, y = linear.points(net, p, distance)
    assert fooled(attack, net, x, y, p, RATIO * distance) == len(x)
    assert fooled(attack, net, x, y, p, distance / RATIO) == 0


@pytest.mark.parametrize(("attack", "classes", "ratio"), [(autoattack.apgd_ce, 2, 1.05), (autoattack.apgd_t, 10, 1.2)])
def test_in_l1_the_librarys_descent_needs_more(attack, classes, ratio):
    """A known weakness of the imported attacks, held so that it is noticed when it changes; targeted is exact there."""
    net, distance = linear.network(classes), linear.DISTANCES[1.0]
    x, y = linear.points(net, 1.0, distance)
    assert fooled(attack, net, x, y, 1.0, RATIO * distance) < len(x)
    assert fooled(attack, net, x, y, 1.0, ratio * distance) == len(x)


def test_random_search_finds_what_is_near_enough():
    net, distance = linear.network(10), linear.DISTANCES[math.inf]
    x, y = linear.points(net, math.inf, distance)
    assert fooled(autoattack.square, net, x, y, math.inf, 2 * distance) == len(x)
    assert fooled(autoattack.square, net, x, y, math.inf, distance / RATIO) == 0


@pytest.mark.parametrize("p", minimum_norm.NORMS)
def test_the_nearest_error_of_two_classes_is_found(p):
    pytest.importorskip("secmlt", reason="the extra minimum-norm is not installed")
    net, distance = linear.network(2), linear.DISTANCES[p]
    x, y = linear.points(net, p, distance)
    moved = minimum_norm.fmn(net, x, y, p)
    assert (net(moved).argmax(1) != y).all()
    length = norm((moved - x).double(), p)
    assert (length / distance).max() <= RATIO
    assert (length / distance).min() >= 1 / RATIO
    state = torch.random.get_rng_state()
    assert torch.equal(moved, minimum_norm.fmn(net, x, y, p))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in net.parameters())


@pytest.mark.parametrize("attack", IMPORTED, ids=label)
@pytest.mark.parametrize("p", autoattack.NORMS)
def test_without_room_imported_attacks_return_the_images(attack, p):
    net, x = linear.network(10), torch.rand(2, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(attack(net, x, net(x).argmax(1), p, 0.0), x)


@pytest.mark.parametrize("p", [1.0, 2.0])
@pytest.mark.parametrize("width", [3, 7, 20, 24])
def test_square_runs_where_its_tiles_fit(p, width):
    """And is refused elsewhere, before the library fails."""
    for height in (4, 5, 12, 13, 14, 18, 19, 24, 28):
        net = nn.Sequential(nn.Flatten(), nn.Linear(height * width, 4)).eval()
        x = torch.full((1, 1, height, width), 0.5)
        answer = net(x).argmax(1)
        with contextlib.nullcontext() if tiles.fit(height, width) else pytest.raises(ValueError, match="first tiles"):
            autoattack.square(net, x, answer, p, 50.0)


@pytest.mark.parametrize("attack", IMPORTED, ids=label)
@pytest.mark.parametrize("p", autoattack.NORMS)
def test_imported_attacks_leave_everything_as_found(attack, p):
    """In ball and box, the same again, neither gradients nor weights nor random state touched."""
    torch.manual_seed(3)
    net = nn.Sequential(nn.Flatten(), nn.Linear(36, 30), nn.ReLU(), nn.Linear(30, 5)).eval()
    x = torch.rand(4, 1, 6, 6, generator=torch.Generator().manual_seed(2))
    x[0], x[1] = 0, 1
    y, before = net(x).argmax(1), copy.deepcopy(net.state_dict())
    net[1].weight.grad = torch.full_like(net[1].weight, 7.0)
    state = torch.random.get_rng_state()
    eps = {1.0: 12.0, 2.0: 2.0, math.inf: 0.5}[p]  # errors end a search
    moved = attack(net, x, y, p, eps)
    assert inside(x, moved, p, eps)
    assert (moved != x).any()
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(moved, attack(net, x, y, p, eps))
    assert (net[1].weight.grad == 7).all()
    assert net[3].weight.grad is None
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(parameter.requires_grad for parameter in net.parameters())


@pytest.mark.parametrize(
    "kind", [kind for kind in registry.section("attacks") if kind not in ("one_step", "multi_step")]
)
def test_every_registered_attack_refuses_what_it_does_not_know(kind):
    package = registry.lookup("attacks", kind).get("package")
    if package:
        pytest.importorskip(package["name"], reason=f"the extra {package['extra']} is not installed")
    net, x, y = linear.network(10), torch.rand(2, 1, 6, 6), torch.tensor([0, 1])
    attack = registry.function("attacks", kind)
    if not registry.lookup("attacks", kind).get("minimum"):
        attack = functools.partial(attack, eps=0.1)
    if "norms" in registry.lookup("attacks", kind):
        with pytest.raises(ValueError, match="not 3"):
            attack(net, x, y, p=3.0)
        with pytest.raises(ValueError, match=r"inputs must lie in \[0, 1\]"):
            attack(net, x + 1, y, p=2.0)
        with pytest.raises(ValueError, match="training mode"):
            attack(net.train(), x, y, p=2.0)


def test_the_loss_of_targeted_descent_needs_four_classes():
    net = linear.network(3)
    with pytest.raises(ValueError, match="needs 4 classes or more, there are 3"):
        autoattack.apgd_t(net, torch.rand(2, 1, 6, 6), torch.tensor([0, 1]), 2.0, 0.1)
