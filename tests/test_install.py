"""The built wheel, installed where nothing of the clone is: modules, data files, planning, the examples of the docs."""

import re
import subprocess
import sys
import sysconfig

import pytest
from project import ROOT

PLAN = """
import yaml
from gradreg.planning.experiment import Experiment
experiment = Experiment(yaml.safe_load(open({config!r})), [{config!r}])
print(len(experiment.selection), len(experiment.final))
"""
IMPORTS = """
import importlib, pkgutil, gradreg
names = [module.name for module in pkgutil.walk_packages(gradreg.__path__, "gradreg.")]
for name in names:
    importlib.import_module(name)
print(gradreg.__file__, *names)
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """A function that runs code in a new environment, which has the wheel and sees the dependencies."""
    folder = tmp_path_factory.mktemp("install")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, "."]
    # From a copy: building leaves files beside the sources.
    clone = folder / "clone"
    clone.mkdir()
    for name in ("gradreg", "pyproject.toml", "README.md", "LICENSE"):
        subprocess.run(["cp", "-r", ROOT / name, clone / name], check=True)
    subprocess.run([*pip, *build], cwd=clone, check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True)
    site = next((folder / "env").glob("lib/python*/site-packages"))
    subprocess.run([*pip, "install", "--no-deps", "--target", site, wheel], check=True)
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"])

    def run(code):
        command = [folder / "env" / "bin" / "python", "-c", code]
        done = subprocess.run(command, cwd=folder, env={"HOME": str(folder)}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    return run


def test_every_module_is_there_and_can_be_imported(python):
    file, *names = python(IMPORTS)
    assert "/env/" in file
    ours = {
        str(path.relative_to(ROOT).with_suffix("")).replace("/", ".").removesuffix(".__init__")
        for path in (ROOT / "gradreg").rglob("*.py")
    }
    assert {"gradreg", *names} == ours


def test_the_default_experiment_is_planned_from_outside_the_clone(python):
    selection, final = map(int, python(PLAN.format(config=str(ROOT / "config.yaml"))))
    assert selection == final > 20


def test_types_are_declared(python):
    (found,) = python("import gradreg, pathlib; print((pathlib.Path(gradreg.__file__).parent / 'py.typed').exists())")
    assert found == "True"


def test_the_examples_of_the_documentation_run(python):
    """But for those of trained networks: ``test_trained.py``."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "library.md").read_text(), re.DOTALL)
    blocks = [block for block in blocks if "import load" not in block]
    assert blocks
    for block in blocks:
        python(block)
