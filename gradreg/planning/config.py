"""Reading an experiment's config: defaults, the traps of YAML, and every mistake in one line each."""

import copy
import difflib
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from gradreg.planning.checks import KeyPath, check_entries, schema
from gradreg.planning.numerals import NUMBER, canonical, parse

LONGEST = 100  # what is shown of a value that is wrong


class ConfigError(ValueError):
    """All mistakes of a config, one line each."""


def resolve(config: Mapping[str, Any], files: Sequence[str | Path] = ()) -> dict[str, Any]:
    """The config with defaults filled in and every number in its canonical spelling.

    config: what the YAML ``files`` merge to; the files, in the order they are laid over each other, only serve to
    say where a mistake stands. Raises ConfigError with one line per mistake.
    """
    rules = schema()
    resolved = copy.deepcopy(dict(config))
    sources = _Sources(files)
    problems = list(sources.duplicates())
    problems += _canonical_grids(resolved)
    _fill(resolved, rules, rules)
    problems += _not_finite(resolved, ())
    validator = jsonschema.Draft202012Validator(rules)
    problems += [item for error in validator.iter_errors(resolved) for item in _explain(error, rules)]
    if isinstance(resolved.get("sweep"), list):
        broken = {path[1] for path, _ in problems if len(path) > 1 and path[0] == "sweep"}
        problems += check_entries({i: e for i, e in enumerate(resolved["sweep"]) if i not in broken})
    if problems:
        lines = dict.fromkeys(f"{sources.where(path)}{_dotted(path)}: {text}" for path, text in problems)
        raise ConfigError("\n".join(lines))
    return resolved


def _dotted(path: KeyPath) -> str:
    # What would break a line, as a key with a line end in it, is written as Python writes it.
    names = [key if isinstance(key, int) or str(key).isprintable() else repr(key) for key in path]
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in names)
    return text.lstrip(".") or "config"


def _deref(schema: Any, root: Any) -> Any:
    while "$ref" in schema:
        target = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
    return schema


def _fill(value: Any, schema: Any, root: Any) -> None:
    """Fill in defaults, and give every number its type: 1e-3, text in YAML 1.1, is one, and 3.0 a whole one."""
    schema = _deref(schema, root)
    if isinstance(value, dict) and "allOf" in schema:  # a block of a registered kind
        schema = next((own["then"] for own in schema["allOf"] if own["then"]["x-kind"] == value.get("kind")), schema)
    if isinstance(value, list):  # a schema of alternatives: that for lists
        schema = next((option for option in schema.get("anyOf", ()) if "items" in option), schema)
    if isinstance(value, dict):
        for key, sub in schema.get("properties", {}).items():
            sub = _deref(sub, root)
            if key not in value and "default" in sub:
                value[key] = copy.deepcopy(sub["default"])
            if key not in value:
                continue
            value[key] = _number(value[key], _types(sub, root))
            _fill(value[key], sub, root)
        for key in value.keys() - schema.get("properties", {}).keys():
            if isinstance(schema.get("additionalProperties"), dict):
                _fill(value[key], schema["additionalProperties"], root)
    elif isinstance(value, list) and "items" in schema:
        items = _deref(schema["items"], root)
        for i, item in enumerate(value):
            value[i] = _number(item, _types(items, root))
            _fill(value[i], items, root)


def _number(value: Any, types: Collection[str]) -> Any:
    """A number of a wanted type, where value means one; else value."""
    number = value
    if isinstance(value, str) and NUMBER.fullmatch(value.strip()):
        number = float(value)
    if isinstance(number, bool) or not isinstance(number, int | float):
        return value
    if "integer" in types and float(number).is_integer():
        return int(number)
    return float(number) if "number" in types else value


def _types(schema: Any, root: Any) -> set[str]:
    """The types that a schema allows, in any of its alternatives."""
    schema = _deref(schema, root)
    own = schema.get("type") or ()
    return {own} if isinstance(own, str) else set(own).union(*(_types(o, root) for o in schema.get("anyOf", ())))


def _canonical_grids(config: dict[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Bring every p and eps to its canonical spelling, in place; yields the mistakes."""
    entries = config.get("sweep")
    for i, entry in enumerate(entries if isinstance(entries, list) else []):
        if not isinstance(entry, dict):
            continue
        places: list[tuple[KeyPath, dict[str, Any]]] = [(("sweep", i), entry)]
        places += [
            (("sweep", i, key), entry[key])
            for key in ("attack", "gallery", "transfer")
            if isinstance(entry.get(key), dict)
        ]
        attack = entry["attack"] if isinstance(entry.get("attack"), dict) else {}
        noise = attack["noise"] if isinstance(attack.get("noise"), dict) else {}
        for name, levels in noise.items():
            if isinstance(levels, list):
                noise[name] = yield from _canonical_labels(levels, "noise", ("sweep", i, "attack", "noise", name))
        strong = attack.get("strong")
        for name, own in strong.items() if isinstance(strong, dict) else ():
            if isinstance(own, dict):
                places.append((("sweep", i, "attack", "strong", name), own))
        objectives = entry.get("objectives")
        for name, definition in objectives.items() if isinstance(objectives, dict) else ():
            if isinstance(definition, dict):
                places.append((("sweep", i, "objectives", name), definition))
        for path, place in places:
            for key in ("eps", "h"):
                if isinstance(place.get(key), dict):
                    place[key] = yield from _canonical_grid(place[key], key, (*path, key))


def _canonical_grid(grid: dict[Any, Any], what: str, path: KeyPath) -> Any:
    result: dict[str, Any] = {}
    for key, values in grid.items():
        try:
            p = canonical(key)
        except ValueError:
            yield path, f"{key!r} is not a norm; write a number from 1 up, or inf"
            result[str(key)] = ["1"] if isinstance(values, list) else "1"  # so that it is told of once
            continue
        if parse(p) < 1 or "/" in p:
            yield path, f"p = {key} is not a norm; p is a decimal number from 1 up, or inf"
        if p in result:
            yield path, f"p = {p} is listed twice"
        if values is None:
            result[p] = None
            continue
        single = not isinstance(values, list)
        labels = yield from _canonical_labels([values] if single else values, what, (*path, str(key)), single)
        result[p] = labels[0] if single and labels else labels
    return result


def _canonical_labels(values: list[Any], what: str, path: KeyPath, single: bool = False) -> Any:
    """The canonical spelling of positive numbers, each once; yields the mistakes."""
    seen: dict[float, object] = {}
    labels = []
    for j, written in enumerate(values):
        at = path if single else (*path, j)
        try:
            label = canonical(written)
        except ValueError:
            yield at, f"{written!r} is not a number; write 0.1, 1e-3 or 8/255"
            labels.append(str(written))
            continue
        number = parse(label)
        if not 0 < number < math.inf:
            hint = "; eps = 0 is the baseline, which is always there" if what == "eps" else ""
            yield at, f"{what} must be positive and finite, not {written}{hint}"
        if number in seen:
            yield at, f"{written} is the same number as {seen[number]}"
        seen[number] = written
        labels.append(label)
    return labels


def _not_finite(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """Infinities and nan: YAML has them as numbers, no setting does."""
    if isinstance(value, float) and not math.isfinite(value):
        yield path, f"{value} is not a finite number"
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _not_finite(item, (*path, key))


def _explain(error: jsonschema.ValidationError, root: Any) -> Iterator[tuple[KeyPath, str]]:
    """What a schema violation means to the person who wrote the config."""
    path: KeyPath = tuple(error.absolute_path)
    value: Any = error.instance
    shown = repr(value) if len(repr(value)) <= LONGEST else f"{repr(value)[:LONGEST]}..."
    schema: Any = error.schema
    rule: Any = error.validator_value
    if error.validator == "additionalProperties":
        known = list(schema["properties"])
        for key in value.keys() - set(known):
            close = difflib.get_close_matches(str(key), known, 1, 0.5)
            if close:
                yield (*path, key), f"unknown key; did you mean {close[0]!r}?"
            elif "x-kind" in schema:
                having = ", ".join(name for name in known if name != "kind")
                yield (*path, key), f"kind {schema['x-kind']} has no such setting; it has {having}"
            else:
                yield (*path, key), f"unknown key; known here: {', '.join(known)}"
    elif error.validator == "required":
        for key in rule:
            if key not in value:
                about = _deref(schema["properties"][key], root).get("description")
                yield path, f"{key!r} is missing" + (f" ({about})" if about else "")
    elif value is None:
        yield path, "is empty; give it a value or remove the line"
    elif error.validator == "enum":
        known = [str(item) for item in rule]
        close = difflib.get_close_matches(str(value), known, 1, 0.5)
        yield path, f"{shown} is none of {', '.join(known)}" + (f"; did you mean {close[0]!r}?" if close else "")
    elif error.validator == "type" and isinstance(value, bool):
        yield path, f"YAML reads this as {str(value).lower()}; put quotes around off, on, no and yes"
    elif error.validator == "type":
        wanted = {
            "integer": "a whole number",
            "number": "a number",
            "object": "a block of keys",
            "array": "a list",
            "string": "text",
            "null": "null",
            "boolean": "true or false",
        }
        kinds = rule if isinstance(rule, list) else [rule]
        means = schema.get("x-means") or " or ".join(wanted[kind] for kind in kinds)
        yield path, f"{shown} is not {means}"
    elif error.validator in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"):
        words = {
            "minimum": "at least",
            "exclusiveMinimum": "more than",
            "maximum": "at most",
            "exclusiveMaximum": "less than",
        }
        yield path, f"{value:g} must be {words[str(error.validator)]} {rule}"
    elif error.validator in ("minItems", "minProperties"):
        yield path, "is empty; it needs at least one entry"
    elif error.validator == "pattern":
        yield path, f"{shown} is no name; use small letters, digits and hyphens, and start with a letter"
    elif error.validator == "anyOf":
        yield path, f"{shown} is not {schema['x-means']}"
    else:
        yield path, f"{shown} is not allowed here"


class _Sources:
    """The YAML files of a config, as trees that know their line numbers."""

    def __init__(self, files: Sequence[str | Path]) -> None:
        self.trees = []
        for file in files:
            with open(file, encoding="utf-8") as stream:
                self.trees.append((file, yaml.compose(stream, yaml.SafeLoader)))

    def where(self, path: KeyPath) -> str:
        """ "FILE:LINE: " of the longest part of a key path that a file holds, the last file first."""
        for length in range(len(path), -1, -1):
            for file, tree in reversed(self.trees):
                line = self._line(tree, path[:length])
                if line is not None:
                    return f"{file}:{line}: " if length else f"{file}: "
        return ""

    @staticmethod
    def _line(node: Any, path: KeyPath) -> int | None:
        line: int | None = 1
        for key in path:
            if isinstance(node, yaml.MappingNode):
                found = [(k, v) for k, v in node.value if k.value == str(key)]
                if not found:
                    return None
                line, node = found[-1][0].start_mark.line + 1, found[-1][1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
                node = node.value[key]
                line = node.start_mark.line + 1
            else:
                return None
        return line

    def duplicates(self) -> Iterator[tuple[KeyPath, str]]:
        """Keys that stand twice in one block: YAML silently keeps the last."""
        for file, tree in self.trees:
            for path, line in self._duplicates(tree, ()):
                yield path, f"this key stands twice in one block (again in line {line} of {file})"

    def _duplicates(self, node: Any, path: KeyPath) -> Iterator[tuple[KeyPath, int]]:
        if isinstance(node, yaml.MappingNode):
            seen = set()
            for key, value in node.value:
                here = (*path, key.value)
                name = _spelling(key.value)
                if name in seen:
                    yield here, key.start_mark.line + 1
                seen.add(name)
                yield from self._duplicates(value, here)
        elif isinstance(node, yaml.SequenceNode):
            for i, item in enumerate(node.value):
                yield from self._duplicates(item, (*path, i))


def _spelling(key: str) -> str:
    """A key as Python compares it: 2 and 2.0 are one."""
    try:
        return canonical(key)
    except ValueError:
        return key
