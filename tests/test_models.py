"""Networks: shapes, parameter counts, initial values, norm caps, files."""

import pytest
import torch

from gradreg import models


def build(kind, settings, seed=0, shape=(1, 28, 28)):
    return models.build({"kind": kind, **settings}, shape, 10, torch.Generator().manual_seed(seed))


def test_the_maxout_papers_dense_net_has_its_size():
    net = build("maxout", {"units": [240, 240], "pieces": 5})
    assert sum(p.numel() for p in net.parameters()) == 1_233_610  # 1.234 M
    assert net(torch.rand(3, 1, 28, 28)).shape == (3, 10)


def test_maxout_takes_the_largest_of_its_pieces():
    z = torch.randn(7, 15, 2, 3)
    pieces = [z[:, k * 3 : (k + 1) * 3] for k in range(5)]
    assert torch.equal(models.Maxout(5)(z), torch.stack(pieces).amax(0))


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
    models.cap_norms(parameters, 2.0)
    torch.testing.assert_close(parameters["1.weight"], torch.tensor([[[1.2, 1.6], [0.3, 0.4]]]))
    assert (parameters["1.bias"] == 9).all()


@pytest.mark.parametrize(
    ("kind", "settings"),
    [("maxout", {"units": [6, 5], "pieces": 3, "keep_hidden": 0.5}), ("sigmoid_mlp", {"units": [7]})],
)
def test_files_bring_a_network_back_to_the_bit(tmp_path, kind, settings):
    net = build(kind, settings, shape=(1, 4, 4))
    state = dict(net.named_parameters())
    models.save(tmp_path / "a" / "model.safetensors", state, {"kind": kind, **settings}, (1, 4, 4), 10)
    loaded = models.load(tmp_path / "a" / "model.safetensors")
    x = torch.rand(5, 1, 4, 4)
    assert torch.equal(loaded(x), net(x))
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    assert models.digest(dict(loaded.named_parameters())) == models.digest(state)
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["model.safetensors"]


def test_dropout_masks_what_a_layer_is_given():
    layer = models.Dropout([3, 50], keep=0.8, rescale=True)
    x = torch.rand(40, 3, 50)
    assert torch.equal(layer(x), x)
    mask = layer.draw(40, torch.Generator().manual_seed(0))
    assert mask.shape == (40, 3, 50)
    assert sorted(mask.unique().tolist()) == pytest.approx([0, 1.25])
    assert (mask > 0).float().mean().item() == pytest.approx(0.8, abs=0.02)
    assert torch.equal(torch.func.functional_call(layer, {"mask": mask}, (x,)), x * mask)
    assert layer.mask is None
    assert set(models.Dropout([2], 0.5, rescale=False).draw(9, torch.Generator()).unique().tolist()) == {0, 1}


def test_dropout_of_maxout_is_that_of_the_paper():
    """Inputs are kept as they are, hidden units are rescaled; weights have no place for masks."""
    net = build("maxout", {"units": [6, 5], "pieces": 2, "keep_input": 0.8, "keep_hidden": 0.5})
    found = [(m.shape, m.keep, m.rescale) for m in net if isinstance(m, models.Dropout)]
    inputs = net[1].shape[0]
    assert found == [((inputs,), 0.8, False), ((6,), 0.5, True), ((5,), 0.5, True)]
    assert not any("mask" in name for name in net.state_dict())
