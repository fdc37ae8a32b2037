"""Input layers: contrast normalisation and ZCA, their gradients and their file; standardized pixels."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gradreg.models import checkpoint, preprocessing
from gradreg.models.preprocessing import Whitening
from gradreg.planning.specs import ModelSpec

IMAGES = torch.randint(0, 256, (200, 3, 4, 4), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
SPEC = ModelSpec("sigmoid_mlp", "whitened", {"units": [6]})


@pytest.fixture
def whitening():
    return Whitening.fit(IMAGES)


def test_whitening_is_that_of_the_maxout_paper(whitening):
    """Against NumPy, step by step, from pixels in 0..255."""
    x = IMAGES.numpy().reshape(200, -1).astype(np.float64)
    x -= x.mean(1, keepdims=True)
    x *= 55 / np.linalg.norm(x, axis=1, keepdims=True)
    x -= x.mean(0)
    values, vectors = np.linalg.eigh(x.T @ x / len(x) + 0.1 * np.eye(48))
    expected = x @ (vectors @ np.diag(values**-0.5) @ vectors.T)
    whitened = whitening(IMAGES.float() / 255)
    assert whitened.shape == IMAGES.shape
    np.testing.assert_allclose(whitened.flatten(1).numpy(), expected, atol=2e-4)


def test_whitened_images_are_uncorrelated(whitening):
    """Their covariance is C (C + 0.1 I)^-1, whose eigenvalues are nearly 1 in directions of large variance."""
    x = whitening.double()(IMAGES.double() / 255).flatten(1)
    covariance = x.T @ x / len(x)
    values = torch.linalg.eigvalsh(covariance)
    assert values.max() <= 1 + 1e-5
    assert (values > 0.9).sum() >= 40
    torch.testing.assert_close(x.mean(0), torch.zeros(48, dtype=torch.float64), atol=1e-4, rtol=0)


def test_whitening_is_differentiable(whitening):
    x = (IMAGES[:3].double() / 255).requires_grad_()
    assert torch.autograd.gradcheck(whitening.double(), (x,))
    assert torch.autograd.gradgradcheck(whitening.double(), (x,), atol=1e-3)


def test_an_image_without_contrast_has_a_finite_gradient(whitening):
    flat = torch.full((1, 3, 4, 4), 0.5, requires_grad=True)
    out = whitening(flat)
    (gradient,) = torch.autograd.grad(out.sum(), flat)
    assert gradient.isfinite().all()
    torch.testing.assert_close(out.flatten(1), -(whitening.mean @ whitening.matrix).unsqueeze(0))


def test_a_whitening_is_one_file_that_networks_refer_to_by_its_hash(whitening, tmp_path):
    whitening.save(tmp_path / "w.safetensors")
    again = Whitening.load(tmp_path / "w.safetensors")
    assert again.digest == whitening.digest
    net = checkpoint.build(SPEC, (3, 4, 4), 10, torch.Generator().manual_seed(0))
    checkpoint.save(tmp_path / "net.safetensors", dict(net.named_parameters()), SPEC, (3, 4, 4), 10, whitening)
    assert (tmp_path / "net.safetensors").stat().st_size < (tmp_path / "w.safetensors").stat().st_size
    x = IMAGES[:5].float() / 255
    loaded = checkpoint.load(tmp_path / "net.safetensors", whitening=again)
    assert torch.equal(loaded(x), net(whitening(x)))
    other = Whitening(whitening.mean + 1, whitening.matrix)
    for wrong, message in ((None, "not None"), (other, f"not {other.digest[:12]}")):
        with pytest.raises(ValueError, match=message):
            checkpoint.load(tmp_path / "net.safetensors", whitening=wrong)


def test_standardized_pixels(tmp_path):
    spec = replace(SPEC, input="standardized")
    net = checkpoint.build(spec, (1, 2, 2), 10, torch.Generator().manual_seed(0))
    checkpoint.save(tmp_path / "net.safetensors", dict(net.named_parameters()), spec, (1, 2, 2), 10)
    x = torch.rand(3, 1, 2, 2)
    assert torch.equal(checkpoint.load(tmp_path / "net.safetensors")(x), net((x - 0.5) / 0.25))


def test_a_missing_or_superfluous_whitening_is_refused(whitening):
    with pytest.raises(ValueError, match="input: whitened needs a whitening"):
        preprocessing.layer("whitened", None)
    with pytest.raises(ValueError, match="input: pixels takes no whitening"):
        preprocessing.layer("pixels", whitening)
