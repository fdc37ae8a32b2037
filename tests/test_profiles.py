"""Profiles, as far as they show without a cluster."""

import os
import subprocess

import pytest
from project import ROOT


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("JobId=1 JobName=x JobState=RUNNING Reason=None", "running"),
        ("JobId=1 JobState=COMPLETED Reason=None", "success"),
        ("JobId=1 JobState=NODE_FAIL Reason=NodeDown", "failed"),
        ("slurm_load_jobs error: Invalid job id specified", "failed"),
        ("slurm_load_jobs error: Unable to contact slurm controller (connect failure)", "running"),
    ],
)
def test_the_status_of_a_job_for_any_scheduler(tmp_path, said, status):
    """A controller that does not answer is no reason to run a job a second time."""
    (tmp_path / "scontrol").write_text(f"#!/bin/sh\necho '{said}'\n")
    (tmp_path / "scontrol").chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    script = [ROOT / "profiles/cluster-generic/status.sh", "1"]
    done = subprocess.run(script, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == status
