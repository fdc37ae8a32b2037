"""The report of the tiny experiment in a real browser: every section, every figure and table, no errors, no network."""

import itertools
import os
import shutil

import pandas as pd
import pytest
from synthetic import measurements, with_rows

from gradreg.reporting import tables
from gradreg.storage import metrics

CHROMIUM = shutil.which("chromium")
FLAGS = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
STUDY = "digits, 300 training images"
ENTRIES = {
    "1. What does regularisation do to the error?": ["Errors, and whether they differ from plain", "Error under noise"],
    "2. How do the networks stand up to attack?": [
        "Error against the strength of the attack",
        "Training norm by attack norm",
    ],
    "3. Can that robustness be trusted?": [
        "Flags: results that cannot be trusted",
        "What stronger attacks find",
        "Training under a probe",
        "Estimates from gradient and curvature",
    ],
    "4. Is the loss as linear as the method takes it?": [
        "The rise of the loss, and its first order",
        "Norms of the input gradient",
        "Error against the norm of the gradient",
    ],
    "5. What do perturbations look like?": ["Perturbations on softmax", "Alignment of gradient and image"],
    "6. Why do adversarial examples generalise?": ["What fools other networks", "Every network against every other"],
    "7. How were the settings chosen?": ["Validation error against training eps", "Learning curves"],
}


@pytest.fixture(scope="module")
def browser():
    """A browser that is offline."""
    api = pytest.importorskip("playwright.sync_api", reason="the browser driver is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    with api.sync_playwright() as play:
        flags = FLAGS + (["--no-sandbox"] if os.geteuid() == 0 else [])
        browser = play.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser):
    """A function that opens a page; ``said``: what the console complained of, ``asked``: what was asked for."""
    pages = []

    def opened(file, width=1400):
        page = browser.new_page(viewport={"width": width, "height": 1000})
        pages.append(page)
        page.said, page.asked = [], []
        page.on("console", lambda message: message.type == "error" and page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(file.as_uri())
        return page

    yield opened
    for page in pages:
        page.close()


def fetched(page):
    """What was asked of the network."""
    return [url for url in page.asked if not url.startswith(("file:", "data:", "blob:", "about:"))]


@pytest.mark.parametrize("width", [400, 1000, 1400])
def test_the_report_shows_what_was_found_and_every_entry_with_its_caption(template, opened, width):
    page = opened(template.folder / "results/tiny/report.html", width)
    headings = page.locator("h2").all_inner_texts()
    assert headings[0] == f"What was found: {STUDY}"
    assert page.locator("section").first.locator("li").count() == 3  # softmax, of digits
    for section, titles in ENTRIES.items():
        assert f"{section} {STUDY}" in headings
        entries = page.locator("section", has=page.get_by_role("heading", name=f"{section} {STUDY}")).locator("figure")
        expected = [f"{section[0]}.{i} {title}" for i, title in enumerate(titles, start=1)]
        assert entries.locator("h3").all_inner_texts() == expected
        for number in range(entries.count()):
            assert len(entries.nth(number).locator("figcaption").inner_text()) > 80
    assert page.evaluate(
        "[...document.querySelectorAll('img')].every(image => image.complete && image.naturalWidth > 0)"
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.said == fetched(page) == []


def test_the_contents_lead_to_every_entry_by_the_keyboard(template, opened):
    page = opened(template.folder / "results/tiny/report.html")
    links = page.locator("nav a")
    inside = [link for link in links.all() if link.get_attribute("href").startswith("#")]
    assert len(inside) > 20
    for link in inside:
        assert page.locator(f"[id='{link.get_attribute('href')[1:]}']").count() == 1
    inside[-1].focus()
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == inside[-1].get_attribute("href")
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()


def test_the_provenance_names_the_jobs_and_their_code(template, opened):
    """Snakemake's own report, which the other links to."""
    page = opened(template.folder / "results/tiny/provenance.html")
    page.get_by_text("Results", exact=True).first.wait_for()
    page.get_by_text("1. What does regularisation do to the error?", exact=True).first.click()
    page.get_by_text(STUDY, exact=True).first.click()
    page.locator("table tbody tr").first.wait_for()
    assert page.said == fetched(page) == []


@pytest.mark.parametrize("dataset", ["digits", "mnist"])
@pytest.mark.parametrize("width", [1000, 1400])
def test_a_page_of_errors_fits_and_no_value_is_broken(opened, tmp_path, width, dataset):
    """Five norms, three attacks on each; MNIST has errors in the literature, with long sources."""
    test = measurements(seeds=5).assign(dataset=dataset)
    for attack, p in itertools.product(("multi_step", "apgd", "standard"), ("1", "1.3", "2", "4", "inf")):
        test = with_rows(test, (attack, p, "0.5", "error", 0.9123, ""))
    test = test.drop_duplicates([*metrics.CELL, *metrics.MEASUREMENT[:5]])
    table, sources = tables.with_letters(tables.errors(test))
    assert ("a: Lyu et al. 2015" in sources) == (dataset == "mnist")
    parts = tables.by_attack(table, test)
    (tmp_path / "errors.html").write_text(tables.to_html(parts, "Errors", sources))
    shown = opened(tmp_path / "errors.html", width)
    assert len(parts) == 4
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    lines = "cell => cell.getBoundingClientRect().height / parseFloat(getComputedStyle(cell).lineHeight)"
    values = "[...document.querySelectorAll('td')].filter(cell => cell.innerText.includes('±'))"
    assert shown.evaluate(f"Math.max(...{values}.map({lines}))") < 2


def test_comparisons_fit_into_the_page_of_a_report(opened, tmp_path):
    """Their names of measurements are long where there are several norms; P after Holm's correction stands last."""
    row = (
        "sigmoid-mlp",
        "p = inf",
        "error, %, multi-step any norm eps = 12+1.5+0.15",
        10000,
        5,
        -33.76,
        -37.52,
        -30.25,
    )
    compared = pd.DataFrame([(*row, 0.0001, 0.0001)], columns=[*tables.COMPARED, "p_holm"])
    (tmp_path / "errors.html").write_text(tables.to_html({"Differences": tables.rounded(compared)}, "Differences"))
    shown = opened(tmp_path / "errors.html", 950)
    assert shown.evaluate("document.documentElement.scrollWidth") <= 950
