"""Reading an experiment's config: defaults, the traps of YAML, and every mistake in one line each."""

import copy
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import jsonschema

from gradreg.planning.checks import Mistakes
from gradreg.planning.consistency import check_sweep
from gradreg.planning.messages import explain
from gradreg.planning.numerals import JOIN, LARGEST, NUMBER, Numeral, is_joined, joined
from gradreg.planning.schema import dereferenced, schema
from gradreg.planning.smoke import SUFFIX
from gradreg.planning.yaml_files import KeyPath, YamlFiles

LONGEST_NUMBER, LONGEST_JOINED = 20, 100  # characters


class ConfigError(ValueError):
    """All mistakes of a config, one line each."""


def resolve(
    config: Mapping[str, Any], files: Sequence[str | Path] = (), overrides: Collection[str] = ()
) -> dict[str, Any]:
    """The config with defaults filled in and every number in its canonical spelling.

    config: what the YAML ``files`` merge to; the files, in the order they are laid over each other, only serve to
    say where a mistake stands, as do the keys that --config overrides. Raises ConfigError with one line per mistake.
    """
    rules = schema()
    written = YamlFiles(files, overrides)
    if text := written.too_large():
        raise ConfigError(text)
    resolved = copy.deepcopy(dict(config))
    problems = list(written.duplicates())
    problems += _spell_numbers(resolved)
    _fill(resolved, rules, rules)
    problems += _not_finite(resolved, ())
    if resolved.get("scale") != "smoke" and str(resolved.get("experiment")).endswith(SUFFIX):
        problems.append((("experiment",), f"names that end in {SUFFIX} are those of the smoke scale; take another"))
    validator = jsonschema.Draft202012Validator(rules)
    problems += [item for error in validator.iter_errors(resolved) for item in explain(error, rules)]
    if isinstance(resolved.get("sweep"), list):
        broken = {path[1] for path, _ in problems if len(path) > 1 and path[0] == "sweep"}
        problems += check_sweep({i: e for i, e in enumerate(resolved["sweep"]) if i not in broken})
    if problems:
        lines = dict.fromkeys(f"{written.where(path)}{_dotted(path)}: {text}" for path, text in problems)
        raise ConfigError("\n".join(lines))
    return resolved


def _dotted(path: KeyPath) -> str:
    # What would break a line, as a key with a line end in it, is written as Python writes it.
    names = [key if isinstance(key, int) or str(key).isprintable() else repr(key) for key in path]
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in names)
    return text.lstrip(".") or "config"


def _fill(value: Any, schema: Any, root: Any) -> None:
    """Fill in defaults, and give every number its type: 1e-3, text in YAML 1.1, is one, and 3.0 a whole one."""
    schema = dereferenced(schema, root)
    if isinstance(value, dict) and "allOf" in schema:  # a block of a registered kind
        schema = next((kind["then"] for kind in schema["allOf"] if kind["then"]["x-kind"] == value.get("kind")), schema)
    if isinstance(value, list):  # a schema of alternatives: that for lists
        schema = next((option for option in schema.get("anyOf", ()) if "items" in option), schema)
    if isinstance(value, dict):
        for key, sub in schema.get("properties", {}).items():
            sub = dereferenced(sub, root)
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
        items = dereferenced(schema["items"], root)
        for i, item in enumerate(value):
            value[i] = _number(item, _types(items, root))
            _fill(value[i], items, root)


def _number(value: Any, types: Collection[str]) -> Any:
    """A number of a wanted type, where value means one; else value."""
    number = value
    if isinstance(value, str) and NUMBER.fullmatch(value.strip()):
        number = float(value)
    if isinstance(number, bool) or not isinstance(number, int | float) or _is_too_large(number):
        return value
    if "integer" in types and float(number).is_integer():
        return int(number)
    return float(number) if "number" in types else value


def _types(schema: Any, root: Any) -> set[str]:
    """The types that a schema allows, in any of its alternatives."""
    schema = dereferenced(schema, root)
    types = schema.get("type") or ()
    alternatives = [_types(option, root) for option in schema.get("anyOf", ())]
    return {types} if isinstance(types, str) else set(types).union(*alternatives)


def _spell_numbers(config: dict[str, Any]) -> Mistakes:
    """Make every p, eps, h and size of noise a Numeral, in place; yields the mistakes."""
    entries = config.get("sweep")
    for i, entry in enumerate(entries if isinstance(entries, list) else []):
        yield from _spell_criterion(entry, ("sweep", i, "selection", "by"))
        for path, block in _blocks_with_numbers(entry, ("sweep", i)):
            if path[-2:] == ("attack", "noise"):
                for name, levels in block.items():
                    if isinstance(levels, list):
                        block[name] = yield from _numerals(levels, "noise", (*path, name))
                continue
            for key in ("eps", "h"):
                if isinstance(block.get(key), dict):
                    of_training = key == "eps" and (path[2:] == () or path[-2] == "objectives")
                    block[key] = yield from _numeral_grid(block[key], key, (*path, key), of_training)


def _spell_criterion(entry: Any, path: KeyPath) -> Mistakes:
    """Make p and eps of what settings compete by Numerals, in place; yields the mistakes."""
    by = entry.get("selection") if isinstance(entry, dict) else None
    by = by.get("by") if isinstance(by, dict) else None
    if not isinstance(by, dict) or not {"p", "eps"} <= by.keys() or isinstance(by["p"], list | dict):
        return  # the schema says what is wrong
    grid = yield from _numeral_grid({by["p"]: [by["eps"]]}, "eps", path, True)
    for p, (eps,) in grid.items():
        by |= {"p": p, "eps": eps}


def _blocks_with_numbers(entry: Any, path: KeyPath) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    """The blocks of an entry that have grids of numbers, with their paths."""

    def below(block: Any, *keys: str) -> Any:
        for key in keys:
            block = block.get(key) if isinstance(block, dict) else None
        return block

    single = [(), ("attack",), ("gallery",), ("transfer",), ("attack", "noise")]
    named = [
        (*keys, name)
        for keys in (("attack", "strong"), ("objectives",))
        if isinstance(below(entry, *keys), dict)
        for name in below(entry, *keys)
    ]
    for keys in (*single, *named):
        if isinstance(below(entry, *keys), dict):
            yield (*path, *keys), below(entry, *keys)


def _numeral_grid(grid: dict[Any, Any], what: str, path: KeyPath, may_join: bool) -> Any:
    result: dict[str, Any] = {}
    for key, values in grid.items():
        if may_join and isinstance(key, str) and is_joined(key):
            yield from _joined_norms(key, values, result, path)
            continue
        try:
            p = Numeral(key)
        except ValueError:
            yield path, f"{key!r} is not a norm; write a number from 1 up, or inf"
            result[str(key)] = ["1"] if isinstance(values, list) else "1"  # so that it is reported once
            continue
        if p.value < 1:
            yield path, f"p = {key} is not a norm; p is a number from 1 up, or inf"
        yield from _too_long(p, path)
        if p in result:
            yield path, f"p = {p} is listed twice"
        if values is None:
            result[p] = None
            continue
        single = not isinstance(values, list)
        numbers = yield from _numerals([values] if single else values, what, (*path, str(key)), single)
        result[p] = numbers[0] if single and numbers else numbers
    return result


def _joined_norms(key: str, values: Any, result: dict[str, Any], path: KeyPath) -> Mistakes:
    """Several norms together, "1+2+inf", with an eps for each at a time, [4, 1.5, 0.1] or "4+1.5+0.1"."""
    names = key.split(JOIN)
    result[key] = [JOIN.join("1" * len(names))]  # so that a mistake is reported once
    norms: list[Any] = []
    for name in names:
        norms += yield from _numeral_grid({name: None}, "p", path, False)
    if not all(isinstance(p, Numeral) for p in norms):
        return
    if len(set(norms)) < len(norms):
        yield path, f"{key} has a norm twice"
        return
    order = sorted(range(len(norms)), key=lambda i: norms[i].value)
    strengths: list[Any] = []
    for j, written in enumerate(values if isinstance(values, list) else [values]):
        parts = written if isinstance(written, list) else str(written).split(JOIN)
        at = (*path, key, j)
        if len(parts) != len(norms):
            yield at, f"{written} has {len(parts)} values for the {len(norms)} norms of {key}; write [4, 1.5, 0.1]"
            return
        numbers: list[Any] = []
        for part in parts:
            numbers += yield from _numerals([part], "eps", at, True)
        if not all(isinstance(number, Numeral) for number in numbers):
            return
        strengths.append(joined(numbers[i] for i in order))
        if strengths[-1] in strengths[:-1]:
            yield at, f"{written} is listed twice"
    del result[key]
    p = joined(norms[i] for i in order)
    for text in (p, *strengths):
        yield from _too_long(text, path, LONGEST_JOINED)
    if p in result:
        yield path, f"p = {p} is listed twice"
    result[p] = strengths


def _numerals(values: list[Any], what: str, path: KeyPath, single: bool = False) -> Any:
    """Positive numbers, each once; yields the mistakes."""
    seen: dict[float, object] = {}
    numbers: list[str] = []
    for j, written in enumerate(values):
        at = path if single else (*path, j)
        try:
            number = Numeral(written)
        except ValueError:
            text = f"{written!r} is not a number; write 0.1, 1e-3 or 8/255"
            with suppress(ValueError, TypeError):
                if float(written) < 0:
                    text = f"must be positive, not {written}"
            yield at, text
            numbers.append(str(written))
            continue
        if not 0 < number.value < math.inf:
            hint = "; eps = 0 is the baseline, which is always there" if what == "eps" else ""
            yield at, f"{what} must be positive and finite, not {written}{hint}"
        yield from _too_long(number, at)
        if number.value in seen:
            yield at, f"{written} is the same number as {seen[number.value]}"
        seen[number.value] = written
        numbers.append(number)
    return numbers


def _too_long(number: str, path: KeyPath, most: int = LONGEST_NUMBER) -> Mistakes:
    """A spelling that is no part of a file name."""
    if len(number) > most:
        shown = f"{number[:LONGEST_NUMBER]}..."
        yield path, f"{shown} has {len(number)} characters; {most} are the most; 1/3 is a number too"


def _is_too_large(value: Any) -> bool:
    return isinstance(value, int) and abs(value) > LARGEST


def _not_finite(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """Infinities, whole numbers that no float holds, and nan: YAML has them as numbers, no setting does."""
    if _is_too_large(value):
        yield path, "is too large a number"
    if isinstance(value, float) and not math.isfinite(value):
        yield path, f"{value} is not a finite number"
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _not_finite(item, (*path, key))
