"""Model cards: what a published network is, how it was trained, and its errors; in Markdown, or for RobustBench."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from gradreg.planning import numerals
from gradreg.planning.experiment import NO_P
from gradreg.reporting import summaries, tables
from gradreg.reporting.summaries import Training
from gradreg.storage.metrics import CELL

ATTACK = ["attack", "attack_p", "attack_eps"]
# The threat models of RobustBench (Croce et al. 2021) for data sets that are registered here: its name, and eps.
THREATS = {("cifar10", "inf"): ("Linf", "8/255"), ("cifar10", "2"): ("L2", "0.5")}
AUTOATTACK = {"apgd_ce", "apgd_t", "fab_t", "square"}  # its standard version
CARD = """# {title}

A network of the experiment `{experiment}`, with seed {seed}, trained and measured by gradreg.

```python
from gradreg import load

network = load("{name}")  # images (N, C, H, W) in [0, 1] to logits
```

{facts}

All settings are in `train.json`; what was tried and chosen is in `{experiment}/config.json` and
`{experiment}/groups/{group}/choice.json`.

## Errors on test images

{errors}

This network, on so many images; beside it the mean of all seeds with its 95 % interval.
An error under attack bounds the worst case from below.
"""


def card(experiment: str, group: str, record: Mapping[str, Any], test: pd.DataFrame) -> str:
    """The card of a network of seed 0.

    group: the path of its group; record: its ``train.json``; test: the measurements of the experiment's final runs.
    """
    cell, training, versions = record["cell"], record["training"], record["versions"]
    facts = {
        "data": f"{cell['dataset']}, {cell['n_train']} training images",
        "network": _listed(training["model"]),
        "objective": _listed(training["objective"]),
        "training": _listed(training["recipe"]),
        "made with": f"commit {versions['gradreg']}, PyTorch {versions['torch']}, {record['device']}",
        "status": record["status"],
        "SHA-256 of the weights": record["weights"],
        "licence": "MIT",
    }
    table = pd.DataFrame({"": facts.keys(), " ": facts.values()})
    return CARD.format(
        title=_title(cell),
        experiment=experiment,
        seed=cell["seed"],
        name=f"{experiment}/{group}",
        group=group,
        facts=tables.to_markdown(table).strip(),
        errors=tables.to_markdown(_errors(cell, test)).strip(),
    )


def robustbench(
    record: Mapping[str, Any], test: pd.DataFrame, strong: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, Any]]:
    """The fields of RobustBench's model_info for a network of seed 0, by its threat models, "Linf" and "L2".

    strong: the kinds of each strong attack that was run on the network, by its name. A threat model has an entry if an
    attack with all kinds of AutoAttack's standard version was run with its eps. link, authors and venue are left to
    whoever submits it.
    """
    cell, model = record["cell"], record["training"]["model"]
    rows = _of(cell, test)
    rows = rows[rows.seed == cell["seed"]]
    clean = rows[rows.attack == "none"].value.item()
    whole = [name for name, kinds in strong.items() if set(kinds) >= AUTOATTACK]
    entries = {}
    for row in rows[rows.attack.isin(whole)].itertuples():
        threat, eps = THREATS.get((cell["dataset"], row.attack_p), ("", "0"))
        if threat and numerals.parse(row.attack_eps) == numerals.parse(eps):
            accuracy = f"{100 * (1 - row.value):.2f}"
            entries[threat] = {
                "name": _title(cell),
                "additional_data": False,
                "number_forward_passes": 1,
                "dataset": cell["dataset"],
                "architecture": _listed(model),
                "eps": eps,
                "clean_acc": f"{100 * (1 - clean):.2f}",
                "reported": accuracy,
                "autoattack_acc": accuracy,
                "footnote": f"AutoAttack on the first {row.n} test images.",
                "unreliable": bool(row.flags),
            }
    return entries


def _title(cell: Mapping[str, Any]) -> str:
    strength = "" if cell["p"] == NO_P else f", eps = {cell['eps']}"
    return f"{cell['model']}, {Training(cell['p'], cell['objective'])}{strength}"


def _listed(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in settings.items() if value is not None)


def _errors(cell: Mapping[str, Any], test: pd.DataFrame) -> pd.DataFrame:
    """A row per attack and eps."""
    same = _of(cell, test)
    same = same.assign(value=100 * same.value)
    here = same[same.seed == cell["seed"]].set_index(ATTACK)
    rows = []
    for row in summaries.over_seeds(same, ATTACK).itertuples():
        attack = row.attack, row.attack_p, row.attack_eps
        rows.append(
            {
                "attack": str(row.attack).replace("_", "-"),
                "p": row.attack_p,
                "eps": row.attack_eps,
                "this network, %": f"{here.value[attack]:.2f}",
                "images": int(here.n[attack]),
                "mean of seeds, %": tables.interval(row.mean, row.half),
                "seeds": row.seeds,
            }
        )
    return pd.DataFrame(rows)


def _of(cell: Mapping[str, Any], test: pd.DataFrame) -> pd.DataFrame:
    """The errors of all seeds of a network's setting."""
    same = test[test.metric == "error"]
    for column in set(CELL) - {"seed"}:
        same = same[same[column].astype(str) == str(cell[column])]
    return same
