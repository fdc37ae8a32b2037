"""What the workflow needs to know of the code: the files that a script's results depend on."""

import ast
import functools
import os
import shutil
from pathlib import Path

import grimp

PACKAGE = Path(__file__).parents[1]


@functools.cache
def _graph() -> grimp.ImportGraph:
    # What only a type checker imports, as the package itself does, changes no result.
    return grimp.build_graph("gradreg", cache_dir=None, exclude_type_checking_imports=True)


@functools.cache
def closure(script: str, *modules: str) -> list[str]:
    """The script, and every file of the package that it or one of ``modules`` reaches by imports.

    Relative to the package's parent. Listed as a rule's input, they make Snakemake rerun the rule when one of them is
    edited, and no other does. modules: those that the registry names, which no import shows. Raises ValueError for a
    module outside the package.
    """
    graph = _graph()
    for module in modules:
        if module not in graph.modules:
            raise ValueError(f"{module} is no module of gradreg")
    reached = set()
    for name in [*_imported(PACKAGE.parent / script), *modules]:
        parts = name.split(".")
        # ``from gradreg.norms import norm`` names a function of a module, and imports every package above it.
        reached |= {module for end in range(1, len(parts) + 1) if (module := ".".join(parts[:end])) in graph.modules}
    for module in list(reached):
        reached |= graph.find_upstream_modules(module)
    for module in list(reached):
        reached |= {parent for end in range(1, module.count(".") + 1) if (parent := module.rsplit(".", end)[0])}
    return [script, *sorted(_file(module) for module in reached)]


def has_gpu() -> bool:
    """Whether this machine seems to have a usable NVIDIA GPU; asked without torch, which is slow to import."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return not hidden and shutil.which("nvidia-smi") is not None and Path("/dev/nvidiactl").exists()


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
