"""Networks: shapes, parameter counts, initial values, norm caps, files."""

import pytest
import torch

from gradreg import registry
from gradreg.models import checkpoint, layers
from gradreg.models.pooling import MaxPool
from gradreg.planning.specs import ModelSpec


def build(kind, settings, seed=0, shape=(1, 28, 28)):
    return checkpoint.build(ModelSpec(kind, settings=settings), shape, 10, torch.Generator().manual_seed(seed))


def test_the_maxout_papers_dense_net_has_its_size():
    net = build("maxout", {"units": [240, 240], "pieces": 5})
    assert sum(p.numel() for p in net.parameters()) == 1_233_610  # 1.234 M
    assert net(torch.rand(3, 1, 28, 28)).shape == (3, 10)


def test_maxout_takes_the_largest_of_its_pieces():
    z = torch.randn(7, 15, 2, 3)
    pieces = [z[:, k * 3 : (k + 1) * 3] for k in range(5)]
    assert torch.equal(layers.Maxout(5)(z), torch.stack(pieces).amax(0))


def test_the_largest_piece_gets_the_gradient_and_tied_ones_share_it():
    z = torch.randn(7, 15, dtype=torch.double, generator=torch.Generator().manual_seed(1)).requires_grad_()
    gradient, expected = (torch.autograd.grad(f(z).sin().sum(), z)[0] for f in (layers.Maxout(5), by_index))
    assert torch.equal(gradient, expected)
    assert torch.autograd.gradcheck(layers.Maxout(5), z)
    assert torch.autograd.gradgradcheck(layers.Maxout(5), z)
    tied = torch.tensor([[1.0, 3.0, 3.0]], requires_grad=True)
    assert torch.autograd.grad(layers.Maxout(3)(tied).sum(), tied)[0].tolist() == [[0.0, 0.5, 0.5]]


def by_index(z):
    return z.unflatten(1, (5, 3)).max(1).values


def test_initial_values():
    net = build("maxout", {"units": [20], "pieces": 2, "init": 0.1})
    for name, value in net.named_parameters():
        bound = 0.1 if name.endswith("weight") else 0.0
        assert value.abs().max() <= bound
        assert value.abs().max() >= 0.9 * bound
    again, other = build("sigmoid_mlp", {"units": [8]}, 1), build("sigmoid_mlp", {"units": [8]}, 2)
    assert torch.equal(again[1].weight, build("sigmoid_mlp", {"units": [8]}, 1)[1].weight)
    assert not torch.equal(again[1].weight, other[1].weight)


def test_unknown_kinds_and_settings_are_refused():
    with pytest.raises(ValueError, match="no model 'resnet'; there are sigmoid_mlp, maxout, conv_maxout"):
        build("resnet", {})
    with pytest.raises(ValueError, match=r"model of kind sigmoid_mlp: .*unexpected keyword argument 'pieces'"):
        build("sigmoid_mlp", {"units": [8], "pieces": 2})


def test_caps_shorten_long_filters_only_and_leave_biases():
    weight = torch.tensor([[[3.0, 4.0], [0.3, 0.4]]])
    parameters = {"1.weight": weight.clone(), "1.bias": torch.full((1, 2), 9.0)}
    layers.cap_norms(parameters, 2.0)
    torch.testing.assert_close(parameters["1.weight"], torch.tensor([[[1.2, 1.6], [0.3, 0.4]]]))
    assert (parameters["1.bias"] == 9).all()


@pytest.mark.parametrize(
    ("kind", "settings"),
    [("maxout", {"units": [6, 5], "pieces": 3, "keep_hidden": 0.5}), ("sigmoid_mlp", {"units": [7]})],
)
def test_a_loaded_network_is_bit_identical(tmp_path, kind, settings):
    net = build(kind, settings, shape=(1, 4, 4))
    state = dict(net.named_parameters())
    checkpoint.save(tmp_path / "a" / "model.safetensors", state, ModelSpec(kind, settings=settings), (1, 4, 4), 10)
    loaded = checkpoint.load(tmp_path / "a" / "model.safetensors")
    x = torch.rand(5, 1, 4, 4)
    assert torch.equal(loaded(x), net(x))
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    assert checkpoint.digest(dict(loaded.named_parameters())) == checkpoint.digest(state)
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == [".model.safetensors.sha256", "model.safetensors"]


def test_dropout_multiplies_by_its_mask():
    layer = layers.Dropout([3, 50], keep=0.8, rescale=True)
    x = torch.rand(40, 3, 50)
    assert torch.equal(layer(x), x)
    mask = layer.mask_from(torch.rand(40, 3, 50, generator=torch.Generator().manual_seed(0)))
    assert mask.shape == (40, 3, 50)
    assert sorted(mask.unique().tolist()) == pytest.approx([0, 1.25])
    assert (mask > 0).float().mean().item() == pytest.approx(0.8, abs=0.02)
    assert torch.equal(torch.func.functional_call(layer, {"mask": mask}, (x,)), x * mask)
    assert layer.mask is None
    assert layers.Dropout([2], 0.5, rescale=False).mask_from(torch.tensor([0.4, 0.6])).tolist() == [1, 0]


def test_dropout_of_maxout_is_that_of_the_paper():
    """Kept inputs are not rescaled, kept hidden units are; masks are no part of the state."""
    net = build("maxout", {"units": [6, 5], "pieces": 2, "keep_input": 0.8, "keep_hidden": 0.5})
    dropouts = [(m.shape, m.keep, m.rescale) for m in net if isinstance(m, layers.Dropout)]
    inputs = net[1].shape[0]
    assert dropouts == [((inputs,), 0.8, False), ((6,), 0.5, True), ((5,), 0.5, True)]
    assert not any("mask" in name for name in net.state_dict())


MNIST = {
    "channels": [48, 48, 24],
    "pieces": [2, 2, 4],
    "kernels": [8, 8, 5],
    "padding": [0, 3, 3],
    "pool": [4, 4, 2],
    "stride": [2, 2, 2],
}
CIFAR = MNIST | {
    "channels": [96, 192, 192],
    "pieces": [2, 2, 2],
    "padding": [4, 3, 3],
    "tied_biases": True,
    "units": [500],
    "unit_pieces": 5,
}
OLD_SMALL = CIFAR | {"channels": [48, 128, 128], "units": [240]}
SMALL = {"channels": [3, 2], "pieces": [2, 3], "kernels": [3, 2], "padding": [1, 0], "pool": [3, 2], "stride": [2, 2]}


@pytest.mark.parametrize(
    ("settings", "shape", "sides", "count"),
    [
        (MNIST, (1, 28, 28), [(21, 10), (9, 4), (6, 3)], 471_994),  # 0.472 M
        (CIFAR, (3, 32, 32), [(33, 16), (15, 7), (9, 5)], 16_247_830),  # 16.25 M
        (OLD_SMALL, (3, 32, 32), [(33, 16), (15, 7), (9, 5)], 5_468_282),  # 5.47 M
    ],
)
def test_the_maxout_papers_convolutional_nets_have_their_sizes(settings, shape, sides, count):
    net = build("conv_maxout", settings, shape=shape)
    assert sum(p.numel() for p in net.parameters()) == count
    maps, x = [], torch.rand(2, *shape)
    for layer in net:
        x = layer(x)
        if isinstance(layer, layers.Conv | MaxPool):
            maps.append(tuple(x.shape[-2:]))
    assert maps == [(side, side) for pair in sides for side in pair]
    assert x.shape == (2, 10)


@pytest.mark.parametrize("replicas", [None, 3])
def test_compiled_pooling_has_the_values_and_derivatives_of_pytorchs(replicas):
    """Both derivatives, also of windows that extend beyond the map; ``backend`` compiles nothing, which is quick."""
    x = torch.randn(replicas or 1, 2, 3, 11, 9, dtype=torch.double, generator=torch.Generator().manual_seed(1))

    def derivatives(pool):
        def first(at):
            return torch.func.grad(lambda image: pool(image).pow(3).sum())(at)

        def both(at):
            return pool(at), first(at), torch.func.grad(lambda image: first(image).square().sum())(at)

        return torch.func.vmap(both) if replicas else lambda at: both(at[0])

    expected = derivatives(torch.nn.MaxPool2d(4, 2, ceil_mode=True))(x)
    found = torch.compile(derivatives(MaxPool(4, 2)), fullgraph=True, backend="aot_eager")(x)
    assert expected[0].shape[-2:] == (5, 4)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours, theirs)


def test_a_convolutional_maxout_net_against_loops():
    """Over locations and windows, some of which extend beyond the map; one bias per filter and location."""
    net = build("conv_maxout", SMALL | {"units": [4], "unit_pieces": 2, "init": 0.3}, shape=(2, 8, 8)).double()
    with torch.no_grad():
        for name, value in net.named_parameters():
            if name.endswith("bias"):
                value.uniform_(-1, 1)
    convolutions = [layer for layer in net if isinstance(layer, layers.Conv)]
    dense = [layer for layer in net if isinstance(layer, layers.Linear)]
    assert [layer.bias.shape for layer in convolutions] == [(6, 8, 8), (6, 3, 3)]
    h = image = torch.rand(2, 8, 8, dtype=torch.float64)
    for layer, pieces, pad, window, step in zip(convolutions, (2, 3), (1, 0), (3, 2), (2, 2), strict=True):
        padded = torch.nn.functional.pad(h, (pad,) * 4)
        kernel = layer.weight.shape[-1]
        side = padded.shape[-1] - kernel + 1
        z = torch.stack(
            [
                torch.stack(
                    [(layer.weight * padded[:, i : i + kernel, j : j + kernel]).sum((1, 2, 3)) for j in range(side)]
                )
                for i in range(side)
            ]
        ).permute(2, 0, 1)
        z = (z + layer.bias).view(pieces, -1, side, side).amax(0)
        pooled = -(-(side - window) // step) + 1
        h = torch.stack(
            [
                torch.stack(
                    [
                        z[:, i * step : i * step + window, j * step : j * step + window].amax((1, 2))
                        for j in range(pooled)
                    ]
                )
                for i in range(pooled)
            ]
        ).permute(2, 0, 1)
    v = (dense[0].weight @ h.flatten() + dense[0].bias).view(2, 4).amax(0)
    torch.testing.assert_close(net(image.unsqueeze(0)).squeeze(0), dense[1].weight @ v + dense[1].bias)


def test_dropout_of_convolutions_is_element_by_element():
    net = build("conv_maxout", CIFAR | {"keep_input": 0.8, "keep_hidden": 0.5}, shape=(3, 32, 32))
    dropouts = [(m.shape, m.keep, m.rescale) for m in net if isinstance(m, layers.Dropout)]
    assert dropouts == [
        ((3, 32, 32), 0.8, False),
        ((96, 16, 16), 0.5, True),
        ((192, 7, 7), 0.5, True),
        ((4800,), 0.5, True),
        ((500,), 0.5, True),
    ]


def test_caps_are_per_filter_and_per_layer():
    net = build("conv_maxout", SMALL | {"init": 1.0}, shape=(1, 8, 8))
    state = {name: value.detach().clone().unsqueeze(0) for name, value in net.named_parameters()}
    names = [name for name in state if name.endswith("weight")]
    layers.cap_norms(state, {name: bound for bound, name in enumerate(names, start=1)} | {"0.bias": 9.0})
    for bound, name in enumerate(names, start=1):
        lengths = state[name].flatten(2).norm(dim=2)
        assert lengths.max() <= bound * (1 + 1e-6)
    assert state[names[0]].flatten(2).norm(dim=2).numel() == 6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kernels": [3, 9]}, "convolution 2: a kernel of 9 does not fit on 4 pixels"),
        ({"pool": [9, 2], "padding": [0, 0]}, "convolution 1: a pooling window of 9 does not fit on 6 pixels"),
        ({"unit_pieces": 2}, "unit_pieces: there are no dense units"),
        ({"stride": [4, 2]}, "convolution 1: pooling windows of 3 leave gaps at stride 4"),
    ],
)
def test_convolutions_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        build("conv_maxout", SMALL | changes, shape=(1, 8, 8))


RESNET = {"width": 8, "blocks": [1, 1], "groups": 4}


def test_images_of_a_batch_are_independent_in_the_residual_network():
    """The gradient of an image does not depend on the other images of the batch."""
    net = build("preact_resnet", RESNET, shape=(3, 8, 8)).double()
    x = torch.rand(4, 3, 8, 8, dtype=torch.float64)
    together, alone = x.clone().requires_grad_(), x[:1].clone().requires_grad_()
    (g,) = torch.autograd.grad(net(together).square().sum(), together)
    (g_alone,) = torch.autograd.grad(net(alone).square().sum(), alone)
    torch.testing.assert_close(g[:1], g_alone)
    assert net(together).shape == (4, 10)
    with pytest.raises(ValueError, match="groups: 4 does not divide the width 6"):
        build("preact_resnet", {"width": 6, "groups": 4})


@pytest.mark.parametrize("activation", ["silu", "gelu", "softplus"])
def test_the_residual_network_is_smooth(activation):
    """Its input gradient is differentiable, as penalties on the gradient need."""
    net = build("preact_resnet", RESNET | {"activation": activation}, shape=(1, 4, 4)).double()
    x = torch.rand(1, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: net(x).logsumexp(1), (x,))


def test_the_residual_network_halves_its_maps():
    net = build("preact_resnet", {}, shape=(3, 32, 32))
    sides, x = [], torch.rand(1, 3, 32, 32)
    for layer in net[:-2]:
        x = layer(x)
        sides.append((x.shape[1], x.shape[2]))
    assert sum(p.numel() for p in net.parameters()) == 697_354  # 0.70 M
    assert sides == [(32, 32)] * 3 + [(64, 16)] * 2 + [(128, 8)] * 2


def test_layers_without_reset_start_from_the_seed_too(monkeypatch):
    """They draw from PyTorch's generator, which is seeded for them and restored."""
    monkeypatch.setitem(registry.section("models"), "linear", {"function": "torch.nn.Linear", "settings": {}})
    monkeypatch.setattr(registry, "function", lambda section, kind: lambda shape, classes: torch.nn.Linear(4, classes))
    before = torch.random.get_rng_state()
    first, again, other = (build("linear", {}, seed) for seed in (1, 1, 2))
    assert torch.equal(first.weight, again.weight)
    assert not torch.equal(first.weight, other.weight)
    assert torch.equal(before, torch.random.get_rng_state())
