"""Any config either means an experiment or has its mistakes told, a line each: never a traceback."""

import copy

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import VALID, mutated
from project import TINY, create

from gradreg.planning import report
from gradreg.planning.config import ConfigError
from gradreg.planning.experiment import Experiment
from gradreg.planning.specs import to_json

EXAMPLES, THROUGH_SNAKEMAKE = 1000, 20


def planned(config):
    """What the workflow reads of an experiment, or the lines of its mistakes."""
    try:
        experiment = Experiment(config)
    except ConfigError as error:
        return str(error).splitlines()
    for plan in (*experiment.selection.values(), *experiment.final.values(), *experiment.halves.values()):
        to_json([plan.training, plan.attack, plan.strong])
    list(experiment.blocks())
    list(experiment.strong_blocks())
    for study in experiment.studies:
        report.figures(experiment, study)
        report.facts(experiment, study)
    to_json(experiment.settings)
    return []


@pytest.mark.parametrize("config", VALID, ids=lambda config: config["experiment"])
def test_the_configs_are_valid_before(config):
    assert planned(copy.deepcopy(config)) == []


def test_a_changed_config_is_planned_or_refused():
    refused = []

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def run(data):
        lines = planned(mutated(data.draw))
        refused.append(bool(lines))
        for line in lines:
            assert ": " in line, lines
            assert len(line) < 600

    run()
    assert len(refused) >= EXAMPLES
    assert 0.1 < sum(refused) / len(refused) < 0.98, "otherwise this says little"


@pytest.mark.faults
def test_a_changed_config_through_snakemake(tmp_path):
    project = create(tmp_path / "project")
    told = []

    def plan(config):
        (project.folder / "config.yaml").write_text(yaml.dump(config, allow_unicode=True), encoding="utf-8")
        done = project.snakemake("--cores", 1, "--dry-run", "--quiet", "all", check=False)
        assert "Traceback" not in done.stderr, done.stderr
        if done.returncode:
            assert "config.yaml:" in done.stderr, done.stderr
        told.append(done.returncode)
        return done.returncode

    # Nearly all random changes are refused, so a valid and an invalid config are given by hand.
    assert plan(TINY) == 0
    assert plan(TINY | {"experiment": 8}) != 0

    @settings(max_examples=THROUGH_SNAKEMAKE, suppress_health_check=list(HealthCheck), database=None)
    @given(st.data())
    def run(data):
        plan(mutated(data.draw))

    run()
    assert len(told) >= THROUGH_SNAKEMAKE + 2
