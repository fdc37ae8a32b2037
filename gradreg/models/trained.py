"""Networks that the workflow has trained, for use elsewhere."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gradreg.models import checkpoint
from gradreg.models.preprocessing import Whitening
from gradreg.planning.experiment import Run
from gradreg.planning.jobs import RECORD, WEIGHTS, WHITENING
from gradreg.storage.files import DamagedFileError, read_json

PUBLISHED = Path(__file__).resolve().parents[2] / "results" / "published"


class TrainedNetwork(nn.Module):
    """A network from images (N, C, H, W) in [0, 1] to logits (N, classes).

    trained_with: what ``train.json`` says of it (its cell, all settings, versions); empty where there is none.
    """

    def __init__(self, network: nn.Module, trained_with: Mapping[str, Any]) -> None:
        super().__init__()
        self.network, self.trained_with = network, trained_with

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images."""
        logits: Tensor = self.network(x)
        return logits


def load(source: str | Path, device: str | torch.device = "cpu", whitening: str | Path | None = None) -> TrainedNetwork:
    """A trained network in evaluation mode, with frozen weights.

    source: the folder of a cell, ``results/.../seed-0``, a file of weights, or the name of a network in
    ``results/published``: parts of its path that only this one has, as "mnist/maxout/p-2".
    whitening: its file, for a network that has one; without it, the file is looked for where the workflow keeps it.
    Raises FileNotFoundError where there is nothing to load, and ValueError for a name of several, or for a file that is
    damaged, that is not a network of this package, or that belongs to another whitening.
    """
    if not Path(source).exists():
        source = _published(str(source)) or source
    file = Path(source) / WEIGHTS if Path(source).is_dir() else Path(source)
    if not file.is_file():
        raise FileNotFoundError(f"{file}: there is no trained network")
    record = file.with_name(RECORD)
    try:
        about = read_json(record) if record.is_file() else {}
        if not isinstance(about, dict) or not {"cell", "training"} <= about.keys():
            about = {}  # somebody else's file of that name
        if whitening is None and about.get("whitening"):
            whitening = _whitening(file, about)
        given = None if whitening is None else Whitening.load(whitening)
        network = checkpoint.load(file, device, given)
    except DamagedFileError as error:
        raise ValueError(f"{error.path} cannot be loaded: {error.reason}") from None
    return TrainedNetwork(network, about).eval()


def _published(name: str) -> Path | None:
    """The folder of the published network that has these parts in its path, in their order; None if there is none."""
    experiment, *parts = name.split("/")
    folders = sorted(file.parent for file in (PUBLISHED / experiment / "networks").rglob(WEIGHTS))
    found = [folder for folder in folders if _in_order(parts, folder.relative_to(PUBLISHED / experiment).parts[1:])]
    if len(found) > 1:
        names = ", ".join(str(folder.relative_to(PUBLISHED / experiment / "networks")) for folder in found)
        raise ValueError(f"{name} names {len(found)} published networks: {names}")
    return found[0] if found else None


def _in_order(parts: Sequence[str], among: Sequence[str]) -> bool:
    rest = iter(among)
    return all(part in rest for part in parts)


def _whitening(file: Path, about: dict[str, Any]) -> Path:
    """Where the workflow keeps the whitening of a network: beside the data of the results that the network is among."""
    names = {key: value for key, value in about["cell"].items() if key != "seed"}
    run = Run(**names, skip=about["training"]["skip"])
    name = WHITENING.format(dataset=run.dataset, n_train=run.images).removeprefix("results/")
    for folder in file.resolve().parents:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"{file} was trained on whitened images: give whitening=, the file {name} of its results")
