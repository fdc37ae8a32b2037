"""A Slurm of three nodes on this machine, and runs of a project through it."""

import os
import re
import shlex
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

SCRIPT = Path(__file__).parent / "slurm-on-one-host.sh"
OUTWARDS = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])


@dataclass
class Slurm:
    """A running cluster; its files are in a folder."""

    folder: Path
    runs: list = field(default_factory=list)
    lost: list = field(default_factory=list)

    @property
    def environment(self):
        """What a command needs to find it."""
        return {"SLURM_CONF": f"{self.folder}/slurm.conf", "PATH": f"{self.folder}/bin{os.pathsep}{OUTWARDS}"}

    def command(self, *words):
        """What one of its commands prints."""
        done = subprocess.run(words, env=os.environ | self.environment, capture_output=True, text=True, check=True)
        return done.stdout

    def jobs(self, since=0):
        """The jobs whose number is higher than ``since``: the fields that Slurm tells of each."""
        lines = self.command("scontrol", "--oneliner", "show", "job").splitlines()
        found = [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in lines if line.startswith("JobId=")]
        return sorted((job for job in found if int(job["JobId"]) > since), key=lambda job: int(job["JobId"]))

    def last(self):
        """The number of the latest job."""
        return max((int(job["JobId"]) for job in self.jobs()), default=0)

    def lose(self, job):
        """Take down the node on which a job runs: its daemon and all processes of the job at once."""
        node = job["NodeList"]
        daemon = psutil.Process(int((self.folder / "run" / f"slurmd.{node}.pid").read_text()))
        name = f"slurmstepd: [{job['JobId']}."
        steps = [
            own for own in psutil.process_iter(["cmdline"]) if " ".join(own.info["cmdline"] or ()).startswith(name)
        ]
        assert steps
        # The children last: a step that saw them end would say so.
        for process in (daemon, *steps, *(child for step in steps for child in step.children(recursive=True))):
            with suppress(psutil.NoSuchProcess):  # over by itself
                process.kill()
        self.lost.append(node)

    def clear(self):
        """End the runs that are still there and all jobs, and start the daemons that were lost."""
        for process in self.runs:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        self.runs.clear()
        self.command("scancel", "--user", str(os.getuid()))
        for node in self.lost:
            self.command("slurmd", "-N", node)
        self.lost.clear()
        wait(lambda: not self.command("squeue", "--noheader"), 60, "an empty queue")
        wait(
            lambda: self.command("sinfo", "--noheader", "--format", "%T %D").split() == ["idle", "3"], 60, "three nodes"
        )


def start(folder):
    """Start a cluster whose files are in a folder: one for each process that runs tests."""
    _script("start", folder)
    return Slurm(folder)


def stop(slurm):
    """End its jobs and daemons."""
    _script("stop", slurm.folder)


def finish(process, seconds):
    """The end of a run, which is interrupted where it takes longer: (code, output)."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
        raise AssertionError(f"{shlex.join(process.args)} took more than {seconds} s:\n{out}{err}") from None
    return process.returncode, out + err


def wait(condition, seconds=60, what="it"):
    """What ``condition`` returns as soon as it is true."""
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, f"{what} did not come within {seconds} s"
        time.sleep(0.3)
    return found


def _script(command, folder):
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    environment = os.environ | {"PATH": OUTWARDS, "PORT": str(16817 + 10 * worker)}
    subprocess.run([SCRIPT, command, folder], check=True, env=environment)
