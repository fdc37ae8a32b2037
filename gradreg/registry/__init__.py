"""The data sets, models, objectives, attacks and recipes that a config can name. Each is a block of a YAML file.

Planning an experiment reads them, so nothing heavy is imported here: ``function`` imports a registered function when it
is needed. docs/extending.md shows how to add one.
"""

import functools
import importlib
import importlib.util
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent
REQUIRED = {
    "datasets": ("function", "image_shape", "classes", "n_train", "n_test", "top", "sha256"),
    "models": ("function",),
    "objectives": ("function",),
    "attacks": ("function",),
    "recipes": ("settings",),
}


def read_yaml(path: Path) -> Any:
    """The content of a YAML file, by the C library where there is one: every command that plans waits for it."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(path.read_text(encoding="utf-8"))
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


@functools.cache
def section(name: str) -> dict[str, dict[str, Any]]:
    """The registrations of a section (datasets, models, objectives, attacks, recipes) by name.

    Raises ValueError, with a one-line message, for an invalid file.
    """
    file = f"gradreg/registry/{name}.yaml"
    try:
        registered: dict[str, dict[str, Any]] = read_yaml(FOLDER / f"{name}.yaml")
    except yaml.YAMLError as error:
        raise ValueError(f"{file}: {' '.join(str(error).split())}") from None
    for kind, registration in registered.items():
        if not re.fullmatch("[a-z][a-z0-9_-]*" if name == "recipes" else "[a-z][a-z0-9_]*", str(kind)):
            raise ValueError(f"{file}: {kind!r} is no valid name; use small letters, digits and _, letter first")
        for key in REQUIRED[name]:
            if not isinstance(registration, dict) or key not in registration:
                raise ValueError(f"{file}: {kind}: {key!r} is missing")
    return registered


def lookup(name: str, kind: str) -> dict[str, Any]:
    """One registration of a section. Raises ValueError for a kind that is not registered."""
    registered = section(name)
    if kind not in registered:
        raise ValueError(f"no {name.removesuffix('s')} {kind!r}; there are {', '.join(registered)}")
    return registered[kind]


def moves(objective: str) -> bool:
    """Whether the strength of an objective is the length of a perturbation, not a factor. Raises like ``lookup``."""
    return lookup("objectives", objective).get("eps") == "length"


def several_norms(objective: str) -> bool:
    """Whether an objective takes several norms together. Raises like ``lookup``."""
    return lookup("objectives", objective).get("norms") == "several"


def module(name: str, kind: str) -> str:
    """The module that has the function of a registration. Raises ValueError like ``lookup``."""
    return str(lookup(name, kind)["function"]).rpartition(".")[0]


def missing(name: str, kind: str) -> str | None:
    """A message if the file of a registration or a package that it needs is missing, else None."""
    file = f"{module(name, kind).replace('.', '/')}.py"
    package = lookup(name, kind).get("package")
    if package and importlib.util.find_spec(package["name"]) is None:
        extra = package["extra"]
        return f"{kind} needs the package {package['name']}: pip install -e '.[{extra}]' -c constraints.txt"
    if (FOLDER.parents[1] / file).exists():
        return None
    return f"gradreg/registry/{name}.yaml names the function {lookup(name, kind)['function']}, but there is no {file}"


def function(name: str, kind: str) -> Callable[..., Any]:
    """The function that a registration names. Raises ValueError like ``lookup``, and if the function does not exist."""
    path = lookup(name, kind)["function"]
    module_name, _, function_name = path.rpartition(".")
    try:
        registered: Callable[..., Any] = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"gradreg/registry/{name}.yaml: {kind}: function: {path}: {error}") from None
    return registered


def bound(name: str, block: Mapping[str, Any]) -> Callable[..., Any]:
    """The function of a kind with the settings beside it, as a block of a config has them. Raises like ``function``."""
    settings = {key: value for key, value in block.items() if key != "kind"}
    return functools.partial(function(name, block["kind"]), **settings)
