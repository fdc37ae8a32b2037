"""Configs: defaults and canonical numbers."""

import itertools
import json
import math

import pytest
import yaml
from configs import BASE, PENALTY, ROOT, SHIPPED, edited, merged

from gradreg.planning.attacked import Criterion
from gradreg.planning.config import ConfigError, resolve
from gradreg.planning.entries import final_sizes, selection_size
from gradreg.planning.experiment import Experiment
from gradreg.planning.jobs import Jobs
from gradreg.planning.specs import TrainingSpec, to_json
from gradreg.planning.yaml_files import YamlFiles, fault


def test_defaults_are_filled_in_and_idempotent():
    resolved = resolve(BASE)
    entry = resolved["sweep"][0]
    assert (resolved["device"], resolved["seeds_per_job"], resolved["data_dir"]) == ("auto", 5, None)
    assert (entry["n_train"], entry["seeds"], entry["selection"]["seeds"]) == ("all", 5, 3)
    defaults = {"alpha": 0.0, "differentiate": False, "start": 0.0, "box": "none", "space": "pixels"}
    assert entry["objectives"] == {"perturb": {"kind": "perturb", **defaults}}
    defaults = {"keep_input": 1.0, "keep_hidden": 1.0, "input": "pixels"}
    assert entry["models"] == {"net": {"kind": "sigmoid_mlp", "units": [8], **defaults}}
    assert entry["baseline"] == {"plain": {}}
    noise = {"gaussian": [], "gaussian_unclipped": [], "uniform": []}
    defaults = {"images": 1000, "steps": 20, "batch_size": 500, "others": {}, "noise": noise, "strong": {}}
    assert entry["attack"] == {"eps": {"2": ["0.5"]}, **defaults}
    assert resolve(resolved) == resolved
    assert BASE["sweep"][0]["eps"] == {2: [0.1, 0.2]}  # the argument is left as it was


@pytest.mark.parametrize("file", [ROOT / "config.yaml", *SHIPPED], ids=lambda f: f.name)
def test_shipped_configs_are_right(file):
    default = yaml.safe_load((ROOT / "config.yaml").read_text())
    own = yaml.safe_load(file.read_text())
    experiment = Experiment(merged(default, own), [file])
    for group, runs in experiment.groups.items():
        entry = next(e for e in experiment.config["sweep"] if e["dataset"] == group.dataset)
        assert len(runs) == len(entry["baseline"]), "plain has as many tried settings as every norm"


@pytest.mark.parametrize("file", SHIPPED, ids=lambda f: f.name)
def test_a_config_laid_over_the_default_leaves_nothing_of_it_behind(file):
    default = yaml.safe_load((ROOT / "config.yaml").read_text())
    own = yaml.safe_load(file.read_text())
    assert resolve(merged(default, own)) == resolve(own)


def test_numbers_that_yaml_leaves_as_text():
    written = yaml.safe_load("{lr: 1e-2, weight_decay: 5e-4}")
    assert written == {"lr": "1e-2", "weight_decay": "5e-4"}
    train = resolve(edited(train=written))["sweep"][0]["train"]
    assert train == {"lr": 0.01, "weight_decay": 0.0005}


def together(grid, **changes):
    """A config with one objective that takes several norms together."""
    return edited(eps=None, objectives={"all": {"kind": "worst_norm", "eps": yaml.safe_load(grid)} | changes})


def test_several_norms_and_the_eps_of_each_are_one_text_in_the_order_of_the_norms():
    for written in (
        "{1+2+inf: [[4, 1.50, 8/255], [8, 2, 0.1]]}",
        "{inf + 2.0 + 1: [[8/255, 1.5, 4], [.1, 2, 8]]}",
        "{1+2+inf: ['4+1.5+8/255', 8+2+0.1]}",
    ):
        resolved = resolve(together(written))
        grid = resolved["sweep"][0]["objectives"]["all"]["eps"]
        assert grid == {"1+2+inf": ["4+1.5+8/255", "8+2+0.1"]}
        assert resolve(resolved) == resolved


def test_what_settings_compete_by_is_spelled_as_tables_spell_it():
    attack = {"eps": {2: [0.5, 1], "inf": [0.1, "16/510"]}}
    by = {"attack": "multi_step", "p": "inf+2", "eps": [0.10, 0.5]}
    selection = {"n_train": 900, "n_validation": 300, "by": by}
    resolved = resolve(edited(attack=attack, selection=selection))
    assert resolved["sweep"][0]["selection"]["by"] == {"attack": "multi_step", "p": "2+inf", "eps": "0.5+0.1"}
    assert resolve(resolved) == resolved
    assert resolve(BASE)["sweep"][0]["selection"]["by"] == "error"
    experiment = Experiment(edited(attack=attack, selection=selection))
    assert experiment.criteria == {("digits", 1297): Criterion("multi_step", "2+inf", "0.5+0.1")}


def test_a_patience_watches_what_settings_compete_by():
    by = {"attack": "multi_step", "p": "2+inf", "eps": "0.5+0.1"}
    attack = {"eps": {2: [0.5, 1], "inf": [0.1]}, "images": 50, "steps": 7}
    changes = {"selection": {"n_train": 900, "n_validation": 300, "by": by}, "attack": attack}
    plans = [*Experiment(edited(train={"patience": 5}, **changes)).selection.values()]
    for training in (plan.training for plan in plans):
        assert (training.watch.attack, training.watch.images) == ({"kind": "multi_step", "steps": 7}, 50)
        assert {p.value: eps.value for p, eps in training.watch.eps.items()} == {2: 0.5, math.inf: 0.1}
        assert TrainingSpec.of(json.loads(to_json(training))) == training
    jobs = Jobs(Experiment(edited(train={"patience": 5}, **changes)), {}.get)
    wildcards = dict(dataset="digits", n_train="900", model="net", objective="perturb", p="2", eps="0.1")
    assert "gradreg/attacks/steepest.py" in jobs.code("train")(wildcards)  # and no code of attacks without a watch
    jobs = Jobs(Experiment(edited(train={"patience": 5})), {}.get)
    assert not any("attacks" in file for file in jobs.code("train")(wildcards))
    for without in (edited(**changes), edited(train={"patience": 5})):
        assert {plan.training.watch for plan in Experiment(without).selection.values()} == {None}


def test_grids_keep_their_numbers_in_one_spelling():
    grid = yaml.safe_load("{.inf: [8/255, 1e-3, 0.10], 2: [1e-1, 2.0], 1: [3], 1.5: ['0.50']}")
    resolved = resolve(edited(eps=grid))["sweep"][0]["eps"]
    assert resolved == {"inf": ["8/255", "0.001", "0.1"], "2": ["0.1", "2"], "1": ["3"], "1.5": ["0.5"]}


def test_whole_numbers_may_be_written_as_decimals_and_numbers_without():
    entry = resolve(edited(seeds=5.0, train={"epochs": 3.0, "lr": 1}))["sweep"][0]
    assert (entry["seeds"], entry["train"]) == (5, {"epochs": 3, "lr": 1.0})
    assert [type(entry["seeds"]), *map(type, entry["train"].values())] == [int, int, float]


def test_strengths_of_penalties_are_no_lengths():
    assert resolve(edited(objectives={"gp": PENALTY}))["sweep"][0]["objectives"]["gp"]["eps"] == {"2": ["30"]}


def test_sizes_of_training_sets():
    (entry,) = resolve(edited(n_train=[100, "all"], selection={"n_train": "5/6", "n_validation": 200}))["sweep"]
    assert final_sizes(entry) == [100, 1297]
    assert [selection_size(entry, n) for n in (100, 1297)] == [83, 1080]
    for written, size in (("1e2", 100), (100.0, 100), (" 5 / 6", 83), ("0.8", 80), (0.8, 80)):
        (own,) = resolve(edited(n_train=["3e2"], selection={"n_train": written, "n_validation": 200}))["sweep"]
        assert final_sizes(own) == [300]
        assert selection_size(own, 100) == size
    entry["selection"]["n_train"] = 0.1  # exactly a tenth, not the nearest double
    assert selection_size(entry, 30) == 3


# Files


def written(tmp_path, text, name="config.yaml"):
    file = tmp_path / name
    file.write_text(text)
    return file


def test_json_may_have_tabs(tmp_path):
    wrong = BASE | {"device": "gpu"}
    file = written(tmp_path, json.dumps(wrong, indent="\t"), "config.json")
    with pytest.raises(ConfigError, match=r"config\.json:\d+: device: 'gpu' is none of auto, cpu, cuda"):
        resolve(wrong, [file])


def test_what_the_command_line_set_is_not_blamed_on_a_file(tmp_path):
    file = written(tmp_path, yaml.safe_dump(BASE))
    with pytest.raises(ConfigError, match=r"^--config: experiment: 3 is not text$"):
        resolve(BASE | {"experiment": 3}, [file], {"experiment": 3})


def test_a_key_that_stands_twice_behind_an_alias_is_told_once(tmp_path):
    text = yaml.safe_dump(BASE) + "x: &x {a: 1, a: 2}\ny: {<<: *x}\nz: *x\n"
    assert len(list(YamlFiles([written(tmp_path, text)]).duplicates())) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sweep: &a\n  - *a\n", "has a value that holds itself$"),
        ("sweep: &a {b: {c: *a}}\n", "has a value that holds itself$"),
        (
            "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
            + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in itertools.pairwise("abcdefghijkl")),
            r"has \d{13} values, with those that \* repeats$",
        ),
    ],
)
def test_a_file_that_would_not_end_is_refused_at_once(tmp_path, text, message):
    file = written(tmp_path, text)
    with pytest.raises(ConfigError, match=message):
        resolve(yaml.safe_load(text), [file])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"a:\n  b: 1\n c: 2\n", "config.yaml:3: not YAML: while parsing a block mapping expected <block end>"),
        (b"a:\n\tb: 1\n", "config.yaml:2: not YAML: while scanning for the next token found character"),
        (b"a: [1\n", "config.yaml:2: not YAML: while parsing a flow sequence expected"),
        (b"a: \xff\n", "config.yaml: not YAML: 'utf-8' codec can't decode"),
        (b"a: 2020-13-45\n", "config.yaml: not YAML: month must be in 1..12"),
        (b"a: 1\n", None),
    ],
)
def test_where_a_file_is_not_yaml_is_told(tmp_path, text, told):
    (tmp_path / "config.yaml").write_bytes(text)
    said = fault(tmp_path / "config.yaml")
    assert said is None if told is None else (told in said and "\n" not in said)
