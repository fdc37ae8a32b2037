"""Errors in the literature beside those of networks of ours with the same architecture, data and training."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gradreg.planning import numerals
from gradreg.planning.report import GAUSSIAN
from gradreg.reporting import summaries
from gradreg.reporting.tables import OF_TRAINING, interval

COLUMNS = ["model", "training", "setting", "noise", "images", "literature", "mean", "half", "seeds", "failed", "least"]
COLUMNS += ["most", "difference", "single_low", "single_high", "source"]


def table(test: pd.DataFrame, literature: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row per error in the literature and way in which we measured it; errors in percent.

    test: measurements of the final runs of one study; literature: as ``planning.report.in_literature`` lists it.
    noise: the standard deviation, empty for unperturbed images. images: whether noisy ones were clipped to [0, 1], else
    empty. half: of the 95 % interval of our mean over seeds. single_low, single_high: in between lies a further network
    of ours with probability .95 (the prediction interval of Student's distribution, mean ± t s sqrt(1 + 1/n), cut at 0
    and 100); an error that is one network's is to be compared with it. failed: seeds whose training has a flag
    (``tables.OF_TRAINING``); where there are any, there is no such interval, nor where all seeds have the same error.
    """
    test = summaries.with_training(test[test.metric == "error"])
    rows = []
    for entry in literature:
        ours = test[(test.model == entry["model"]) & (test.p == entry["p"])]
        if entry["p"] != "none":
            ours = ours[ours.objective == entry["objective"]]
        rows += [_row(part, images, entry) for images, part in _measured(ours, entry["noise"])]
    return pd.DataFrame(rows, columns=COLUMNS)


def _measured(ours: pd.DataFrame, level: str) -> list[tuple[str, pd.DataFrame]]:
    """The measurements under noise of a level, "" for none, by what became of the images."""
    if not level:
        return [("", ours[ours.attack == "none"])]
    at_level = ours[ours.attack.isin(GAUSSIAN)]
    at_level = at_level[at_level.attack_eps.map(numerals.parse) == numerals.parse(level)]
    return [(GAUSSIAN[str(kind)], part) for kind, part in at_level.groupby("attack", sort=False)]


def _row(part: pd.DataFrame, images: str, entry: Mapping[str, Any]) -> tuple[Any, ...]:
    errors = (100 * part.value).tolist()
    n, mean, half = len(errors), sum(errors) / len(errors), summaries.half_width(errors)
    failed = int(part["flags"].str.contains("|".join(OF_TRAINING)).sum())
    training, objective, eps = part[["training", "objective", "eps"]].iloc[0]
    setting = objective if training.plain else f"eps = {eps}"
    single = math.nan if failed or min(errors) == max(errors) else half * math.sqrt(n + 1)  # half is t s / sqrt(n)
    theirs, ends = entry["error"], np.clip([mean - single, mean + single], 0, 100)
    ours = mean, half, n, failed, min(errors), max(errors), mean - theirs
    return entry["model"], training, setting, entry["noise"], images, theirs, *ours, *ends, entry["source"]


def rounded(compared: pd.DataFrame) -> pd.DataFrame:
    """What ``table`` returned, as text to read."""
    text = compared[["model", "training", "setting"]].copy()
    text["noise"] = (compared.noise + ", " + compared.images).where(compared.noise != "", "none")
    text["literature"] = compared.literature.map("{:.2f}".format)
    text["ours"] = [interval(mean, half) for mean, half in zip(compared["mean"], compared.half, strict=True)]
    text["seeds"] = compared.seeds
    if compared.failed.any():
        text["failed"] = compared.failed
    text["range"] = [f"{low:.2f} to {high:.2f}" for low, high in zip(compared.least, compared.most, strict=True)]
    text["difference"] = compared.difference.map("{:+.2f}".format)
    inside = (compared.single_low <= compared.literature) & (compared.literature <= compared.single_high)
    text["one network of ours"] = [
        "–" if math.isnan(low) else f"{low:.2f} to {high:.2f}"
        for low, high in zip(compared.single_low, compared.single_high, strict=True)
    ]
    text["within"] = inside.map({True: "yes", False: "no"}).where(compared.single_low.notna(), "–")
    text["source"] = compared.source
    return text
