"""The YAML files behind a config: in which line a key stands, and keys that stand twice."""

import math
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from gradreg.planning.numerals import canonical

KeyPath = tuple[str | int, ...]
LARGEST_FILE = 1_000_000  # values, those that stand for others counted each time


def fault(file: str | Path) -> str | None:
    """Where a file is not YAML, and why, in one line; None where it is. Snakemake's own message says neither."""
    try:
        yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        return f"{file}{line}: not YAML: {' '.join(part for part in (error.context, error.problem) if part)}"
    except (yaml.YAMLError, ValueError) as error:  # a date that is none, bytes that are no text
        return f"{file}: not YAML: {' '.join(str(error).split())}"
    return None


class YamlFiles:
    """The YAML files of a config, as trees that know their line numbers.

    overrides: the keys that --config sets, and no file.
    """

    def __init__(self, files: Sequence[str | Path], overrides: Collection[str] = ()) -> None:
        self.overrides = overrides
        self.trees = []
        for file in files:
            text = Path(file).read_text(encoding="utf-8")
            self.trees.append((file, yaml.compose(text.expandtabs(), yaml.SafeLoader)))  # JSON may have tabs

    def too_large(self) -> str | None:
        """Which file holds itself, or far more than it has lines: what follows could not be read to an end."""
        for file, tree in self.trees:
            size = _size(tree, {})
            if size > LARGEST_FILE:
                what = (
                    "a value that holds itself" if math.isinf(size) else f"{size:.0f} values, with those that * repeats"
                )
                return f"{file}: has {what}"
        return None

    def where(self, path: KeyPath) -> str:
        """ "FILE:LINE: " of the longest part of a key path that a file holds, the last file first."""
        if path and path[0] in self.overrides:
            return "--config: "
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
                pairs = [(k, v) for k, v in node.value if k.value == str(key)]
                if not pairs:
                    return None
                line, node = pairs[-1][0].start_mark.line + 1, pairs[-1][1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
                node = node.value[key]
                line = node.start_mark.line + 1
            else:
                return None
        return line

    def duplicates(self) -> Iterator[tuple[KeyPath, str]]:
        """Keys that stand twice in one block: YAML silently keeps the last."""
        for file, tree in self.trees:
            for path, line in self._duplicates(tree, (), set()):
                yield path, f"this key stands twice in one block (first in line {line} of {file})"

    def _duplicates(self, node: Any, path: KeyPath, seen_nodes: set[int]) -> Iterator[tuple[KeyPath, int]]:
        if id(node) in seen_nodes:  # an alias of it
            return
        seen_nodes.add(id(node))
        if isinstance(node, yaml.MappingNode):
            seen: dict[str, int] = {}
            for key, value in node.value:
                here = (*path, key.value)
                name = _spelling(key.value)
                if name in seen:
                    yield here, seen[name]
                seen.setdefault(name, key.start_mark.line + 1)
                yield from self._duplicates(value, here, seen_nodes)
        elif isinstance(node, yaml.SequenceNode):
            for i, item in enumerate(node.value):
                yield from self._duplicates(item, (*path, i), seen_nodes)


def _size(node: Any, known: dict[int, float]) -> float:
    """How many values a tree has when all aliases are written out; infinite where it holds itself."""
    if id(node) not in known:
        known[id(node)] = math.inf  # until it is known: what is met again below holds itself
        children: list[Any] = []
        if isinstance(node, yaml.MappingNode):
            children = [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            children = node.value
        known[id(node)] = 1 + sum(_size(child, known) for child in children)
    return known[id(node)]


def _spelling(key: str) -> str:
    """A key as Python compares it: 2 and 2.0 are one."""
    try:
        return canonical(key)
    except ValueError:
        return key
