"""A network as the function of parameters and images that objectives take."""

import torch
from torch import Tensor, nn
from torch.func import functional_call

from gradreg.objectives.differentiation import Forward, Params


def forward_of(network: nn.Module) -> Forward:
    """``forward(params, x) -> logits`` of a network: the same function in every pass of one training step.

    For networks with state or randomness of their own; made anew for each step.

    - Every pass begins with the buffers as they are now, and what it changes in them is forgotten. In training mode,
      batch normalisation uses the statistics of each pass's own batch. Its running statistics are updated when the
      network itself is called: once per step, on the images that they should describe.
    - Every pass begins with one seed, drawn here from PyTorch's generator: dropout draws the same masks in all passes
      of a step, others in the next. The generators are put back after each pass.
    """
    seed = int(torch.randint(2**62, ()))

    def forward(params: Params, x: Tensor) -> Tensor:
        buffers = {name: value.clone() for name, value in network.named_buffers()}
        with torch.random.fork_rng(devices=[x.device] if x.device.type == "cuda" else []):
            torch.default_generator.manual_seed(seed)
            if x.device.type == "cuda":
                torch.cuda.default_generators[x.device.index or 0].manual_seed(seed)
            logits: Tensor = functional_call(network, {**buffers, **params}, (x,))
        return logits

    return forward
