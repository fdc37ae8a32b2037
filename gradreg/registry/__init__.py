"""What a config can name: data sets, models, objectives, attacks and recipes, one block of a YAML file each.

Plain data, read wherever an experiment is planned, so nothing heavy is imported here; the functions behind the names
are imported when they are called for. docs/extending.md shows how to add one.
"""

import functools
import importlib
import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent
NEEDED = {
    "datasets": ("function", "image_shape", "classes", "n_train", "n_test", "top", "sha256"),
    "models": ("function",),
    "objectives": ("function",),
    "attacks": ("function",),
    "recipes": ("settings",),
}


@functools.cache
def section(name: str) -> dict[str, dict[str, Any]]:
    """The registrations of a section (datasets, models, objectives, attacks, recipes), by their names.

    Raises ValueError, in one line, for a file that is not as it should be.
    """
    where = f"gradreg/registry/{name}.yaml"
    try:
        registered: dict[str, dict[str, Any]] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{where}: {' '.join(str(error).split())}") from None
    for kind, own in registered.items():
        if not re.fullmatch("[a-z][a-z0-9_-]*" if name == "recipes" else "[a-z][a-z0-9_]*", str(kind)):
            raise ValueError(f"{where}: {kind!r} is no name; use small letters, digits and _, and start with a letter")
        for key in NEEDED[name]:
            if not isinstance(own, dict) or key not in own:
                raise ValueError(f"{where}: {kind}: {key!r} is missing")
    return registered


def lookup(name: str, kind: str) -> dict[str, Any]:
    """One registration of a section. Raises ValueError for a kind that is not registered."""
    registered = section(name)
    if kind not in registered:
        raise ValueError(f"no {name.removesuffix('s')} {kind!r}; there are {', '.join(registered)}")
    return registered[kind]


def moves(objective: str) -> bool:
    """Whether the strength of an objective is the length of a perturbation, not a factor. Raises as ``lookup``."""
    return lookup("objectives", objective).get("eps") == "length"


def module(name: str, kind: str) -> str:
    """The module that holds the function of a registration. Raises ValueError as ``lookup``."""
    return str(lookup(name, kind)["function"]).rpartition(".")[0]


def missing(name: str, kind: str) -> str | None:
    """What a registration lacks: its file, or a package that it needs; None where all is there."""
    file = f"{module(name, kind).replace('.', '/')}.py"
    package = lookup(name, kind).get("package")
    if package and importlib.util.find_spec(package["name"]) is None:
        extra = package["extra"]
        return f"{kind} needs the package {package['name']}: pip install -e '.[{extra}]' -c constraints.txt"
    if (FOLDER.parents[1] / file).exists():
        return None
    return f"gradreg/registry/{name}.yaml names the function {lookup(name, kind)['function']}, but there is no {file}"


def function(name: str, kind: str) -> Callable[..., Any]:
    """The function that a registration names. Raises ValueError as ``lookup``, and where there is no such function."""
    path = lookup(name, kind)["function"]
    home, _, own = path.rpartition(".")
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(home), own)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"gradreg/registry/{name}.yaml: {kind}: function: {path}: {error}") from None
    return found
