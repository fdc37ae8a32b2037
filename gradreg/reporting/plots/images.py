"""The gallery: images and perturbations, from the arrays that evaluation saves."""

import json
import math
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

NORMS = 3  # side by side in a gallery; more go on below


def gallery(paths: Sequence[str | Path], model: str) -> Figure:
    """Images, their perturbation in each norm, the perturbed images and the predictions: rows of images per training.

    paths: a file per network, written by ``workflow/scripts/make_gallery.py``; only networks of ``model`` are shown.
    Norms go on below after three. The first images only, where all have no room on a page.
    """
    networks, about, cells = _read(paths, model)
    norms, images = numerals.by_number(about[0]["eps"]), len(networks[0]["y"])
    side_by_side, lines = min(NORMS, len(norms)), math.ceil(len(norms) / NORMS)
    high = 0.8 if style.narrow() else 1.03
    images = max(1, min(images, int(style.PAGE_HEIGHT / (high * lines * len(networks)))))
    columns, rows = 1 + 2 * side_by_side, len(networks) * images * lines
    size = (style.width() * columns / 7, min(high * rows, style.PAGE_HEIGHT))
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for i, (arrays, (_, cell)) in enumerate(zip(networks, cells.iterrows(), strict=True)):
        for j in range(images):
            row = (i * images + j) * lines
            x, label = arrays["x"][j], arrays["y"][j]
            _show(axes[row, 0], x, arrays["answer"][j], arrays["confidence"][j], label)
            if j == 0:
                axes[row, 0].set_ylabel(_name(cell), loc="top")
            for k, p in enumerate(norms):
                below, beside = divmod(k, side_by_side)
                step, image = axes[row + below, 1 + 2 * beside : 3 + 2 * beside]
                perturbed = arrays[f"x_{p}"][j]
                _show_step(step, perturbed - x)
                _show(image, perturbed, arrays[f"answer_{p}"][j], arrays[f"confidence_{p}"][j], label)
                if i == j == 0 or lines > 1:
                    step.set_title(f"{style.norm_name(p)},{_between()}$\\epsilon$ = {about[0]['eps'][p]}")
                if i == j == 0:
                    image.set_title(f"image{_between()}+ s")
    axes[0, 0].set_title("image")
    _bare(axes)
    return figure


def dreams(paths: Sequence[str | Path], model: str) -> Figure:
    """Noise changed until the network is sure of a class: a row per training, the noise, and a column per class.

    paths: as for ``gallery``. Classes go on below where they have no room.
    """
    networks, _, cells = _read(paths, model)
    classes, most = networks[0]["dream_class"], 5 if style.narrow() else 10
    side_by_side, lines = min(most, len(classes)), math.ceil(len(classes) / most)
    rows = len(networks) * lines
    size = (style.width() * max(side_by_side + 1, 6) / (most + 1), min(0.8 * rows + 0.2, style.PAGE_HEIGHT))
    figure, axes = plt.subplots(rows, side_by_side + 1, figsize=size, squeeze=False)
    for i, (arrays, (_, cell)) in enumerate(zip(networks, cells.iterrows(), strict=True)):
        axes[i * lines, 0].imshow(_picture(arrays["dream_start"][0]), cmap="gray_r", vmin=0, vmax=1)
        axes[i * lines, 0].set_ylabel(_name(cell), fontsize=6)
        for j, label in enumerate(classes):
            below, beside = divmod(j, side_by_side)
            ax = axes[i * lines + below, beside + 1]
            ax.imshow(_picture(arrays["dream"][j]), cmap="gray_r", vmin=0, vmax=1)
            confidence, distance = 100 * arrays["dream_confidence"][j], arrays["dream_distance"][j]
            ax.set_xlabel(f"{confidence:.0f} %,{_between()}d {distance:.1f}", fontsize=6, labelpad=2)
            if i == 0 or lines > 1:
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
    eps = "" if cell.training.plain or cell.training.given else f",{_between()}$\\epsilon$ = {cell.eps}"
    return style.training_name(cell.training) + eps


def _between() -> str:
    """What stands between the parts of a text below a picture."""
    return "\n" if style.narrow() else " "


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
    ax.set_xlabel(f"max |s|{_between()}= {largest:.2g}" if step.any() else "s = 0", fontsize=6, labelpad=2)


def _show(ax: Axes, x: np.ndarray, answer: int, confidence: float, label: int) -> None:
    """An image, with the prediction and its confidence below."""
    ax.imshow(_picture(x), cmap="gray_r", vmin=0, vmax=1)
    right = answer == label  # told by symbol, colour and weight
    look: Look = {"color": style.COLOURS[0]} if right else {"color": style.COLOURS[1], "fontweight": "bold"}
    text = f"{'✓' if right else '✗'} {answer}{_between()}({100 * confidence:.0f} %)"
    ax.set_xlabel(text, fontsize=6 if style.narrow() else 6.5, labelpad=2, **look)
