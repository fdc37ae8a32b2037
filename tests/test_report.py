"""The report of the tiny experiment in a real browser: every section, every figure and table, no errors, no network."""

import itertools
import os
import re
import shutil

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
    "5. What do perturbations look like?": [
        "Perturbations on softmax",
        "Images that softmax makes out of noise",
        "Alignment of gradient and image",
    ],
    "6. Why do adversarial examples generalise?": ["What fools other networks", "Every network against every other"],
    "7. How were the settings chosen?": ["Validation error against training eps", "Learning curves"],
}


@pytest.fixture(scope="module")
def page(template):
    """The report, opened offline; ``said``: what the console complained of, ``asked``: what was asked for."""
    api = pytest.importorskip("playwright.sync_api", reason="the browser driver is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    with api.sync_playwright() as play:
        flags = FLAGS + (["--no-sandbox"] if os.geteuid() == 0 else [])
        browser = play.chromium.launch(executable_path=CHROMIUM, args=flags)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.said, page.asked = [], []
        page.on("console", lambda message: message.type == "error" and page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto((template.folder / "results/tiny/report.html").as_uri())
        page.get_by_text("Results", exact=True).first.wait_for()
        yield page
        browser.close()


def open_section(page, section, study):
    """Go to a section of the report, and there to a study, where there are several; the rows of its table."""
    page.reload()
    page.get_by_text(section, exact=True).first.click()
    page.get_by_text(re.compile(f"^{study}$|SHOWS", re.IGNORECASE)).first.wait_for()
    if page.get_by_text(study, exact=True).count():
        page.get_by_text(study, exact=True).first.click()
    page.locator("table tbody tr").first.wait_for()
    return page.locator("table tbody tr")


@pytest.mark.parametrize("section", ENTRIES)
def test_a_section_has_its_entries_and_each_opens(page, section):
    expected = [f"{section[0]}.{i} {title}" for i, title in enumerate(ENTRIES[section], start=1)]
    texts = [text.strip() for text in open_section(page, section, STUDY).all_inner_texts()]
    assert sorted(texts) == expected
    for text in expected:
        rows = open_section(page, section, STUDY)
        rows.filter(has_text=text).locator("a").first.click()
        shown = page.locator("main img, main iframe, img, iframe").first
        shown.wait_for()
        if shown.evaluate("e => e.tagName") == "IMG":
            page.wait_for_function("[...document.querySelectorAll('img')].every(image => image.complete)")
            assert page.evaluate("[...document.querySelectorAll('img')].every(image => image.naturalWidth > 0)")
        else:
            assert shown.content_frame.locator("table tr").count() > 1
    assert page.said == []


@pytest.mark.parametrize("width", [1000, 1400])
def test_a_page_of_errors_fits_and_no_value_is_broken(page, tmp_path, width):
    """Five norms, three attacks on each."""
    test = measurements(seeds=5)
    for attack, p in itertools.product(("multi_step", "apgd", "standard"), ("1", "1.3", "2", "4", "inf")):
        test = with_rows(test, (attack, p, "0.5", "error", 0.9123, ""))
    test = test.drop_duplicates([*metrics.CELL, *metrics.MEASUREMENT[:5]])
    parts = tables.by_attack(tables.errors(test), test)
    (tmp_path / "errors.html").write_text(tables.to_html(parts, "Errors"))
    shown = page.context.new_page()
    shown.set_viewport_size({"width": width, "height": 900})
    shown.goto((tmp_path / "errors.html").as_uri())
    assert len(parts) == 4
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    lines = "cell => cell.getBoundingClientRect().height / parseFloat(getComputedStyle(cell).lineHeight)"
    assert shown.evaluate(f"Math.max(...[...document.querySelectorAll('td')].map({lines}))") < 2
    shown.close()


def test_nothing_is_asked_of_the_network(page):
    assert [url for url in page.asked if not url.startswith(("file:", "data:", "blob:", "about:"))] == []
