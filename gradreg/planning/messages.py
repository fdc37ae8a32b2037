"""What a violation of the config's schema means to the person who wrote the config."""

import difflib
from collections.abc import Mapping
from typing import Any

import jsonschema

from gradreg.planning.checks import Mistakes
from gradreg.planning.schema import dereferenced
from gradreg.planning.yaml_files import KeyPath

LONGEST = 100  # characters that are shown of a wrong value
TYPES = {
    "integer": "a whole number",
    "number": "a number",
    "object": "a block of keys",
    "array": "a list",
    "string": "text",
    "null": "null",
    "boolean": "true or false",
}
BOUNDS = {"minimum": "at least", "exclusiveMinimum": "more than", "maximum": "at most", "exclusiveMaximum": "less than"}


def explain(error: jsonschema.ValidationError, root: Any) -> Mistakes:
    """Where each mistake behind a violation stands, and what it is; root: the whole schema."""
    path: KeyPath = tuple(error.absolute_path)
    schema: Any = error.schema
    value: Any = error.instance
    if error.validator == "additionalProperties":
        for key in value.keys() - schema["properties"].keys():
            yield (*path, key), _unknown_key(str(key), schema)
    elif error.validator == "required":
        rules: Any = error.validator_value
        for key in [key for key in rules if key not in value]:
            about = dereferenced(schema["properties"][key], root).get("description")
            yield path, f"{key!r} is missing" + (f" ({about})" if about else "")
    else:
        yield path, _wrong_value(error, schema)


def _unknown_key(key: str, schema: Mapping[str, Any]) -> str:
    known = list(schema["properties"])
    close = difflib.get_close_matches(key, known, 1, 0.5)
    if close:
        return f"unknown key; did you mean {close[0]!r}?"
    if "x-kind" in schema:
        names = ", ".join(name for name in known if name != "kind")
        return f"kind {schema['x-kind']} has no such setting; it has {names}"
    return f"unknown key; known here: {', '.join(known)}"


def _wrong_value(error: jsonschema.ValidationError, schema: Mapping[str, Any]) -> str:
    value: Any = error.instance
    rule: Any = error.validator_value
    shown = repr(value) if len(repr(value)) <= LONGEST else f"{repr(value)[:LONGEST]}..."
    validator = str(error.validator)
    if value is None:
        return "is empty; give it a value or remove the line"
    if validator == "enum":
        known = [str(item) for item in rule]
        close = difflib.get_close_matches(str(value), known, 1, 0.5)
        return f"{shown} is none of {', '.join(known)}" + (f"; did you mean {close[0]!r}?" if close else "")
    if validator == "type":
        types = rule if isinstance(rule, list) else [rule]
        if isinstance(value, bool) and "string" in types:
            return f"YAML reads this as {str(value).lower()}; put quotes around off, on, no and yes"
        shown = f"{str(value).lower()}, as YAML reads this," if isinstance(value, bool) else shown
        return f"{shown} is not {schema.get('x-means') or ' or '.join(TYPES[name] for name in types)}"
    if validator in BOUNDS:
        number = f"{value:g}" if isinstance(value, float) else shown
        return f"{number} must be {BOUNDS[validator]} {rule}"
    if validator in ("minItems", "minProperties"):
        return "is empty; it needs at least one entry"
    if validator == "pattern":
        return f"{shown} is no name; use small letters, digits and hyphens, and start with a letter"
    if validator == "maxLength":
        return f"{shown} is too long; {rule} characters are the most"
    if validator == "not" and "x-not" in schema:
        return f"{shown} {schema['x-not']}; take another"
    if validator == "anyOf":
        return f"{shown} is not {schema['x-means']}"
    return f"{shown} is not allowed here"
