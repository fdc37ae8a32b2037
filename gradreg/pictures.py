"""The gallery: images and perturbations, from the arrays that evaluation leaves."""

import json
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gradreg import style
from gradreg.analysis import with_training
from gradreg.labels import by_number


def gallery(paths: Sequence[str | Path]) -> Figure:
    """Images, the perturbation of each norm, the perturbed images and the answers: rows of images per network.

    paths: one file per network, as ``workflow/scripts/make_gallery.py`` writes them.
    """
    networks = []
    for path in paths:
        with np.load(path, allow_pickle=False) as file:
            networks.append(dict(file))
    about = [json.loads(str(arrays["about"])) for arrays in networks]
    cells = with_training(pd.DataFrame([entry["cell"] for entry in about]))
    norms, images = by_number(list(about[0]["eps"])), len(networks[0]["y"])
    columns, rows = 1 + 2 * len(norms), len(networks) * images
    size = (style.TEXT_WIDTH * columns / 7, 1.03 * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for i, (arrays, (_, cell)) in enumerate(zip(networks, cells.iterrows(), strict=True)):
        for j in range(images):
            row = axes[i * images + j]
            x, label = arrays["x"][j], arrays["y"][j]
            _show(row[0], x, arrays["answer"][j], arrays["confidence"][j], label)
            if j == 0:
                own = "" if cell.p == "none" else f", $\\epsilon$ = {cell.eps}"
                row[0].set_ylabel(f"{style.p_name(cell.training)}{own}", fontsize=8, loc="top")
            for k, p in enumerate(norms):
                perturbed = arrays[f"x_{p}"][j]
                _show_step(row[1 + 2 * k], perturbed - x)
                _show(row[2 + 2 * k], perturbed, arrays[f"answer_{p}"][j], arrays[f"confidence_{p}"][j], label)
    axes[0, 0].set_title("image")
    for k, p in enumerate(norms):
        axes[0, 1 + 2 * k].set_title(f"{style.norm_name(p)}, $\\epsilon$ = {about[0]['eps'][p]}")
        axes[0, 2 + 2 * k].set_title("image + s")
    for ax in axes.flat:
        ax.set_xticks([])
        ax.set_yticks([])
        for spine in ax.spines.values():
            spine.set_visible(False)
    return figure


def _picture(x: np.ndarray) -> np.ndarray:
    """(C, H, W) as imshow wants it."""
    return x[0] if len(x) == 1 else x.transpose(1, 2, 0)


def _show_step(ax: Axes, step: np.ndarray) -> None:
    """A perturbation: signed grey values in two colours, colour channels around mid-grey; scaled to its largest."""
    picture, largest = _picture(step), max(float(abs(step).max()), 1e-12)
    if picture.ndim == 3:
        ax.imshow(0.5 + picture / (2 * largest))
    else:
        ax.imshow(picture, cmap=style.SIGNED, vmin=-largest, vmax=largest)
    ax.set_xlabel(f"max |s| = {largest:.2g}" if step.any() else "s = 0", fontsize=6, labelpad=2)


def _show(ax: Axes, x: np.ndarray, answer: int, confidence: float, label: int) -> None:
    ax.imshow(_picture(x), cmap="gray_r", vmin=0, vmax=1)
    right = answer == label
    # Colour and sign both tell right from wrong.
    ax.set_xlabel(
        f"{'✓' if right else '✗'} {answer} ({100 * confidence:.0f} %)",
        fontsize=6.5,
        labelpad=2,
        color=style.COLOURS[0] if right else style.COLOURS[1],
        fontweight="normal" if right else "bold",
    )
