"""Answers of docs/howto.md: short, their configs are planned and their commands run, as far as a dry run goes."""

import re
import shlex
import shutil

import pytest
import yaml
from configs import BASE, ROOT, merged

from gradreg.planning.experiment import Experiment

PAGE = (ROOT / "docs/howto.md").read_text()
ANSWERS = dict(re.findall(r"^### (\.\.\. .*?)\n(.*?)(?=^##|\Z)", PAGE, re.DOTALL | re.MULTILINE))


def blocks(language):
    return [
        (question, block)
        for question, answer in ANSWERS.items()
        for block in re.findall(rf"```{language}\n(.*?)```", answer, re.DOTALL)
    ]


def test_there_are_twenty_answers_of_at_most_five_lines():
    assert len(ANSWERS) >= 20
    for question, answer in ANSWERS.items():
        lines = [line for line in answer.splitlines() if line and not line.startswith("```")]
        assert 1 <= len(lines) <= 5, question


@pytest.mark.parametrize(("question", "block"), blocks("yaml"), ids=lambda text: text.splitlines()[0])
def test_configs_are_planned(question, block):
    config = merged(BASE)
    changes = yaml.safe_load(block)
    config["sweep"][0] |= changes
    assert Experiment(config).selection
    assert set(changes) <= {"eps", "objectives", "models", "train", "attack", "selection", "n_train", "seeds"}


@pytest.mark.faults
@pytest.mark.parametrize(("question", "block"), blocks("sh"), ids=lambda text: text.splitlines()[0])
def test_commands_run(template, tmp_path, question, block):
    """As dry runs, on a finished experiment; where files are removed, they are planned, and no training."""
    project = template.copy(tmp_path / "project")
    shutil.copytree(ROOT / "config", project.folder / "config")
    for line in block.replace("results/quickstart", "results/tiny").splitlines():
        command, *arguments = shlex.split(line)
        if command == "rm":
            assert arguments[0] == "-r"
            shutil.rmtree(project.folder / arguments[1])
            counts = project.counts()
            assert counts["train"] == 0 or "remove results" in question
            assert counts["figures"] > 0
        else:
            assert command == "snakemake"
            project.snakemake(*arguments, *([] if "--unlock" in arguments else ["--dry-run", "--quiet"]))
