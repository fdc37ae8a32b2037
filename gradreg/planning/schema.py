"""The config's schema, with what is registered filled in."""

import functools
from pathlib import Path
from typing import Any

from gradreg import registry

FILE = Path(__file__).with_name("config.schema.yaml")


@functools.cache
def schema() -> Any:
    """The JSON schema of a config."""
    rules = registry.read_yaml(FILE)
    _fill_in(rules)
    return rules


def selectable(section: str) -> list[str]:
    """The kinds of a section that a config can ask for: those that always run are not among them."""
    return [kind for kind, block in registry.section(section).items() if not block.get("always")]


def dereferenced(rules: Any, root: Any) -> Any:
    """A schema with what its $ref names, which its own keys overrule."""
    while "$ref" in rules:
        target = root
        for part in rules["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        rules = {**target, **{key: value for key, value in rules.items() if key != "$ref"}}
    return rules


def _fill_in(rules: Any) -> None:
    """Expand x-registered: a name is one of those registered; a block has the settings of its kind."""
    for nested in rules.values() if isinstance(rules, dict) else rules if isinstance(rules, list) else ():
        _fill_in(nested)
    if not isinstance(rules, dict) or "x-registered" not in rules:
        return
    registered = registry.section(rules["x-registered"])
    if "properties" not in rules:
        rules["enum"] = list(registered)
        return
    kinds = selectable(rules["x-registered"])
    common, rules["properties"] = rules["properties"], {"kind": {"enum": kinds}}
    rules["allOf"] = [_of_kind(kind, registered[kind].get("settings", {}), common) for kind in kinds]


def _of_kind(kind: str, settings: dict[str, Any], common: dict[str, Any]) -> dict[str, Any]:
    """The schema of a block of one kind."""
    return {
        "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
        "then": {
            "x-kind": kind,
            "properties": {"kind": {}, **settings, **common},
            "required": [name for name, setting in settings.items() if "default" not in setting],
            "additionalProperties": False,
        },
    }
