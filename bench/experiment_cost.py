"""What an experiment costs from scratch: hours of one device, network by network.

python bench/experiment_cost.py config/paper.yaml --device cuda

Steps are timed on random images, on the device named. Attacks count as if every image stood all their steps, recipes
that stop on validation as if they never did, and replicas as if each were trained alone: it is the most that it takes.
"""

import argparse
from collections import defaultdict

import yaml

from gradreg import device, runtime_estimate
from gradreg.planning.experiment import Experiment
from gradreg.planning.hooks import Work


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="file of the experiment")
    parser.add_argument("--device", default="auto", type=device.argument, help="auto, cpu or cuda")
    parser.add_argument("--scale", default="full", choices=("full", "smoke"))
    args = parser.parse_args()
    with open(args.config, encoding="utf-8") as file:
        experiment = Experiment({**yaml.safe_load(file), "scale": args.scale}, [args.config])
    work: dict[tuple[str, str], list[Work]] = defaultdict(list)
    finals = 0
    for group, runs in experiment.groups.items():
        final = experiment.final_run(group, vars(runs[-1]))
        for run in (*runs, final):
            plan = experiment.plan(run)
            item = Work(run.dataset, plan.training, plan.attack, plan.n_evaluated, plan.seeds, plan.seeds)
            work[group.dataset, group.model].append(item)
        finals += experiment.plan(final).seeds
    print("| data | network | trained | training, h | attacks, h |")
    print("| --- | --- | --- | --- | --- |")
    total = 0.0
    for names, items in work.items():
        seconds = runtime_estimate.estimate(items, args.device)
        total += seconds.training + seconds.evaluation
        networks = sum(item.train for item in items)
        hours = f"{seconds.training / 3600:.2f} | {seconds.evaluation / 3600:.2f}"
        print(f"| {' | '.join(names)} | {networks} | {hours} |", flush=True)
    print(f"\n{total / 3600:.1f} hours of one {args.device.type}, {finals} final networks among them.")


if __name__ == "__main__":
    main()
