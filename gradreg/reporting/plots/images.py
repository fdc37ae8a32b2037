"""The gallery: images and perturbations, from the arrays that evaluation saves."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gradreg.planning import numerals
from gradreg.reporting import summaries
from gradreg.reporting.plots import style
from gradreg.reporting.plots.style import Look
from gradreg.storage import npz


def gallery(paths: Sequence[str | Path], model: str) -> Figure:
    """Images, their perturbation in each norm, the perturbed images and the predictions: rows of images per training.

    paths: a file per network, written by ``workflow/scripts/make_gallery.py``; only networks of ``model`` are shown.
    """
    networks, about, cells = _read(paths, model)
    norms, images = numerals.by_number(about[0]["eps"]), len(networks[0]["y"])
    columns, rows = 1 + 2 * len(norms), len(networks) * images
    size = (style.TEXT_WIDTH * columns / 7, 1.03 * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for i, (arrays, (_, cell)) in enumerate(zip(networks, cells.iterrows(), strict=True)):
        for j in range(images):
            row = axes[i * images + j]
            x, label = arrays["x"][j], arrays["y"][j]
            _show(row[0], x, arrays["answer"][j], arrays["confidence"][j], label)
            if j == 0:
                row[0].set_ylabel(_name(cell), fontsize=8, loc="top")
            for k, p in enumerate(norms):
                perturbed = arrays[f"x_{p}"][j]
                _show_step(row[1 + 2 * k], perturbed - x)
                _show(row[2 + 2 * k], perturbed, arrays[f"answer_{p}"][j], arrays[f"confidence_{p}"][j], label)
    axes[0, 0].set_title("image")
    for k, p in enumerate(norms):
        axes[0, 1 + 2 * k].set_title(f"{style.norm_name(p)}, $\\epsilon$ = {about[0]['eps'][p]}")
        axes[0, 2 + 2 * k].set_title("image + s")
    _bare(axes)
    return figure


def dreams(paths: Sequence[str | Path], model: str) -> Figure:
    """Noise changed until the network is sure of a class: a row per training, the noise, and a column per class.

    paths: as for ``gallery``.
    """
    networks, _, cells = _read(paths, model)
    classes = networks[0]["dream_class"]
    size = (style.TEXT_WIDTH * max(len(classes) + 1, 6) / 11, 0.8 * len(networks) + 0.2)
    figure, axes = plt.subplots(len(networks), len(classes) + 1, figsize=size, squeeze=False)
    for i, (arrays, (_, cell)) in enumerate(zip(networks, cells.iterrows(), strict=True)):
        axes[i, 0].imshow(_picture(arrays["dream_start"][0]), cmap="gray_r", vmin=0, vmax=1)
        axes[i, 0].set_ylabel(_name(cell), fontsize=6)
        for j, label in enumerate(classes):
            ax = axes[i, j + 1]
            ax.imshow(_picture(arrays["dream"][j]), cmap="gray_r", vmin=0, vmax=1)
            text = f"{100 * arrays['dream_confidence'][j]:.0f} %, d {arrays['dream_distance'][j]:.1f}"
            ax.set_xlabel(text, fontsize=6, labelpad=2)
            if i == 0:
                ax.set_title(f"class {label}")
    axes[0, 0].set_title("noise")
    _bare(axes)
    return figure


def _read(paths: Sequence[str | Path], model: str) -> tuple[list[dict[str, np.ndarray]], list[Any], pd.DataFrame]:
    """The arrays of the networks of one model, their descriptions, and their cells with a column ``training``."""
    networks = []
    for path in paths:
        arrays = npz.read(path)
        if json.loads(str(arrays["about"]))["cell"]["model"] == model:
            networks.append(arrays)
    about = [json.loads(str(arrays["about"])) for arrays in networks]
    return networks, about, summaries.with_training(pd.DataFrame([entry["cell"] for entry in about]))


def _name(cell: pd.Series) -> str:
    """A network's training, with its eps."""
    return style.training_name(cell.training) + ("" if cell.training.plain else f", $\\epsilon$ = {cell.eps}")


def _bare(axes: np.ndarray) -> None:
    """No ticks and no frames."""
    for ax in axes.flat:
        ax.set_xticks([])
        ax.set_yticks([])
        for spine in ax.spines.values():
            spine.set_visible(False)


def _picture(x: np.ndarray) -> np.ndarray:
    """(C, H, W) in the form that imshow takes: in colour with three channels, else the mean of all."""
    return x.transpose(1, 2, 0) if len(x) == 3 else x.mean(0)


def _show_step(ax: Axes, step: np.ndarray) -> None:
    """A perturbation, scaled by its largest value: grey values in two colours by sign, colours around mid-grey."""
    picture, largest = _picture(step), max(float(abs(step).max()), 1e-12)
    if picture.ndim == 3:
        ax.imshow(0.5 + picture / (2 * largest))
    else:
        ax.imshow(picture, cmap=style.SIGNED, vmin=-largest, vmax=largest)
    ax.set_xlabel(f"max |s| = {largest:.2g}" if step.any() else "s = 0", fontsize=6, labelpad=2)


def _show(ax: Axes, x: np.ndarray, answer: int, confidence: float, label: int) -> None:
    """An image, with the prediction and its confidence below."""
    ax.imshow(_picture(x), cmap="gray_r", vmin=0, vmax=1)
    right = answer == label  # told by symbol, colour and weight
    look: Look = {"color": style.COLOURS[0]} if right else {"color": style.COLOURS[1], "fontweight": "bold"}
    text = f"{'✓' if right else '✗'} {answer} ({100 * confidence:.0f} %)"
    ax.set_xlabel(text, fontsize=6.5, labelpad=2, **look)
