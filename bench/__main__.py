"""Measure speed: a table per section, and all of it as JSON.

steps: the cost of a training step of each objective on each network; blocks: replicas in one process against processes
of their own; peers: whole jobs against what people use instead; precision: test errors in each; dag: the workflow
beside its networks; attacks: images per second of each attack. What the JSON file holds already is not measured again:
delete it to start afresh.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import attacks, common, dag, jobs, steps
from gradreg import device
from gradreg.storage.files import write_json


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("sections", nargs="*", help="steps, blocks, peers, precision, dag, attacks; all unless given")
    parser.add_argument("--device", default="auto", type=device.argument, help="auto, cpu or cuda")
    parser.add_argument("--out", default=Path("results/bench/bench.json"), type=Path, help="JSON file")
    parser.add_argument("--rehearse", action="store_true", help="everything once and tiny: a test that it works")
    args = parser.parse_args()
    tiny = args.rehearse
    sections: dict[str, Callable[[], dict[str, Any]]] = {
        "steps": lambda: steps.measure(args.device, 1 if tiny else 7, {"sigmoid"} if tiny else None),
        "blocks": lambda: jobs.blocks(args.device, *((1, 1000, (1, 2)) if tiny else (3, 20000))),
        "peers": lambda: jobs.peers(args.device, *((1, 1000, 2) if tiny else (3, 60000, 3))),
        "precision": lambda: jobs.precision(args.device, *((2, 1000, 1) if tiny else (5, 60000, 2))),
        "dag": lambda: dag.measure(1 if tiny else 7),
        "attacks": lambda: attacks.measure(args.device, 1 if tiny else 3, 20 if tiny else 200),
    }
    unknown = set(args.sections) - sections.keys()
    if unknown:
        parser.error(f"no section {', '.join(sorted(unknown))}; there are {', '.join(sections)}")
    found = json.loads(args.out.read_text(encoding="utf-8")) if args.out.exists() else {}
    found.setdefault("machine", common.machine(args.device))
    print(json.dumps(found["machine"], indent=1), flush=True)
    for name in args.sections or sections:
        if name in found:
            print(f"{name}: measured before, in {args.out}")
            continue
        found[name] = sections[name]()
        write_json(args.out, found)
    print(f"All of it: {args.out}")


if __name__ == "__main__":
    main()
