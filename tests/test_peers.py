"""Agreement with other people's implementations, where they are installed: pip install -e '.[peers]'."""

import math

import numpy as np
import pytest
import torch

from gradreg.attacks.gradients import loss_gradient
from gradreg.norms import steepest_step

pytest.importorskip("art", reason="adversarial-robustness-toolbox is not installed (the extra peers)")


@pytest.mark.parametrize("p", [1.3, 2.0, 3.0, math.inf])
def test_one_step_equals_the_toolbox(p):
    """The fast gradient method of adversarial-robustness-toolbox, any p, to 1e-6 of the step's norm."""
    from art.attacks.evasion import FastGradientMethod
    from art.estimators.classification import PyTorchClassifier

    generator = torch.Generator().manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    network.eval()
    x = torch.rand(20, 1, 4, 4, generator=generator)
    y = torch.randint(0, 3, (20,), generator=generator)
    eps = 0.3
    classifier = PyTorchClassifier(network, torch.nn.CrossEntropyLoss(), (1, 4, 4), 3, device_type="cpu")
    attack = FastGradientMethod(classifier, norm=np.inf if math.isinf(p) else p, eps=eps)
    theirs = torch.from_numpy(attack.generate(x.numpy(), y.numpy())) - x
    # The toolbox adds its step to x in single precision; so that only steps are compared, ours makes the same sum.
    ours = (x + steepest_step(loss_gradient(network, x, y), p, eps)) - x
    gap = (ours - theirs).double().flatten(1).norm(p, dim=1) / eps
    assert gap.max() <= 1e-6
