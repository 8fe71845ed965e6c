"""The report in a real browser: everything is drawn and readable, nothing is fetched, nothing complains."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tandem.cli import main
from tests.browser.chromium import NAMES, Tab, opened

pytestmark = pytest.mark.browser
EXAMPLE = str(Path(__file__).parents[2] / "deployments" / "llama-3.3-70b-trn2-cs3.yaml")
TRAFFIC = "synthetic:rate=3,seconds=200,prompt=3000,prompt_cv=0.3"


@pytest.fixture(scope="module")
def program() -> str:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.fail(f"no browser: one of {', '.join(NAMES)} is needed on PATH (Debian: apt-get install chromium)")
    return found


@pytest.fixture
async def tab(program: str, tmp_path: Path) -> AsyncIterator[Tab]:
    report = tmp_path / "plan.html"
    aims = ["--ttft-p99", "2s", "--tpot-p99", "2ms", "--html", str(report)]
    assert main(["plan", EXAMPLE, "--trace", TRAFFIC, *aims]) == 0
    async with opened(program, tmp_path / "profile", report.as_uri()) as page:
        yield page


async def test_the_report(tab: Tab) -> None:
    assert await tab.evaluate("document.title") == "llama-3.3-70b-trn2-cs3.yaml under " + TRAFFIC
    assert "recommended: " in await tab.evaluate("document.querySelector('pre').innerText")
    sizes = await tab.evaluate(
        "[...document.querySelectorAll('svg')].map(s => [s.getBoundingClientRect().width, s.getBBox().height])"
    )
    assert len(sizes) == 5
    assert all(width > 300 and height > 200 for width, height in sizes)
    lines = (
        "[...document.querySelectorAll('polyline')].map(line => [line.getTotalLength(), getComputedStyle(line).stroke])"
    )
    drawn = await tab.evaluate(lines)
    assert len(drawn) >= 9
    assert all(length > 10 and stroke not in ("none", "rgb(0, 0, 0)") for length, stroke in drawn)
    outside = await tab.evaluate(
        "[...document.querySelectorAll('svg text')].filter(t => {"
        " const b = t.getBBox(), v = t.ownerSVGElement.viewBox.baseVal;"
        " return b.x < 0 || b.y < 0 || b.x + b.width > v.width || b.y + b.height > v.height }).map(t => t.textContent)"
    )
    assert outside == []
    assert await tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    asked = [
        event["params"]["request"]["url"] for event in tab.events if event.get("method") == "Network.requestWillBeSent"
    ]
    assert all(url.startswith("file:") for url in asked), asked
    said = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
    assert [event for event in tab.events if event.get("method") in said] == []


async def test_it_is_readable_on_a_dark_screen(tab: Tab) -> None:
    await tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    ink, paper = await tab.evaluate(
        "(s => [s.color, s.backgroundColor].map(c => c.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0)))"
        "(getComputedStyle(document.body))"
    )
    assert ink - paper > 450
