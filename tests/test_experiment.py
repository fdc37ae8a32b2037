"""From a config to runs, groups, blocks and paths."""

import collections
import copy
import inspect
import json
import math
import subprocess
import sys

import pytest
from configs import BASE

from gradreg import registry
from gradreg.objectives.binding import bind
from gradreg.planning import report
from gradreg.planning.experiment import Experiment, Group, Run
from gradreg.planning.schema import selectable
from gradreg.planning.specs import ObjectiveSpec, TrainingSpec, to_json


def experiment(**top):
    return Experiment(copy.deepcopy(BASE) | top)


def test_runs_of_a_small_sweep():
    planned = experiment()
    assert [run.path for run in planned.selection] == [
        "digits-900/net/plain/p-none/eps-0",
        "digits-900/net/perturb/p-2/eps-0.1",
        "digits-900/net/perturb/p-2/eps-0.2",
    ]
    assert [run.path for run in planned.final] == [run.path.replace("-900", "-1297") for run in planned.selection]
    assert [group.path for group in planned.groups] == [
        "digits-1297/net/baseline/p-none",
        "digits-1297/net/perturb/p-2",
    ]
    run = Run("digits", 900, "net", "perturb", "2", "0.1")
    plan = planned.plan(run)
    assert (plan.n_evaluated, plan.seeds) == (300, 3)
    settings = {"alpha": 0, "differentiate": False, "start": 0, "box": "none"}
    assert plan.training.objective == ObjectiveSpec("perturb", p=2.0, eps=0.1, space="pixels", settings=settings)
    assert plan.training.n_validation == 300
    assert run.cells(2) == [f"{run.path}/seed-0", f"{run.path}/seed-1"]
    final = planned.final_run(Group("digits", 1297, "net", "perturb", "2"), {"objective": "perturb", "eps": "0.1"})
    assert planned.plan(final).n_evaluated == 500
    assert planned.plan(final).training.n_validation is None
    with pytest.raises(KeyError):
        planned.plan(Run("digits", 900, "net", "perturb", "2", "0.3"))


def test_several_norms_together_are_one_entry_with_its_own_paths():
    config = copy.deepcopy(BASE)
    worst = {"kind": "worst_norm", "eps": {"1+inf": [[4, "8/255"]], 2: [0.5]}}
    config["sweep"][0]["objectives"] = {"worst": worst}
    planned = Experiment(config)
    run, single = list(planned.selection)[1:]
    assert run.path == "digits-900/net/worst/p-1+inf/eps-4+8of255"
    objective = planned.plan(run).training.objective
    assert (objective.p, objective.eps) == ((1, math.inf), (4, 8 / 255))
    assert TrainingSpec.of(json.loads(to_json(planned.plan(run).training))) == planned.plan(run).training
    # One norm is a group of one.
    assert single.path == "digits-900/net/worst/p-2/eps-0.5"
    assert planned.plan(single).training.objective.p == (2,)


def test_the_plain_baseline_is_one_cell_per_model_whatever_the_norms():
    config = copy.deepcopy(BASE)
    config["sweep"][0]["eps"] = {1: [1], 2: [1], 3: [1], "inf": [0.1]}
    plain = [run for run in Experiment(config).selection if run.p == "none"]
    assert len(plain) == 1


def test_fractions_stand_in_paths_and_eps_is_in_the_order_of_the_numbers():
    config = copy.deepcopy(BASE)
    config["sweep"][0]["eps"] = {"inf": [0.1, "8/255"]}
    runs = [run for run in Experiment(config).selection if run.p == "inf"]
    assert [run.eps for run in runs] == ["8/255", "0.1"]
    assert runs[0].path.endswith("p-inf/eps-8of255")


def test_settings_are_layered():
    config = copy.deepcopy(BASE)
    config["sweep"][0] |= {
        "train": {"lr": 0.5, "epochs": 3},
        "models": {"net": {"kind": "sigmoid_mlp", "units": [8], "train": {"epochs": 4, "batch_size": 10}}},
        "baseline": {"plain": {"train": {"batch_size": 20}}},
    }
    plain, perturb = (plan.training for plan in list(Experiment(config).selection.values())[:2])
    assert (plain.recipe.lr, plain.recipe.epochs, plain.recipe.batch_size) == (0.5, 4, 20)
    assert perturb.recipe.batch_size == 10
    assert "train" not in plain.model.settings


@pytest.mark.parametrize(("size", "expected"), [(5, [(0, 1, 2), (0, 1, 2, 3, 4)]), (2, [(0, 1), (2,), (2, 3), (4,)])])
def test_blocks_are_fixed_and_cover_every_seed_once(size, expected):
    planned = experiment(seeds_per_job=size)
    blocks = {block: sizes for dataset, block, sizes in planned.blocks() if dataset == "digits"}
    assert list(blocks) == expected
    for size_, seeds in (("900", 3), ("1297", 5)):
        covered = [seed for block, sizes in blocks.items() if size_ in sizes for seed in block]
        assert sorted(covered) == list(range(seeds))


def test_what_says_only_where_jobs_run_changes_no_hyperparameter():
    plain, other = experiment(), experiment(device="cpu", seeds_per_job=2, data_dir="elsewhere")
    assert plain.settings == other.settings
    assert [plan.training for plan in plain.selection.values()] == [plan.training for plan in other.selection.values()]


def swept(**changes):
    config = copy.deepcopy(BASE)
    config["sweep"][0] |= changes
    return Experiment(config)


def test_an_objective_may_have_strengths_of_its_own():
    planned = swept(
        objectives={
            "perturb": {"kind": "perturb"},
            "cure": {"kind": "curvature", "h": {"inf": 0.05}, "eps": {"inf": [3, 1]}},
        }
    )
    runs = {run: plan.training.objective for run, plan in planned.selection.items() if run.p != "none"}
    assert [(run.objective, run.p, run.eps) for run in runs] == [
        ("perturb", "2", "0.1"),
        ("perturb", "2", "0.2"),
        ("cure", "inf", "1"),
        ("cure", "inf", "3"),
    ]
    last = ObjectiveSpec("curvature", p=math.inf, eps=3.0, settings={"h": 0.05, "direction": "steepest"})
    assert list(runs.values())[-1] == last


def test_every_setting_reaches_the_function_of_its_kind():
    """What a plan says of an objective is what ``bind`` takes, for every kind, with the schema's defaults."""
    required = {"h": {"2": 0.1}, "steps": 2, "weight": 0.5}
    for kind in selectable("objectives"):
        wanted = inspect.signature(registry.function("objectives", kind)).parameters
        definition = {"kind": kind} | {key: value for key, value in required.items() if key in wanted}
        for plan in swept(objectives={"mine": definition}).selection.values():
            objective = plan.training.objective
            if objective.kind == kind:
                assert bind(kind, p=objective.p, **objective.settings).kind == kind


def test_the_size_of_the_training_set_is_an_axis():
    planned = swept(n_train=[120, "all"], selection={"n_train": "5/6", "n_validation": 200})
    assert sorted({run.n_train for run in planned.final}) == [120, 1297]
    assert sorted({run.n_train for run in planned.selection}) == [100, 1080]
    for group, runs in planned.groups.items():
        assert {run.n_train for run in runs} == {{120: 100, 1297: 1080}[group.n_train]}
    assert report.facts(planned, ("digits", 120))["n_selection"] == 100


def test_one_selection_may_serve_several_sizes():
    """Chosen once at one size: the same runs, trained once, behind each of the groups."""
    planned = swept(n_train=[120, 240], selection={"n_train": 100, "n_validation": 200})
    assert {run.n_train for run in planned.selection} == {100}
    assert len(planned.groups) == 4
    assert len(planned.selection) == 3


def test_no_classes_mean_no_gallery():
    assert swept(gallery={"classes": []}).galleries == {}
    assert list(swept().galleries) == [("digits", 1297, "net")]


def test_json_does_not_depend_on_the_order_of_keys():
    assert to_json({"b": 1, "a": {"d": 2, "c": 3}}) == to_json({"a": {"c": 3, "d": 2}, "b": 1})


def test_the_same_sizes_with_other_settings_are_a_mistake():
    config = copy.deepcopy(BASE)
    config["sweep"].append(copy.deepcopy(config["sweep"][0]) | {"n_train": 1200, "train": {"epochs": 5}})
    with pytest.raises(ValueError, match="digits-900/net/plain/p-none/eps-0 is asked for twice, with diff"):
        Experiment(config)


def test_planning_imports_no_torch():
    code = "import sys, gradreg.planning.experiment, gradreg.planning.code_inputs; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_plain_is_trained_on_the_halves_where_that_is_asked_for():
    planned = swept(transfer={"halves": True})
    assert [run.path for run in planned.halves] == [
        "digits-648/net/plain/p-none/eps-0",
        "digits-648from648/net/plain/p-none/eps-0",
    ]
    for run, plan in planned.halves.items():
        assert planned.plan(run) == plan
        assert (plan.training.n_train, plan.training.skip, plan.seeds) == (648, run.skip, 2)
    group = Group("digits", 1297, "net", "baseline", "none")
    assert planned.half_runs(group, {"objective": "plain", "eps": "0"}) == list(planned.halves)
    assert ("digits", (0, 1), ["648", "648from648"]) in list(planned.blocks())
    assert planned.transfers["digits", 1297].eps == {"2": "0.5"}
    assert not swept(transfer={}).halves
    assert not experiment().transfers


def test_strong_attacks_have_blocks_of_their_own(extras):
    strong = {"hard": {"attacks": ["apgd_ce"], "seeds": 3}, "near": {"attacks": ["fmn"]}}
    planned = Experiment(
        copy.deepcopy(BASE)
        | {"seeds_per_job": 2}
        | {"sweep": [BASE["sweep"][0] | {"attack": {"eps": {2: [0.5, 1], 3: [1]}, "strong": strong}}]}
    )
    assert [(name, block) for name, _, block, _ in planned.strong_blocks()] == [
        ("hard", (0, 1)),
        ("hard", (2,)),
        ("near", (0, 1)),
        ("near", (2, 3)),
        ("near", (4,)),
    ]
    (plan, *_) = planned.final.values()
    assert plan.strong["hard"][0].eps == {"2": ["1"]}  # the middle one, in the norm that the attack knows
    assert plan.strong["near"][0].eps == {"2": ["0.5", "1"]}  # one run gives the whole curve
    assert all(not plan.strong for plan in planned.selection.values())


def test_figures_are_those_that_have_something_to_show():
    simple = report.figures(experiment(), ("digits", 1297))
    assert {"robust_error", "attack_strength", "probe", "linearisation", "estimates"} <= set(simple)
    assert not {"noise", "transfer", "transfer_matrix", "objectives", "training_norm"} & set(simple)
    over_norms = swept(eps={1: [1], 1.5: [0.5], 2: [0.5], "inf": [0.1]})
    assert "training_norm" in report.figures(over_norms, ("digits", 1297))
    rich = swept(
        transfer={},
        attack={"eps": {2: [0.5]}, "noise": {"gaussian": [0.1]}},
        models={"net": {"kind": "maxout", "units": [8], "pieces": 2}},
        objectives={"exact": {"kind": "penalty"}, "other": {"kind": "penalty", "power": 2}},
    )
    more = report.figures(rich, ("digits", 1297))
    assert {"noise", "transfer", "transfer_matrix", "objectives"} <= set(more)
    assert not {"estimates", "probe"} & set(more)  # no smooth network, no length of a perturbation


def test_entries_of_the_report_are_numbered_in_its_order():
    """With more than nine models as well; the figure across sizes stands alone."""
    models = {f"net-{number}": {"kind": "maxout", "units": [8], "pieces": 2} for number in range(12)}
    planned = swept(models=models)
    entries = list(report.contents(planned, ("digits", 1297)).values())
    counts = collections.Counter(entry.section for entry in entries)
    expected = [f"{section[0]}.{n}" for section in report.SECTIONS for n in range(1, counts[section] + 1)]
    assert [entry.title.split()[0] for entry in entries] == expected
    assert len({entry.title for entry in entries}) == len(entries)
    assert "5.12 Perturbations on net-11" in [entry.title for entry in entries]
    file, entry = next(iter(report.contents(planned, ("digits", 0)).items()))
    assert (file, entry.title) == ("figures/digits/sample_size.svg", "1.1 Error against training images")
