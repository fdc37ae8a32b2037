"""Model cards: what a published network is, how it was trained, and its errors, in Markdown."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from gradreg.planning.experiment import NO_P
from gradreg.reporting import summaries, tables
from gradreg.reporting.summaries import Training
from gradreg.storage.metrics import CELL

ATTACK = ["attack", "attack_p", "attack_eps"]
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
    trained = Training(cell["p"], cell["objective"])
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
        title=f"{cell['model']}, {trained}" + ("" if cell["p"] == NO_P else f", eps = {cell['eps']}"),
        experiment=experiment,
        seed=cell["seed"],
        name=f"{experiment}/{group}",
        group=group,
        facts=tables.to_markdown(table).strip(),
        errors=tables.to_markdown(_errors(cell, test)).strip(),
    )


def _listed(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in settings.items() if value is not None)


def _errors(cell: Mapping[str, Any], test: pd.DataFrame) -> pd.DataFrame:
    """A row per attack and eps."""
    same = test[test.metric == "error"]
    for column in set(CELL) - {"seed"}:
        same = same[same[column].astype(str) == str(cell[column])]
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
