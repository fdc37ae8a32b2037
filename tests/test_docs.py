"""What the documentation says: its code runs, and what it points to is there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import gradreg
import gradreg.norms
import gradreg.sampling
from gradreg import registry

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def headings(page):
    """The anchors of a page, as GitHub makes them."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "config/README.md"], ids=lambda page: page.name)
def test_links_lead_to_headings_that_are_there(page):
    for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text()):
        other = page.parent / target if target else page
        assert other.suffix != ".md" or anchor in headings(other), f"{target}#{anchor}"


MARKDOWN = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "config/README.md")]


@pytest.mark.parametrize("page", [*MARKDOWN, *PAGES[1:]], ids=lambda page: page.name)
def test_a_line_holds_one_sentence(page):
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    lines = [line for line in prose.splitlines() if not re.match(r" *(\||\d+\. )", line)]
    assert [line for line in lines if re.search(r"(?<!et al)[.!?][)*]* +[A-Z*`\[]", line)] == []


def test_tests_that_pages_name_are_there():
    named = {name for page in PAGES for name in re.findall(r"test_\w+\.py", page.read_text())}
    assert named
    assert all((ROOT / "tests" / name).exists() for name in named)


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().split()) < 900


def test_every_page_is_reached_from_the_readme():
    text = (ROOT / "README.md").read_text()
    assert all(f"docs/{page.name}" in text for page in PAGES[1:])


def code(page):
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.mark.parametrize("page", [page for page in PAGES if code(page)], ids=lambda page: page.name)
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch):
    """But for that with trained networks: ``test_trained.py``."""
    monkeypatch.chdir(tmp_path)
    for block in (block for block in code(page) if "import load" not in block):
        exec(compile(block, page.name, "exec"), {})


def test_the_library_is_shown_in_20_lines():
    first = code(ROOT / "docs" / "library.md")[0]
    assert len([line for line in first.splitlines() if line.strip()]) <= 20
    names = {}
    exec(compile(first, "library.md", "exec"), names)
    assert names["loss"].item() > 0


def test_the_front_door_has_what_it_names_and_opens_late():
    """Every name is there, from the module that has it; importing the package alone brings no PyTorch."""
    for name in gradreg.__all__:
        assert getattr(gradreg, name).__name__ == name
    assert set(gradreg.__all__) <= set(dir(gradreg))
    assert set(registry.section("objectives")) <= set(gradreg.__all__)
    with pytest.raises(AttributeError, match="module 'gradreg' has no attribute 'perturbed'"):
        gradreg.perturbed  # noqa: B018
    late = "import sys, gradreg; assert 'torch' not in sys.modules; gradreg.norm; assert 'torch' in sys.modules"
    assert subprocess.run([sys.executable, "-c", late]).returncode == 0


def test_the_readme_names_the_commands_that_there_are():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`make (\w+)`|^make (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE):
        assert re.search(rf"^{target[0] or target[1]}:", makefile, re.MULTILINE)


def test_make_results_runs_all_that_is_published():
    """But for quickstart, which is the default, and a trial on another machine."""
    commands = re.search(r"^results:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    published = {file.parents[1].name for file in (ROOT / "results/published").glob("*/metrics/test.csv")}
    assert {"quickstart", *re.findall(r"config/([\w-]+)\.yaml", commands)} == published
