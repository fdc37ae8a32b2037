# What the report and its rules share: its sections, a reader's questions; titles; what captions say.
SECTIONS = {
    "1. What does regularisation do to the error?": ["errors", "objectives", "noise", "sample_size"],
    "2. How do the networks stand up to attack?": ["robust_error", "norm_matrix"],
    "3. Can that robustness be trusted?": ["signs", "attack_strength", "probe", "estimates"],
    "4. Is the loss as linear as the method takes it?": ["linearisation", "gradient_norms", "error_and_gradient"],
    "5. What do perturbations look like?": ["gallery", "dreams", "alignment"],
    "6. Why do adversarial examples generalise?": ["transfer", "transfer_matrix"],
    "7. How were the settings chosen?": ["validation_error", "learning_curves"],
}
TITLES = {
    "errors": "Errors, and whether they differ from plain",
    "objectives": "The objectives side by side",
    "noise": "Error under noise",
    "sample_size": "Error against training images",
    "robust_error": "Error against the strength of the attack",
    "norm_matrix": "Training norm by attack norm",
    "signs": "Signs that a result cannot be trusted",
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
}


def facts(wildcards):
    """What captions say of a study: images, seeds, attack."""
    study = (wildcards["dataset"], int(wildcards["n_train"]))
    run, final = next((run, plan) for run, plan in EXPERIMENT.final.items() if (run.dataset, run.n_train) == study)
    size = EXPERIMENT.selection_size(*study, run.model)
    selection = next(p for r, p in EXPERIMENT.selection.items() if (r.dataset, r.n_train) == (run.dataset, size))
    n_test = final.attack["n_test"]
    plans = [plan for of, plan in EXPERIMENT.final.items() if (of.dataset, of.n_train) == study]
    strong = {name: own for plan in plans for name, own in plan.strong.items()}
    return {
        "dataset": run.dataset,
        "n_train": run.n_train,
        "n_test": n_test,
        "n_selection": size,
        "selections": {
            group.model: EXPERIMENT.groups[group][0].n_train
            for group in sorted(EXPERIMENT.groups, key=lambda group: group.path)
            if (group.dataset, group.n_train) == study
        },
        "n_validation": selection.hp["n_validation"],
        "seeds": final.seeds,
        "selection_seeds": selection.seeds,
        "attacked": min(final.attack["images"], n_test),
        "steps": final.attack["steps"],
        "strong": json.loads(as_json(strong)),
        "transferred": EXPERIMENT.transfers.get(study, {}).get("images"),
    }


def of_study(wildcards, name, models=None):
    """One file of every group of a study, or of those of some models."""
    study = (wildcards["dataset"], int(wildcards["n_train"]))
    groups = [group for group in EXPERIMENT.groups if (group.dataset, group.n_train) == study]
    groups = [group for group in groups if models is None or group.model in models]
    return [f"{ROOT}/groups/{group.path}/{name}" for group in groups]


def reported(file, name, study, shown, **names):
    """A file in its place of the report, numbered among what is shown of its study, and below it where there are more."""
    (section,) = [section for section, parts in SECTIONS.items() if name in parts]
    number = [part for part in SECTIONS[section] if part in shown].index(name) + 1
    # Not two labels: where one of them has two values, Snakemake's report makes a switch of it.
    return report(
        file,
        caption=f"../report/{name}.rst",
        category=section,
        subcategory=study if len(EXPERIMENT.studies) > 1 else None,
        labels={"shows": f"{section[0]}.{number} {TITLES[name].format(**names)}"},
    )


def study_name(dataset, n_train):
    """A study in the report's words."""
    return f"{dataset}, {n_train} training images"


def folder_of_output(wildcards, output):
    """The one folder of all of a job's files."""
    return os.path.dirname(output[0])


def glob_captions():
    """The captions, relative to the folder that Snakemake runs in."""
    return [f"workflow/report/{name}" for name in os.listdir(os.path.join(workflow.basedir, "workflow", "report"))]
