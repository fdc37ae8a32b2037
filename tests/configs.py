"""Configs for tests: a small one, edited and laid over others, and the mistakes that are found in one."""

import copy
from pathlib import Path

import pytest
import yaml

from gradreg.planning.config import ConfigError, resolve

ROOT = Path(__file__).parents[1]
SHIPPED = sorted(ROOT.glob("config/*.yaml"))
BASE = yaml.safe_load("""
experiment: tiny
sweep:
  - dataset: digits
    selection: {n_train: 900, n_validation: 300}
    models: {net: {kind: sigmoid_mlp, units: [8]}}
    eps: {2: [0.1, 0.2]}
    attack: {eps: {2: [0.5]}}
""")
PENALTY = {"kind": "penalty", "eps": {2: [30]}}  # a strength, not a length: it may be larger than the box


def merged(*layers):
    """What Snakemake makes of configs laid over each other: mappings merge, everything else is replaced."""

    def lay(under, over):
        for key, value in over.items():
            if isinstance(value, dict) and isinstance(under.get(key), dict):
                lay(under[key], value)
            else:
                under[key] = copy.deepcopy(value)

    result = {}
    for layer in layers:
        lay(result, layer)
    return result


def edited(**changes):
    """BASE with entries of its sweep replaced; a value of None removes a key."""
    config = copy.deepcopy(BASE)
    entry = config["sweep"][0]
    for key, value in changes.items():
        if value is None:
            del entry[key]
        else:
            entry[key] = value
    return config


def mistakes(config, files=()):
    with pytest.raises(ConfigError) as caught:
        resolve(config, files)
    return str(caught.value).splitlines()
