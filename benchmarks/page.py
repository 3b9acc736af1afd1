"""Measures the page in a headless Chromium: when it is ready, and how long a move of a slider takes.

    python -m benchmarks.page runs/full/report/index.html

A move is timed from its event to the end of the second frame after it, with different parts of the page on
the screen: at first with the filters as they are, then with all scenarios. Beside it stands the CPU time of
the page's main thread, since on a busy machine frames wait for others. The program fails if the page is not
ready within 2 s, or if a move takes more than 100 ms in the median or 200 ms at worst.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests"))  # where the browser's driver is

from support.browser import DESKTOP, PHONE, Browser, Page  # noqa: E402

LOADS = 3
READY_MS, MEDIAN_MS, WORST_MS = 2000, 100, 200
PLACES = ("answer", "memory-chart", "batches-chart", "kv-chart", "scenarios-table")
MOVES = {"memory": (200, 400, 600, 300, 700, 500), "batch_size": (1, 2, 3, 4, 5, 8, 0)}

MOVE = """(async () => {
  const slider = form.elements["%s"], from = performance.now();
  const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  slider.value = %s;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
  await frame();
  await frame();
  return performance.now() - from;
})()"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("page", type=Path, help="index.html of a report")
    parser.add_argument("--phone", action="store_true", help="on a screen of 390 px")
    asked = parser.parse_args()
    html, size = asked.page.read_text(), PHONE if asked.phone else DESKTOP
    print(f"{len(html) / 1e6:.2f} MB, {size[0]} px")
    with tempfile.TemporaryDirectory() as folder, Browser(Path(folder)) as browser:
        ready = [readiness(browser, html, size) for _ in range(LOADS)]
        page = browser.open(html, size)
        page.front()
        print(f"ready after {', '.join(f'{ms:.0f}' for ms in ready)} ms")
        moves = measured(page, "first filters")
        page.evaluate("byId('all').click()")
        page.evaluate("page.settle()")
        moves += measured(page, "all scenarios")
        whole, own = (list(each) for each in zip(*moves, strict=True))
        median, worst = statistics.median(whole), max(whole)
        print(f"{len(moves)} moves: {median:.0f} ms in the median, {worst:.0f} ms at worst")
        print(
            f"CPU time: {statistics.median(own):.0f} ms in the median, {max(own):.0f} ms at worst"
        )
        for trouble in page.troubles:
            print(f"trouble: {trouble}")
    is_fast = min(ready) <= READY_MS and median <= MEDIAN_MS and worst <= WORST_MS
    return 0 if is_fast and not page.troubles else 1


def readiness(browser: Browser, html: str, size: tuple[int, int]) -> float:
    """Milliseconds from the start of the navigation until all of the page is drawn."""
    page = browser.open(html, size)
    return page.evaluate("page.readyAt")


def measured(page: Page, name: str) -> list[tuple[float, float]]:
    """All moves of both sliders at each place, printed: milliseconds, and those of CPU time."""
    page.call("Performance.enable", {"timeDomain": "threadTicks"})
    moves = []
    for place in PLACES:
        page.evaluate(f"byId('{place}').scrollIntoView()")
        page.frames()
        for slider, values in MOVES.items():
            found = [_moved(page, slider, value) for value in values]
            moves += found
            shown = " ".join(f"{whole:.0f} ({cpu:.0f})" for whole, cpu in found)
            print(f"{name}, {place}, {slider}: {shown}")
    return moves


def _moved(page: Page, slider: str, value: int) -> tuple[float, float]:
    page.evaluate("page.settle()")
    page.frames()
    before = _busy(page)
    whole = page.evaluate(MOVE % (slider, value))
    return whole, _busy(page) - before


def _busy(page: Page) -> float:
    """Milliseconds of CPU time that the page's main thread has taken."""
    found = page.call("Performance.getMetrics")["metrics"]
    return 1000 * next(one["value"] for one in found if one["name"] == "TaskDuration")


if __name__ == "__main__":
    sys.exit(main())
