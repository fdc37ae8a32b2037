"""Tidy tables of measurements, as CSV files. Names and the numerals of a config, such as eps, stay text."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from gradreg.storage.files import atomic_path, reading

CELL = ["dataset", "n_train", "model", "objective", "p", "eps", "seed"]
MEASUREMENT = ["part", "attack", "attack_p", "attack_eps", "metric", "value", "n", "flags"]
NUMBERS = ["value", "loss", "error", "held_out_loss", "held_out_error", "watched_error"]
NUMBERS += ["probe_error_1", "probe_error_5", "participation_ratio"]
TEXT = ["dataset", "model", "objective", "p", "eps", "part", "attack", "attack_p", "attack_eps", "metric", "flags"]
TEXT += [f"{side}_{name}" for side in ("source", "target") for name in ("model", "objective", "p", "eps", "images")]


def write(path: str | Path, rows: pd.DataFrame | Iterable[Mapping[str, Any]]) -> None:
    """Write rows as CSV, atomically."""
    table = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False)


def read(path: str | Path) -> pd.DataFrame:
    """The table that ``write`` wrote. Columns of TEXT are text, even where they say "inf" or "none"."""
    types = dict.fromkeys(TEXT, str)
    empty = {name: [""] for name in NUMBERS}
    with reading(path):
        return pd.read_csv(path, dtype=types, keep_default_na=False, na_values=empty)


def read_all(paths: Iterable[str | Path]) -> pd.DataFrame:
    """The rows of several files in one table."""
    return pd.concat([read(path) for path in paths], ignore_index=True)


def outcome(attack: str, p: str, eps: str) -> str:
    """The name under which is kept which images a network misclassified under an attack."""
    return f"{attack}|{p}|{eps}"
