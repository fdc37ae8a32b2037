"""Networks with batch normalisation and dropout of PyTorch, as the library's objectives take them."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

import gradreg

X = torch.rand(6, 1, 6, 6, generator=torch.Generator().manual_seed(0))
Y = torch.arange(6)
DRAW = torch.rand(X.shape, generator=torch.Generator().manual_seed(1))
OBJECTIVES = {
    "plain": {},
    "perturb": {"p": 2, "eps": 0.5, "alpha": 0.3},
    "penalty": {"p": 3, "eps": 0.5},
    "finite_difference": {"p": 2, "eps": 0.5, "h": 0.1, "order": 2, "power": 2},
    "adversarial": {"p": 1, "eps": 0.5, "steps": 3},
    "alignment": {"p": 2, "eps": 0.5, "weight": 0.2, "draw": DRAW},
    "curvature": {"p": 2, "eps": 0.5, "h": 0.1},
    "noise": {"p": 2, "eps": 0.5, "draw": DRAW},
    "virtual": {"p": 2, "eps": 0.5, "h": 0.1, "weight": 1.0, "draw": DRAW},
    "trades": {"p": 2, "eps": 0.5, "steps": 2, "start": 0.1, "weight": 6.0, "draw": DRAW / 6},
    "sam": {"p": 2, "eps": 0.05},
}


@pytest.fixture
def net():
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.SiLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(64, 6)
    return nn.Sequential(*layers).train()


def loss_and_gradients(kind, forward, net):
    params = dict(net.named_parameters())
    loss, _ = getattr(gradreg, kind)(forward, params, X, Y, **OBJECTIVES[kind])
    return loss, *torch.autograd.grad(loss, list(params.values()))


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_in_a_step_the_network_is_one_function(net, kind):
    """That with the batch's statistics and one mask, written out; the network and the generator stay as they were."""
    forward = gradreg.forward_of(net)
    masks = []
    with net[3].register_forward_hook(lambda layer, given, result: masks.append(result / given[0])):
        forward(dict(net.named_parameters()), X)

    def written_out(params, x):
        h = F.conv2d(x, params["0.weight"], params["0.bias"])
        h = F.silu(F.batch_norm(h, None, None, params["1.weight"], params["1.bias"], training=True))
        return F.linear((h * masks[0]).flatten(1), params["5.weight"], params["5.bias"])

    buffers, state = {name: value.clone() for name, value in net.named_buffers()}, torch.get_rng_state()
    found, expected = (loss_and_gradients(kind, function, net) for function in (forward, written_out))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, buffers[name]) for name, value in net.named_buffers())


def test_the_next_step_draws_other_masks(net):
    first, second = (gradreg.forward_of(net)(dict(net.named_parameters()), X) for _ in range(2))
    assert not torch.equal(first, second)


@pytest.mark.parametrize("kind", sorted(OBJECTIVES.keys() - {"plain", "noise"}))
def test_a_network_that_changes_itself_is_refused_with_what_to_do(net, kind):
    with pytest.raises(RuntimeError, match=r"take forward = gradreg\.forward_of\(network\) for each step$"):
        loss_and_gradients(kind, lambda params, x: functional_call(net, params, (x,)), net)
