"""The pages in a real browser: quiet, readable for everybody in light and dark, and equal to the ledger.

Run by `make test-browser`. The name of this module keeps it out of `make test`, whose workbench has no browser.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from jobs.page import render_load
from schemas.counts import COUNTS
from tests.browser.chromium import Shop, chromium, find_chromium, run_shop
from tests.jobs.test_page import PAST, REPORT

BYTES = 300_000
WIDTHS = {"desk": 1200, "telephone": 360}


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    find_chromium()
    return run_shop(tmp_path_factory.mktemp("browser"))


@pytest.fixture(scope="session")
def browser(shop: Shop) -> Iterator[Browser]:
    """Started after the shop's pipeline has ended: both want the event loop of this thread."""
    with chromium() as running:
        yield running


@dataclass
class Seen:
    """A page, and what the browser complained about or asked for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def opened(browser: Browser, path: Path, *, scheme: str = "light", width: int = 1200) -> Iterator[Seen]:
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800})  # type: ignore[arg-type]
    seen = Seen(context.new_page())
    seen.page.on("console", lambda message: seen.complaints.append(message.text))
    seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    seen.page.on("request", lambda request: seen.requests.append(request.url))
    seen.page.goto(path.as_uri())
    try:
        yield seen
    finally:
        context.close()


@pytest.fixture(scope="session")
def every_page(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Those of the shop, and one that is compared with earlier loads."""
    compared = tmp_path_factory.mktemp("compared") / "compared.html"
    compared.write_text(render_load(REPORT, past=PAST), encoding="utf-8")
    pages = [shop.index, compared, *sorted(shop.index.parent.glob("reports/html/*/*.html"))]
    # Four days, two dimensions, and the refused file.
    assert len(pages) == 2 + 4 + 2 + 1
    return pages


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_pages_are_quiet_and_readable(browser: Browser, every_page: list[Path], scheme: str, width: str) -> None:
    for path in every_page:
        with opened(browser, path, scheme=scheme, width=WIDTHS[width]) as seen:
            assert seen.requests == [path.as_uri()]
            violations = Axe().run(seen.page).response["violations"]
            assert [f"{each['id']}: {each['nodes'][0]['html']}" for each in violations] == [], path
            too_wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert seen.page.evaluate(too_wide) == 0, path
            assert seen.complaints == []
            assert path.stat().st_size < BYTES


def test_light_and_dark_differ(browser: Browser, shop: Shop) -> None:
    def paper(scheme: str) -> Any:
        with opened(browser, shop.index, scheme=scheme) as seen:
            return seen.page.evaluate("getComputedStyle(document.body).backgroundColor")

    assert (paper("light"), paper("dark")) == ("rgb(255, 255, 255)", "rgb(20, 24, 31)")


def test_figures_are_those_of_the_ledger(browser: Browser, shop: Shop) -> None:
    ledger = {row["load_id"]: row for row in shop.ledger if row["event"] == "load"}
    reports = {load["load_id"]: load for load in shop.loads if load["kind"] == "transactions"}
    changes: dict[str, Decimal] = defaultdict(Decimal)
    for amount in shop.amounts:
        changes[amount["load_id"]] += Decimal(str(amount["amount"]))
    compared = 0
    for load_id, row in ledger.items():
        if reports[load_id]["attempt"] > 1:
            continue
        compared += 1
        with opened(browser, shop.page(load_id)) as seen:
            shown = figures(seen.page, "Outcome of every row")
            assert shown == {"read": row["rows_read"], **{name: row[name] for name in COUNTS[1:]}}
            change = seen.page.locator(".tiles li", has_text="change of the warehouse").locator("b").inner_text()
            assert Decimal(change.replace(",", "")) == changes[load_id]
        with opened(browser, shop.index) as seen:
            line = seen.page.locator("tr", has=seen.page.locator(f'a[href*="{load_id}"]')).locator("td.number")
            assert [int(text.replace(",", "")) for text in line.all_inner_texts()[:2]] == [
                row["rows_read"],
                row["rejected"],
            ]
    assert compared == 3


def figures(page: Page, heading: str) -> dict[str, int]:
    """The first column of numbers in the first table after a heading, by the name in its row."""
    table = page.locator(f"xpath=//h2[text()='{heading}']/following::table[1]")
    rows = table.locator("tbody tr, tfoot tr").all()
    return {
        row.locator("th").inner_text().strip(): int(row.locator("td.number").first.inner_text().replace(",", ""))
        for row in rows
    }


def test_links_of_the_index_lead_to_pages(browser: Browser, shop: Shop) -> None:
    with opened(browser, shop.index) as seen:
        names = seen.page.locator("table a").all_inner_texts()
        for number, name in enumerate(names):
            seen.page.locator("table a").nth(number).click()
            assert seen.page.locator("h1").inner_text() == name
            seen.page.go_back()
    assert len(names) == 7


def test_names_of_files_are_readable_on_a_telephone(browser: Browser, shop: Shop) -> None:
    with opened(browser, shop.index, width=WIDTHS["telephone"]) as seen:
        boxes = [link.bounding_box() for link in seen.page.locator("table a").all()]
        assert [box for box in boxes if box is None or box["width"] < box["height"]] == []


def test_lists_on_a_telephone_need_no_sideways_scroll(browser: Browser, every_page: list[Path]) -> None:
    for path in every_page:
        with opened(browser, path, width=WIDTHS["telephone"]) as seen:
            hidden = "lists => lists.map(each => each.scrollWidth - each.clientWidth)"
            assert max([0, *seen.page.locator(".scroll:has(.stacked)").evaluate_all(hidden)]) == 0, path
            samples = [each.bounding_box() for each in seen.page.locator("td.last").all()]
            assert [box for box in samples if box is None or box["width"] < WIDTHS["telephone"] / 2] == [], path


def test_words_of_charts_are_readable_on_a_telephone(browser: Browser, every_page: list[Path]) -> None:
    for path in every_page:
        with opened(browser, path, width=WIDTHS["telephone"]) as seen:
            words = seen.page.locator("figure svg text").all()
            heights = [box["height"] for box in (word.bounding_box() for word in words) if box]
            assert min([9, *heights]) >= 9, path


def test_a_refused_file_says_why_at_the_top(browser: Browser, shop: Shop) -> None:
    with opened(browser, shop.index) as seen:
        assert seen.page.locator(".verdict").inner_text().endswith("6 of 7 loaded.")
        seen.page.locator("tr", has_text="not loaded").locator("a").click()
        assert seen.page.locator("h1").inner_text() == "transactions_2023-03-20.csv"
        assert seen.page.locator(".verdict").inner_text().startswith("✗Not loaded: line 1: ")
