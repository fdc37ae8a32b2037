"""The report: one page that needs nothing else, what was found first, then every table and figure with its caption."""

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from docutils.core import publish_parts

from gradreg.planning import report
from gradreg.planning.experiment import Experiment
from gradreg.planning.report import Study
from gradreg.reporting import findings, tables
from gradreg.storage import metrics
from gradreg.storage.files import read_bytes

BODY = re.compile(r"<body>(.*)</body>", re.DOTALL)


def write(experiment: Experiment, root: Path, template: Path) -> str:
    """The page of a finished experiment as HTML. root: its folder; template: the page's, beside the captions."""
    loader = jinja2.FileSystemLoader(template.parent)
    captions = jinja2.Environment(loader=loader, autoescape=False)  # they are text
    pages = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    test = metrics.read(root / "metrics" / "test.csv")
    studies = [_study(experiment, study, test, root, captions) for study in experiment.studies]
    across = [_across(experiment, dataset, root, captions) for dataset in experiment.in_several_sizes]
    about = _rendered(captions, "workflow", {"config": experiment.config})
    page = pages.get_template(template.name)
    return page.render(name=experiment.name, studies=studies, across=across, about=about, style=tables.STYLE)


def _study(
    experiment: Experiment, study: Study, test: pd.DataFrame, root: Path, captions: jinja2.Environment
) -> dict[str, Any]:
    """What the page shows of a study: title, findings, main table, main figure, sections with their entries."""
    dataset, n_train = study
    folder = f"{dataset}-{n_train}"
    test = test[(test.dataset == dataset) & (test.n_train == n_train)]
    compared = tables.compared_before(metrics.read(root / "tables" / folder / "comparison.csv"), test)
    facts = report.facts(experiment, study)
    sections: dict[str, list[dict[str, str]]] = {}
    for file, (name, section, title) in report.contents(experiment, study).items():
        sections.setdefault(section, []).append(_entry(root / file, title, _caption(captions, name, facts)))
    errors, sources = tables.with_letters(tables.errors(test, compared))
    parts = tables.by_attack(errors, test)
    return {
        "title": f"{dataset}, {n_train} training images",
        "anchor": folder,
        "findings": findings.by_model(test, compared),
        "table": _inner(tables.to_html(dict(list(parts.items())[:2]), "", f"{tables.NOTE} {sources}")),
        "figure": _shown(root / f"figures/{folder}/robust_error.svg"),
        "sections": [
            {"title": section, "anchor": f"{folder}-{section[0]}", "entries": entries}
            for section, entries in sections.items()
        ],
    }


def _across(experiment: Experiment, dataset: str, root: Path, captions: jinja2.Environment) -> dict[str, str]:
    """The figure that goes across the numbers of training images of a data set."""
    facts = [report.facts(experiment, study) for study in experiment.studies if study[0] == dataset]
    ((file, (name, _, title)),) = report.contents(experiment, (dataset, 0)).items()
    return _entry(root / file, f"{dataset}: {title}", _caption(captions, name, facts))


def _entry(file: Path, title: str, caption: str) -> dict[str, str]:
    anchor = f"{file.parent.name}-{file.stem}"
    return {"title": title, "content": _shown(file), "anchor": anchor, "caption": caption}


def _shown(file: Path) -> str:
    """A figure or a table as part of a page."""
    content = read_bytes(file)
    if file.suffix == ".html":
        return _inner(content.decode())
    image = base64.b64encode(content).decode()
    return f'<img alt="{file.stem.replace("_", " ")}" src="data:image/svg+xml;base64,{image}">'


def _inner(page: str) -> str:
    """The body of a page of tables, with headings below those of the report."""
    (body,) = BODY.findall(page)
    return str(body).replace("<h2>", "<h4>").replace("</h2>", "</h4>")


def _caption(captions: jinja2.Environment, name: str, facts: Any) -> str:
    return _rendered(captions, name, {"params": {"facts": facts}})


def _rendered(captions: jinja2.Environment, name: str, about: Mapping[str, Any]) -> str:
    """A caption, which Snakemake's own report shows as well, as HTML."""
    text = captions.get_template(f"{name}.rst").render(snakemake=about)
    options = {"math_output": "MathML", "initial_header_level": 3}
    html: str = publish_parts(text, writer="html5", settings_overrides=options)["body"]
    return html
