"""Networks that ``torch.export.save`` wrote (.pt2): their operations and weights, without the code they came from."""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.export.passes import move_to_device_pass

PICKLED = "hold pickled objects, which could run code of their own"
STATE = "program"


class Program(nn.Module):
    """An exported network as a module whose state is the file, as bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.training = False

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Take the file, onto the device that its bytes are on. Raises ValueError if it is not safe, or no network."""
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
    """The network of a file. Raises ValueError for one that is no such file, or that holds pickled objects."""
    try:
        _refuse_pickle(content)
        loaded = torch.export.load(io.BytesIO(content))
        network = move_to_device_pass(loaded, device).module()
    except ValueError:
        raise
    except Exception as error:  # of the many layers below
        raise ValueError(f"not a network that torch.export saved: {str(error).splitlines()[0]}") from None
    for module in network.modules():
        module.training = False  # what they say of themselves; their operations are as they were exported
    return network


def _refuse_pickle(content: bytes) -> None:
    """Raise ValueError where loading would run code: pickled tensors, objects, or sample inputs that are no tensors."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in archive.namelist():
            if name.endswith("_config.json"):
                entries = json.loads(archive.read(name)).get("config", {}).values()
                if any(entry.get("use_pickle") for entry in entries):
                    raise ValueError(f"its tensors {PICKLED}")
            elif "sample_inputs" in name:
                try:
                    torch.load(io.BytesIO(archive.read(name)), weights_only=True)
                except Exception:
                    raise ValueError(f"its sample inputs {PICKLED}") from None
