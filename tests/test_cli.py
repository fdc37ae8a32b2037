"""Commands end with one line for errors of their environment."""

import errno
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from project import create

from gradreg import cli


def refuse_memory():
    torch.empty(1 << 60, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "a/b"),
            "a/b: No space left on device; free some space, then",
        ),
        (OSError(errno.EROFS, "Read-only file system", "a"), "a: Read-only file system; make it writable, then give"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (
            FileNotFoundError(errno.ENOENT, "No such file", "a"),
            "a: No such file; give the same command again to recreate",
        ),
        (MemoryError(), "out of memory; run fewer jobs at a time (--cores), or use a smaller network"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried 2 GiB\nmore"), "out of memory (CUDA out of memory. Tried 2"),
    ],
)
def test_an_error_of_the_environment_is_one_line(error, text):
    assert cli.explained(error).startswith(text)
    assert "\n" not in cli.explained(error)


def test_a_command_that_runs_out_of_memory():
    with pytest.raises(SystemExit, match=r"Error: out of memory \(.*can't allocate memory.*\); run fewer jobs"):
        cli.run(refuse_memory)
    with pytest.raises(SystemExit, match=r"Error: out of memory \(Unable to allocate"):
        cli.run(lambda: np.zeros(1 << 55))


@pytest.mark.parametrize("error", [ValueError("x"), RuntimeError("x"), KeyError("x"), OSError("no number")])
def test_bugs_are_not_hidden(error):
    def fail():
        raise error

    assert cli.explained(error) is None
    with pytest.raises(type(error)):
        cli.run(fail)


def test_code_that_is_edited_while_it_runs_fails_the_job(tmp_path):
    """Of what the job has loaded, early or late, and of its script; other code is another job's."""
    project = create(tmp_path / "project")
    script = project.folder / "workflow/scripts/job.py"
    package = project.folder / "gradreg"
    edits = {package / "norms.py": True, package / "objectives/plain.py": True, script: True}
    for file, fails in (edits | {package / "reporting/tables.py": False}).items():
        text = f"""
            from pathlib import Path
            from gradreg import cli, norms
            def main():
                from gradreg.objectives import plain
                file = Path({str(file)!r})
                file.write_text(file.read_text() + "# edited")
            cli.run(main)
        """
        script.write_text(textwrap.dedent(text))
        environment = os.environ | {"PYTHONPATH": str(project.folder)}
        done = subprocess.run([sys.executable, script], env=environment, text=True, capture_output=True, check=False)
        told = f"Error: {file} was edited while this job ran; give the same command again\n"
        assert (done.returncode, done.stderr) == ((1, told) if fails else (0, ""))


def test_a_script_does_not_run_the_code_of_another_clone(tmp_path):
    """As it would where something comes before it on Python's path."""
    one, other = (create(tmp_path / name) for name in ("one", "other"))
    command = [sys.executable, one.folder / "workflow/scripts/join_tables.py", "--out", "x.csv", "y.csv"]
    environment = os.environ | {"PYTHONPATH": str(other.folder)}
    done = subprocess.run(command, env=environment, cwd=tmp_path, text=True, capture_output=True, check=False)
    assert done.returncode == 1
    assert f"join_tables.py runs the code of another folder, {other.folder / 'gradreg'}; give PYTHONPATH" in done.stderr
