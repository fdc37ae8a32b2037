"""What is shown of a study, and where in the report."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from gradreg import registry
from gradreg.planning.experiment import GIVEN, NO_P, Experiment, Plan, Run
from gradreg.planning.numerals import is_joined
from gradreg.planning.specs import to_json
from gradreg.registry import literature
from gradreg.registry.datasets import DATASETS

Study = tuple[str, int]  # data set, training images of the final runs
GAUSSIAN = {"gaussian": "clipped", "gaussian_unclipped": "not clipped"}  # kinds of noise, and what became of images
MANY_NORMS = 4  # of one objective, from which on there is a figure over them
LEGIBLE = 16  # pixels, from which on an image made out of noise shows anything
SECTIONS = {
    "1. What does regularisation do to the error?": ["errors", "objectives", "noise", "sample_size"],
    "2. How do the networks stand up to attack?": ["robust_error", "norm_matrix", "training_norm"],
    "3. Can that robustness be trusted?": ["flags", "attack_strength", "probe", "estimates"],
    "4. Is the loss as linear as the method takes it?": ["linearisation", "gradient_norms", "error_and_gradient"],
    "5. What do perturbations look like?": ["gallery", "dreams", "alignment"],
    "6. Why do adversarial examples generalise?": ["transfer", "transfer_matrix"],
    "7. How were the settings chosen?": ["validation_error", "learning_curves"],
    "8. Does it reproduce the literature?": ["reproduction", "reproduction_table"],
}
TITLES = {
    "errors": "Errors, and whether they differ from plain",
    "objectives": "The objectives side by side",
    "noise": "Error under noise",
    "sample_size": "Error against training images",
    "robust_error": "Error against the strength of the attack",
    "norm_matrix": "Training norm by attack norm",
    "training_norm": "Error against the training norm",
    "flags": "Flags: results that cannot be trusted",
    "attack_strength": "What stronger attacks find",
    "probe": "Training under a probe",
    "estimates": "Estimates from gradient and curvature",
    "linearisation": "The rise of the loss, and its first order",
    "gradient_norms": "Norms of the input gradient",
    "error_and_gradient": "Error against the norm of the gradient",
    "gallery": "Perturbations on {model}",
    "dreams": "Images that {model} makes out of noise",
    "alignment": "Alignment of gradient and image",
    "transfer": "What fools other networks",
    "transfer_matrix": "Every network against every other",
    "validation_error": "Validation error against training eps",
    "learning_curves": "Learning curves",
    "reproduction": "Errors in the literature beside ours",
    "reproduction_table": "Errors in the literature beside ours, in numbers",
}


def figures(experiment: Experiment, study: Study) -> dict[str, tuple[str, dict[str, str]]]:
    """The figures of a study: file -> (name, what its title is filled with)."""
    groups = [group for group in experiment.groups if (group.dataset, group.n_train) == study]
    objectives = {group.objective for group in groups if group.p not in (NO_P, GIVEN)}
    plans = [plan for _, plan in _trained(experiment, study)]
    names = ["validation_error", "robust_error", "norm_matrix", "attack_strength", "learning_curves"]
    names += ["gradient_norms", "linearisation", "error_and_gradient", "alignment"]
    of_one_norm = [group for group in groups if group.p not in (NO_P, GIVEN) and not is_joined(group.p)]
    norms = Counter((group.model, group.objective) for group in of_one_norm)
    if norms and max(norms.values()) >= MANY_NORMS:
        names.append("training_norm")
    if len(objectives) > 1:
        names.append("objectives")
    if any(levels for plan in plans for levels in plan.attack.noise.values()):
        names.append("noise")
    if any(plan.attack.smooth for plan in plans):
        names.append("estimates")
    if any(registry.moves(plan.training.objective.kind) for plan in plans):
        names.append("probe")
    if study in experiment.transfers:
        names += ["transfer", "transfer_matrix"] if min(plan.seeds for plan in plans) > 1 else ["transfer"]
    if in_literature(experiment, study):
        names.append("reproduction")
    pictures = ["gallery", *(["dreams"] if DATASETS[study[0]].image_shape[1] >= LEGIBLE else [])]
    of_models = [
        (f"{name}_{model}", (name, {"model": model}))
        for model in models_with_galleries(experiment, study)
        for name in pictures
    ]
    return {name: (name, {}) for name in names} | dict(of_models)


def _trained(experiment: Experiment, study: Study) -> list[tuple[Run, Plan]]:
    """The final runs of a study, without networks from files."""
    runs = experiment.final.items()
    return [(run, plan) for run, plan in runs if (run.dataset, run.n_train) == study and not run.given]


def tables(experiment: Experiment, study: Study) -> dict[str, str]:
    """The tables of a study that are shown: file -> name."""
    shown = {"errors": "errors", "flags": "flags"}
    return shown | ({"reproduction": "reproduction_table"} if in_literature(experiment, study) else {})


def arguments(experiment: Experiment, study: Study) -> list[str]:
    """What the scripts that make the tables and draw the figures of a study take beside files."""
    dataset, n_train = study
    about = facts(experiment, study)["selections"], vars(experiment.criteria[study]), in_literature(experiment, study)
    selections, by, errors = map(to_json, about)
    numbers = ["--dataset", dataset, "--n-train", str(n_train), "--selections", selections]
    return [*numbers, "--by", by, "--literature", errors]


def in_literature(experiment: Experiment, study: Study) -> list[dict[str, Any]]:
    """Errors in the literature that networks of a study are compared with, each with the network and its training.

    noise: the standard deviation of Gaussian noise, if there was any, else empty; only if the study measures it.
    """
    rows: dict[str, dict[str, Any]] = {}
    for run, plan in experiment.final.items():
        if (run.dataset, run.n_train) != study or run.given:
            continue
        model, kind = plan.training.model, plan.training.objective.kind
        settings = {"kind": model.kind, "input": model.input, **model.settings}
        objective = {"kind": kind, **plan.training.objective.settings}
        measured = {level.value for kind in GAUSSIAN for level in plan.attack.noise.get(kind, [])}
        network = {"model": run.model, "objective": "" if run.p == NO_P else run.objective, "p": run.p}
        for entry in literature.compared(run.dataset, run.n_train, settings, objective, run.p):
            clean = [] if entry.error is None else [("", entry.error)]
            errors = [*clean, *(noisy for noisy in entry.noise if float(noisy[0]) in measured)]
            for noise, error in errors:
                row = network | {"noise": noise, "error": error, "source": entry.source}
                rows.setdefault(str(row), row)  # the baseline has several settings, and one of them is chosen
    return list(rows.values())


def models_with_galleries(experiment: Experiment, study: Study) -> list[str]:
    """The models of a study that have galleries."""
    return [model for *of, model in experiment.galleries if tuple(of) == study]


class Entry(NamedTuple):
    """A table or figure of the report. title: with its number in the section."""

    name: str
    section: str
    title: str


def contents(experiment: Experiment, study: Study) -> dict[str, Entry]:
    """What the report shows of a study, in its order, by file, from the experiment's folder.

    The size of a study is 0 for the figure that goes across the sizes of a data set.
    """
    dataset, n_train = study
    if not n_train:
        return _numbered({f"figures/{dataset}/sample_size.svg": ("sample_size", {})})
    folder = f"{dataset}-{n_train}"
    files: dict[str, tuple[str, dict[str, str]]] = {
        f"tables/{folder}/{file}.html": (name, {}) for file, name in tables(experiment, study).items()
    }
    files |= {f"figures/{folder}/{file}.svg": shown for file, shown in figures(experiment, study).items()}
    return _numbered(files)


def beside(experiment: Experiment, study: Study) -> list[str]:
    """What is shown of a study beside its report: tables as text, figures as pixels; files as in ``contents``."""
    dataset, n_train = study
    if not n_train:
        return [f"figures/{dataset}/sample_size.png"]
    of_study = f"{dataset}-{n_train}"
    names = ("comparison", *tables(experiment, study))
    texts = [f"tables/{of_study}/{name}.{suffix}" for name in names for suffix in ("csv", "md", "tex")]
    return texts + [f"figures/{of_study}/{name}.png" for name in figures(experiment, study)]


def _numbered(files: Mapping[str, tuple[str, dict[str, str]]]) -> dict[str, Entry]:
    entries = {}
    for section, names in SECTIONS.items():
        of_section = [file for name in names for file, (shown, _) in files.items() if shown == name]
        for number, file in enumerate(of_section, start=1):
            name, filled = files[file]
            entries[file] = Entry(name, section, f"{section[0]}.{number} {TITLES[name].format(**filled)}")
    return entries


def place(experiment: Experiment, study: Study, entry: Entry) -> dict[str, Any]:
    """Where an entry of a study stands in the report of provenance, as arguments of Snakemake's ``report``."""
    dataset, n_train = study
    size = f"{n_train} training images" if n_train else "every size"
    # Not two labels: where one of them has two values, Snakemake's report makes a switch of it.
    return {
        "caption": f"../report/{entry.name}.rst",
        "category": entry.section,
        "subcategory": f"{dataset}, {size}" if len(experiment.studies) > 1 else None,
        "labels": {"shows": entry.title},
    }


def facts(experiment: Experiment, study: Study) -> dict[str, Any]:
    """What captions say of a study: images, seeds, attacks."""
    dataset, n_train = study
    final = _trained(experiment, study)
    run, plan = final[0]
    groups = [group for group in experiment.groups if (group.dataset, group.n_train) == study]
    sizes = {group.model: experiment.groups[group][0].n_train for group in sorted(groups, key=lambda group: group.path)}
    size = sizes[run.model]
    same = (dataset, size, run.model)
    selection = next(p for r, p in experiment.selection.items() if (r.dataset, r.n_train, r.model) == same)
    transferred = experiment.transfers.get(study)
    return {
        "dataset": dataset,
        "n_train": n_train,
        "n_test": plan.attack.n_test,
        "n_selection": size,
        "selections": sizes,
        "n_validation": selection.training.n_validation,
        "by": str(experiment.criteria[study]),
        "seeds": plan.seeds,
        "selection_seeds": selection.seeds,
        "attacked": min(plan.attack.images, plan.attack.n_test or 0),
        "steps": plan.attack.steps,
        "strong": {
            name: {"attacks": list(spec.attacks), "images": spec.images, "seeds": seeds}
            for _, plan in final
            for name, (spec, seeds) in plan.strong.items()
        },
        "transferred": transferred.images if transferred else None,
        "as_in_literature": bool(in_literature(experiment, study)),
    }
