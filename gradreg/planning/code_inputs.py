"""The files of code that a script's results depend on."""

import ast
import functools
import os
from pathlib import Path

import grimp

PACKAGE = Path(__file__).resolve().parents[1]


def here(file: str) -> str:
    """The path of a file of this project, from the working directory: results may lie elsewhere than the code."""
    return os.path.relpath(PACKAGE.parent / file)


@functools.cache
def _graph() -> grimp.ImportGraph:
    # What only a type checker imports, as the package itself does, changes no result.
    return grimp.build_graph("gradreg", cache_dir=None, exclude_type_checking_imports=True)


def closure(script: str, *modules: str) -> list[str]:
    """The script, and every file of the package that it or one of ``modules`` reaches by imports.

    Packages count with their ``__init__``, unless it is only a docstring, and what that imports. Paths are those of
    ``here``. As the input of a rule, they make Snakemake rerun it when one of them is edited. modules: of
    the registry, which no import shows. Raises ValueError for a module outside the package.
    """
    return _closure(os.getcwd(), script, *modules)


@functools.cache
def _closure(folder: str, script: str, *modules: str) -> list[str]:
    """``closure`` where the working directory is a folder."""
    graph = _graph()
    for module in modules:
        if module not in graph.modules:
            raise ValueError(f"{module} is no module of gradreg")
    reached: set[str] = set()
    waiting = [*_imported(PACKAGE.parent / script), *modules]
    while waiting:
        # ``from gradreg.norms import norm`` names a function of a module, and runs every package above it.
        parts = waiting.pop().split(".")
        names = {".".join(parts[:end]) for end in range(1, len(parts) + 1)}
        new = {name for name in names if name in graph.modules} - reached
        reached |= new
        waiting += [imported for name in new for imported in graph.find_modules_directly_imported_by(name)]
    files = sorted(file for module in reached if _does_something(file := _file(module)))
    return [here(file) for file in (script, *files)]


@functools.cache
def _does_something(file: str) -> bool:
    """Whether a file is more than a docstring. Each input costs time for every job that has it."""
    body = ast.parse((PACKAGE.parent / file).read_text(encoding="utf-8")).body
    return not all(isinstance(statement, ast.Expr) for statement in body)


def _imported(file: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return [name for name in names if name.split(".")[0] == "gradreg"]


def _file(module: str) -> str:
    path = PACKAGE.parent.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return file.relative_to(PACKAGE.parent).as_posix()
