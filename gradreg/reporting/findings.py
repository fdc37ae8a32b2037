"""What a study found, in sentences made from its numbers."""

import math

import pandas as pd

from gradreg.planning import numerals
from gradreg.planning.experiment import GIVEN
from gradreg.reporting import summaries
from gradreg.reporting.plots.style import training_name
from gradreg.reporting.summaries import LEVEL, PLAIN
from gradreg.reporting.tables import measured, norm_name


def by_model(test: pd.DataFrame, compared: pd.DataFrame) -> dict[str, list[str]]:
    """Three sentences for each model with a regularised network.

    They are on the test error, on errors under attack, and on whether these can be trusted. test: measurements of the
    final runs of one study; compared: what ``tables.comparisons`` made of them. Networks from files are left out.
    """
    test = summaries.with_training(test[test.p != GIVEN])
    models = {model: own for model, own in test.groupby("model", sort=False) if set(own.training) != {PLAIN}}
    found = {}
    for model, own in models.items():
        sentences = _clean(own, compared[compared.model == model]), _attacked(own), _trusted(own)
        # Numbers keep together with their names and units.
        found[str(model)] = [text.replace(" = ", "\u00a0=\u00a0").replace(" %", "\u00a0%") for text in sentences]
    return found


def _clean(test: pd.DataFrame, compared: pd.DataFrame) -> str:
    errors = _means(test[(test.attack == "none") & (test.metric == "error")])
    best = errors.drop(PLAIN).idxmin()
    text = f"The test error is {errors[PLAIN]:.2f} % for plain training"
    text += f" and, among regularised trainings, least for {_name(best)}, {errors[best]:.2f} %"
    rows = compared[compared.measured == measured(test)[0][-1]]
    if rows.empty:
        return f"{text}; with so few seeds the two are not compared."
    better = sorted(rows[(rows.p_holm < 1 - LEVEL) & (rows.difference < 0)].training)
    if not better:
        return f"{text}; no training has significantly fewer errors than plain (P < 0.05 after Holm's correction)."
    return f"{text}; {', '.join(map(_name, better))}: fewer than plain with P < 0.05 after Holm's correction."


def _attacked(test: pd.DataFrame) -> str:
    attacked = test[(test.attack == "multi_step") & (test.metric == "error")]
    parts = []
    for p in numerals.by_number(attacked.attack_p):
        in_norm = attacked[attacked.attack_p == p]
        eps = numerals.middle(in_norm.attack_eps)
        errors = _means(in_norm[in_norm.attack_eps == eps])
        best = errors.idxmin()
        parts.append(
            f"{_name(best)} in {norm_name(p)}, eps = {eps} ({errors[best]:.0f} %, plain {errors[PLAIN]:.0f} %)"
        )
    return f"Under the multi-step attack, the least error is that of {'; '.join(parts)}."


def _trusted(test: pd.DataFrame) -> str:
    flagged = test[summaries.suspect(test)]
    names = {flag.partition(":")[0] for flags in flagged["flags"] for flag in flags.split("+")} - {"diverged"}
    networks = flagged.drop_duplicates(["training", "seed"])
    text = "No network has a flag that casts doubt on its robustness"
    if names:
        count = len(test.drop_duplicates(["training", "seed"]))
        text = f"{len(networks)} of {count} networks have a flag that casts doubt on them ({', '.join(sorted(names))})"
    key = ["attack", "training", "attack_p", "attack_eps", "seed"]
    usual = test[test.metric == "error_of_multi_step"].set_index(key).value
    strong = test[(test.metric == "error")].set_index(key).value
    gain = (strong - usual).dropna().groupby(level=key[:-1]).mean()
    if gain.empty:
        return f"{text}; no stronger attack was run."
    attack, training, p, eps = gain.idxmax()
    most = f"{100 * gain.max():.0f} points, by {attack} on {_name(training)} in {norm_name(p)}, eps = {eps}"
    return f"{text}; the most that a stronger attack finds beyond the multi-step attack, on the same images, is {most}."


def _means(rows: pd.DataFrame) -> pd.Series:
    """The mean error in percent of each training."""
    means = 100 * rows.groupby("training", sort=False).value.mean()
    return means.fillna(math.inf)


def _name(training: summaries.Training) -> str:
    return "plain training" if training.plain else training_name(training)
