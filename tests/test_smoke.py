"""The smoke scale: the same jobs, a few images."""

from pathlib import Path

import pytest
import yaml
from configs import BASE, ROOT, SHIPPED, edited

from gradreg.planning import smoke as scale
from gradreg.planning.experiment import Experiment


@pytest.mark.parametrize("file", [ROOT / "config.yaml", *SHIPPED], ids=lambda f: Path(f).name)
def test_every_network_objective_and_norm_is_there(file):
    written = yaml.safe_load(file.read_text())
    full, smoke = Experiment(written), Experiment(written | {"scale": "smoke"})
    assert smoke.name == f"{full.name}-smoke"

    def shape(experiment):
        return {(group.dataset, group.model, group.objective, group.p) for group in experiment.groups}

    assert shape(smoke) == shape(full)
    for plan in (*smoke.selection.values(), *smoke.final.values()):
        assert plan.seeds == 1
        assert plan.training.n_train < scale.FINAL + 10
        assert (plan.training.recipe.epochs, plan.training.recipe.batch_size) == (1, scale.BATCH)
        assert plan.training.recipe.precision != "tf32", "it needs a GPU"
        assert plan.attack.images == scale.ATTACKED
        for attack, seeds in plan.strong.values():
            assert (attack.attacks, attack.images, seeds) == (["random"], scale.ATTACKED, 1)
    assert len(smoke.transfers) == len(full.transfers)
    assert {run.model for run in smoke.halves} == {run.model for run in full.halves}
    assert all(len(runs) == 1 for runs in smoke.groups.values())
    assert {(of, model) for of, _, model in smoke.galleries} == {(of, model) for of, _, model in full.galleries}


def test_recipes_keep_their_course():
    """Stopping and retraining run at this scale too."""
    config = edited(
        models={"net": {"kind": "maxout", "units": [8], "pieces": 2, "train": {"recipe": "maxout-mnist-dense"}}}
    )
    (plan, *_) = Experiment(config | {"scale": "smoke"}).final.values()
    assert (plan.training.recipe.retrain, plan.training.recipe.patience) == ("continue", 100)
    assert plan.training.n_stop == scale.VALIDATION


def test_what_it_cuts_is_a_config_of_its_own():
    """The report reads it back: nothing is cut twice."""
    smoke = Experiment(BASE | {"scale": "smoke"})
    again = Experiment(smoke.settings)
    assert again.config == smoke.config
    assert (again.name, again.selection, again.final) == (smoke.name, smoke.selection, smoke.final)


def test_the_full_config_is_left_as_it_was():
    before = yaml.safe_dump(BASE)
    Experiment(BASE | {"scale": "smoke"})
    assert yaml.safe_dump(BASE) == before


def test_sizes_that_differ_stay_different():
    """As an axis, and in entries that have a model in common."""
    config = edited(n_train=[300, 600], selection={"n_train": 200, "n_validation": 300})
    config["sweep"].append(config["sweep"][0] | {"n_train": 1000, "train": {"lr": 0.5}})
    config["sweep"][1]["selection"] = {"n_train": 250, "n_validation": 300}
    smoke = Experiment(config | {"scale": "smoke"})
    assert sorted({run.n_train for run in smoke.final}) == [100, 101, 102]
    assert sorted({run.n_train for run in smoke.selection}) == [60, 61]
    Experiment(smoke.settings)
