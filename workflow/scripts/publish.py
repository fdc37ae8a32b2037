"""Copy tables, figures, choices and joined metrics of every finished experiment to results/published/, kept by git.

Only what the experiment's config means is copied, not what earlier configs left behind; the report, which holds the
same figures again, is not.
"""

import json
import shutil
from pathlib import Path

from gradreg.experiment import Experiment

RESULTS = Path("results")


def main() -> None:
    for report in sorted(RESULTS.glob("*/report.html")):
        source, target = report.parent, RESULTS / "published" / report.parent.name
        experiment = Experiment(json.loads((source / "config.json").read_text(encoding="utf-8")))
        studies = {f"{group.dataset}-{group.n_train}" for group in experiment.groups}
        studies |= {group.dataset for group in experiment.groups}  # figures that go across sizes
        files = [source / "config.json", *sorted((source / "metrics").glob("*.csv"))]
        files += [source / "groups" / group.path / "choice.json" for group in experiment.groups]
        files += [
            file for study in studies for part in ("tables", "figures") for file in source.glob(f"{part}/{study}/*")
        ]
        shutil.rmtree(target, ignore_errors=True)
        for file in files:
            copy = target / file.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
        print(f"{source} -> {target}: {len(files)} files")


if __name__ == "__main__":
    main()
