"""Which files of code a script's results depend on."""

import json
import subprocess
import sys

import pytest
from project import create

from gradreg.planning.code_inputs import closure

FILES = {
    "gradreg/extra/__init__.py": "from gradreg.extra.offered import thing",
    "gradreg/extra/offered.py": "import gradreg.sampling\n\nthing = 1",
    "gradreg/extra/deep/__init__.py": '"""Nothing but words."""',
    "gradreg/extra/deep/leaf.py": "value = 1",
    "gradreg/extra/unused.py": "import gradreg.norms",
    "script.py": "from gradreg.extra.deep import leaf",
}


def test_packages_count_with_what_they_re_export(tmp_path):
    """Importing gradreg.extra.deep.leaf runs gradreg/extra/__init__.py, and what that imports."""
    project = create(tmp_path / "p")
    for file, text in FILES.items():
        path = project.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    ask = "import json; from gradreg.planning.code_inputs import closure; print(json.dumps(closure('script.py')))"
    command = [sys.executable, "-c", ask]
    done = subprocess.run(command, cwd=project.folder, env={"PYTHONPATH": "."}, capture_output=True, text=True)
    assert json.loads(done.stdout) == [
        "script.py",
        "gradreg/__init__.py",
        "gradreg/extra/__init__.py",
        "gradreg/extra/deep/leaf.py",
        "gradreg/extra/offered.py",
        "gradreg/norms.py",
        "gradreg/sampling.py",
    ]


def test_a_script_depends_on_what_its_kinds_are_registered_with():
    script = "workflow/scripts/train.py"
    files = closure(script, "gradreg.objectives.penalty")
    assert set(files) - set(closure(script)) == {"gradreg/objectives/penalty.py"}
    assert not any("attacks" in file or "reporting" in file for file in files)
    with pytest.raises(ValueError, match="gone is no module of gradreg"):
        closure(script, "gradreg.objectives.gone")
