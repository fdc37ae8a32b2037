"""Print how much an experiment has still to do and how long it will take, measured in a few seconds on this machine."""

import argparse
import json
import sys
import time

START = time.monotonic()

from gradreg import cli, device, runtime_estimate  # noqa: E402 - imports are part of what a job costs
from gradreg.planning.hooks import Work  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", required=True, type=int, help="jobs to run")
    parser.add_argument("--parallel", required=True, type=int, help="jobs that run at a time")
    args = parser.parse_args()
    device.choose("cpu")  # one thread, as the jobs have
    work = [Work.of(item) for item in json.load(sys.stdin)]
    trained, evaluated = sum(item.train for item in work), sum(item.evaluate for item in work)
    start_up = time.monotonic() - START
    try:
        seconds = runtime_estimate.estimate(work)
    except ValueError as error:
        sys.exit(f"Error: {error}")
    parts = (seconds.training, seconds.evaluation, args.jobs * start_up)
    # More cores than there are jobs help no further.
    total = max(sum(parts) / args.parallel, seconds.longest)
    training, attacks, starting = (f"{100 * part / sum(parts):.0f} %" for part in parts)
    print(
        f"At most {trained} networks to train, {evaluated} to evaluate. About "
        f"{runtime_estimate.minutes(total)} with {args.parallel} jobs at a time: training "
        f"{training}, attacks at most {attacks}, starting {args.jobs} jobs {starting} (from a few steps of each kind, "
        "timed on this machine)."
    )


if __name__ == "__main__":
    cli.run(main)
