"""Configs with random changes, as hands and editors make them."""

import copy
import datetime
import math
from pathlib import Path

import yaml
from configs import BASE, SHIPPED, merged
from hypothesis import strategies as st
from project import TINY

from gradreg.planning.schema import schema

ROOT = Path(__file__).parents[1]
DEFAULT = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
VALID = [BASE, TINY | {"sweep": TINY["sweep"][:1]}, DEFAULT]
VALID += [merged(DEFAULT, yaml.safe_load(file.read_text(encoding="utf-8"))) for file in SHIPPED]


def _names(rules, names):
    if isinstance(rules, dict):
        names |= rules.get("properties", {}).keys() | {str(item) for item in rules.get("enum", ())}
        for nested in rules.values():
            _names(nested, names)
    elif isinstance(rules, list):
        for nested in rules:
            _names(nested, names)
    return names


NAMES = sorted(_names(schema(), {"plain", "perturb", "softmax", "1.5", "8/255", "all", "none", "inf"}))
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 2000),
    st.sampled_from([10**30, -(10**30), math.inf, -math.inf, math.nan, 1e-400, 1e400, 0.0, -0.0, 0.5, 8_255]),
    st.floats(),
    st.sampled_from(
        ["", " ", "1e-3", "8/255", "1/0", "0/0", "1e999", "-1", "inf", "nan", ".inf", "NaN", "٣", "½", "ü"]
    ),
    st.sampled_from(NAMES),
    st.text(max_size=5),
    st.just(datetime.date(2015, 11, 14)),
    st.binary(max_size=2),
)
keys = scalars.filter(lambda key: key == key)  # not nan, which is another key each time
values = st.recursive(
    scalars, lambda items: st.lists(items, max_size=3) | st.dictionaries(keys, items, max_size=3), max_leaves=5
)


def places(value, path=()):
    """Every container of a config and the keys in it: (path of the container, key)."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(items):
        yield path, key
        yield from places(item, (*path, key))


def mutated(draw):
    """A valid config after one to three changes."""
    config = copy.deepcopy(draw(st.sampled_from(VALID)))
    for _ in range(draw(st.integers(1, 3))):
        known = list(places(config))
        if not known:
            return config
        path, key = draw(st.sampled_from(known))
        owner = config
        for step in path:
            owner = owner[step]
        change = draw(st.sampled_from(["replace", "delete", "rename", "add", "repeat", "wrap", "text"]))
        if change == "replace":
            owner[key] = draw(values)
        elif change == "delete":
            del owner[key]
        elif change == "rename" and isinstance(owner, dict):
            owner[draw(st.sampled_from(NAMES) | keys)] = owner.pop(key)
        elif change == "add" and isinstance(owner, dict):
            owner[draw(st.sampled_from(NAMES) | keys)] = draw(values)
        elif change == "repeat":
            owner[key] = [copy.deepcopy(owner[key])] * draw(st.integers(0, 3))
        elif change == "wrap":
            owner[key] = {draw(st.sampled_from(NAMES)): owner[key]}
        elif change == "text":
            owner[key] = str(owner[key])
    return config
