"""What all measurements share: turns, medians with intervals, tables, the machine."""

import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from scipy import stats

from gradreg.planning.machine import processor

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "workflow" / "scripts"
DENSE = {"kind": "maxout", "units": [240, 240], "pieces": 5, "init": 0.005, "keep_input": 1.0, "keep_hidden": 1.0}


def in_turn(functions: Mapping[Any, Callable[[], Any]], rounds: int, warm: int = 1) -> dict[Any, list[Any]]:
    """What each function returns, round by round; all take turns, so that a machine's moods meet them alike.

    The first ``warm`` rounds are not kept.
    """
    found: dict[Any, list[Any]] = {name: [] for name in functions}
    for turn in range(rounds + warm):
        for name, function in functions.items():
            value = function()
            if turn >= warm:
                found[name].append(value)
    return found


def timed(function: Callable[[], object]) -> float:
    """The seconds that a call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def command(arguments: Iterable[object], folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a command in a copy of the project, on its package and on one thread; an error ends the measurement."""
    environment = os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    done = subprocess.run([str(a) for a in arguments], env=environment, cwd=folder, text=True, capture_output=True)
    if done.returncode:
        sys.exit(f"{' '.join(str(a) for a in arguments)[:200]}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done


def summary(values: Sequence[float]) -> dict[str, float]:
    """The median, and the interval between order statistics with 95 % coverage (or all there are)."""
    ordered = sorted(values)
    n = len(ordered)
    # The k-th smallest and k-th largest: coverage 1 - 2 P(Binomial(n, 1/2) < k).
    k = max((k for k in range(1, n // 2 + 1) if 2 * stats.binom.cdf(k - 1, n, 0.5) <= 0.05), default=1)
    return {"median": statistics.median(ordered), "low": ordered[k - 1], "high": ordered[n - k], "n": n}


def ratios(values: Sequence[float], base: Sequence[float]) -> dict[str, float]:
    """``summary`` of what was measured in the same round as the base, in its units."""
    return summary([own / unit for own, unit in zip(values, base, strict=True)])


def shown(own: Mapping[str, float] | None, digits: int = 2) -> str:
    """ "1.89 (1.85-1.93)"; a dash for nothing."""
    if own is None or math.isnan(own["median"]):
        return "–"
    return f"{own['median']:.{digits}f} ({own['low']:.{digits}f}-{own['high']:.{digits}f})"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(str(cell) for cell in line) + " |\n" for line in lines)


def machine(device: torch.device) -> dict[str, Any]:
    """What was measured on."""
    name, extensions = processor()
    return {
        "cpu": name,
        "cores": os.cpu_count(),
        "bfloat16 in hardware": [flag for flag in ("avx512_bf16", "amx_bf16") if flag in extensions],
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "commit": command(["git", "describe", "--always", "--dirty=+", "--exclude=*"]).stdout.strip(),
        "date": time.strftime("%Y-%m-%d"),
    }
