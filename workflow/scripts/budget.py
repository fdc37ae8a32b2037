"""Print what an experiment has still to do and how long it will take, measured in a few seconds on this machine."""

import argparse
import json
import sys
import time

START = time.monotonic()

from gradreg import cli as commands  # noqa: E402
from gradreg import device  # noqa: E402 - imports are part of what a job costs
from gradreg import runtime_estimate as budget  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", required=True, type=int, help="jobs to run")
    parser.add_argument("--parallel", required=True, type=int, help="jobs that run at a time")
    args = parser.parse_args()
    device.choose("cpu")  # one thread, as the jobs have
    work = [budget.Work(**item) for item in json.load(sys.stdin)]
    trained, measured = sum(item.train for item in work), sum(item.evaluate for item in work)
    start_up = time.monotonic() - START
    try:
        seconds = budget.estimate(work)
    except ValueError as error:
        sys.exit(f"Error: {error}")
    starting = args.jobs * start_up
    total = (seconds.training + seconds.evaluation + starting) / args.parallel
    print(
        f"Budget: at most {trained} networks to train, {measured} to measure. About {budget.minutes(total)} with "
        f"{args.parallel} jobs at a time: training {_share(seconds.training, seconds, starting)}, attacks at most "
        f"{_share(seconds.evaluation, seconds, starting)}, starting {args.jobs} jobs "
        f"{_share(starting, seconds, starting)} (from a few steps of each kind, timed on this machine)."
    )


def _share(part: float, seconds: budget.Seconds, starting: float) -> str:
    return f"{100 * part / (seconds.training + seconds.evaluation + starting):.0f} %"


if __name__ == "__main__":
    commands.run(main)
