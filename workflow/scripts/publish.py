"""Copy the tables, figures and joined metrics of every finished experiment to results/published/, which git keeps."""

import shutil
from pathlib import Path

RESULTS = Path("results")
PUBLISHED = RESULTS / "published"
PARTS = ("config.json", "tables", "figures", "metrics", "groups")


def main() -> None:
    for report in sorted(RESULTS.glob("*/report.html")):
        experiment = report.parent
        target = PUBLISHED / experiment.name
        shutil.rmtree(target, ignore_errors=True)
        for part in PARTS:
            for file in sorted([experiment / part, *(experiment / part).rglob("*")]):
                # Of a group, what was chosen; its tables are in metrics.
                if file.is_file() and (part != "groups" or file.name == "choice.json"):
                    copy = target / file.relative_to(experiment)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, copy)
        print(f"{experiment} -> {target}")


if __name__ == "__main__":
    main()
