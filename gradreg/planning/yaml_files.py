"""The YAML files behind a config: in which line a key stands, and keys that stand twice."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from gradreg.planning.checks import KeyPath
from gradreg.planning.numerals import canonical


class YamlFiles:
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
            for path, line in self._duplicates(tree, ()):
                yield path, f"this key stands twice in one block (first in line {line} of {file})"

    def _duplicates(self, node: Any, path: KeyPath) -> Iterator[tuple[KeyPath, int]]:
        if isinstance(node, yaml.MappingNode):
            seen: dict[str, int] = {}
            for key, value in node.value:
                here = (*path, key.value)
                name = _spelling(key.value)
                if name in seen:
                    yield here, seen[name]
                seen.setdefault(name, key.start_mark.line + 1)
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
