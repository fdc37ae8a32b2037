"""Networks that ``torch.export.save`` wrote (.pt2): their operations and weights, without the code they came from.

PyTorch's loader can run code that such a file holds: load only files that you trust.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.export.passes import move_to_device_pass

STATE = "program"


class Program(nn.Module):
    """An exported network as a module whose state is the file, as bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.training = False

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Take the file, onto the device that its bytes are on. Raises ValueError like ``read``."""
        content: Tensor = state_dict[STATE]
        self.network = read(content.cpu().numpy().tobytes(), content.device)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images."""
        logits: Tensor = self.network(x)
        return logits

    def train(self, mode: bool = True) -> "Program":
        """Nothing: an exported network has one mode, the one that it was exported in."""
        return self


def program(image_shape: Sequence[int], classes: int) -> nn.Module:
    """A network for a file to be loaded into; the file has the shapes."""
    return Program()


def read(content: bytes, device: torch.device) -> nn.Module:
    """The network of a file. Raises ValueError for one that is no such file."""
    try:
        loaded = torch.export.load(io.BytesIO(content))
        network = move_to_device_pass(loaded, device).module()
    except Exception as error:  # of the many layers below
        raise ValueError(f"not a network that torch.export saved: {str(error).splitlines()[0]}") from None
    for module in network.modules():
        module.training = False  # what they say of themselves; their operations are as they were exported
    return network
