"""How soon the studio's page is there, and how soon a lasso has new tiles, in a real browser.

    python -m benchmarks.studio
    python -m benchmarks.studio --generators zelda-rooms sokoban-markov

The page is timed from the command to the first samples that it shows, by a browser that runs already. Then the middle
of a level is selected and made anew again and again, by each generator: from the click to the new tiles on the canvas,
and the part of it that the service took. Needs Playwright, and Chromium where the system has it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.service import Options as ServiceOptions
from benchmarks.service import serving
from envs import UserError
from experiments.run import main

#: How long the page may take before something must be wrong, in milliseconds.
_PATIENCE = 120_000


@dataclass
class Options:
    """Time the studio's page.

    Attributes:
        generators: whose tiles a lasso gets; by default all that have learned something and come with the project.
        models: folders of models to serve besides.
        engine: what runs them.
        starts: how often the studio is started.
        repeats: how often a lasso is made anew.
        warm: seconds that the studio is given to use everything once before lassos are timed.
    """

    generators: tuple[str, ...] = ()
    models: tuple[Path, ...] = ()
    engine: str = "onnx"
    starts: int = 3
    repeats: int = 20
    warm: float = 60.0


@contextmanager
def browsing() -> Iterator[Any]:
    """Starts Chromium without a window; yields Playwright's browser."""
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise UserError("This needs Playwright: python -m pip install 'tilewright[dev]'.") from error
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        raise UserError("This needs Chromium, which is not installed.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def open_page(browser: Any, port: int, fragment: str = "") -> Any:
    """Opens the page, and waits until its first samples are there."""
    page = browser.new_page(viewport={"width": 1280, "height": 1500})
    page.set_default_timeout(_PATIENCE)
    page.goto(f"http://127.0.0.1:{port}/{fragment}")
    page.wait_for_selector("body[data-ready]")
    return page


def start_times(browser: Any, options: Options) -> list[float]:
    """Returns the seconds from the command to the first samples on the page, of each start."""
    taken = []
    for _ in range(options.starts):
        began = time.perf_counter()
        with serving(ServiceOptions(models=options.models, engine=options.engine)) as (port, _):
            open_page(browser, port).locator("#gallery li").first.wait_for()
            taken.append(time.perf_counter() - began)
    return taken


def lasso(page: Any) -> None:
    """Selects the middle of the canvas: half of its height and width."""
    box = page.locator("#canvas").bounding_box()
    page.locator("label:has(input[name=tool][value=lasso])").click()
    corners = [(0.27, 0.27), (0.73, 0.27), (0.73, 0.73), (0.27, 0.73), (0.27, 0.27)]
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=8)
    page.mouse.up()


def lasso_times(page: Any, repeats: int) -> tuple[list[float], list[float]]:
    """Returns the milliseconds from the click to the new tiles, and the service's part of them."""
    for done in range(repeats + 1):
        page.click("#regenerate")
        page.wait_for_function("n => performance.getEntriesByName('regenerate').length > n", arg=done)
    entries = "performance.getEntriesByName('regenerate').map(one => [one.duration, one.detail.service])"
    # The first one is not counted.
    both = page.evaluate(entries)[1:]
    return [one for one, _ in both], [one for _, one in both]


def measure(options: Options) -> None:
    """Prints how long all of it takes."""
    with browsing() as browser:
        taken = start_times(browser, options)
        listed = ", ".join(f"{one:.1f}" for one in taken)
        print(f"From the command to samples on the page: median {np.median(taken):.1f} s ({listed}).\n")
        with serving(ServiceOptions(models=options.models, engine=options.engine)) as (port, _):
            page = open_page(browser, port)
            served = {one["name"]: one for one in page.evaluate("fetch('api/generators').then(got => got.json())")}
            chosen = options.generators or [name for name, one in served.items() if one["engine"] != "numpy"]
            for name in set(chosen) - set(served):
                raise UserError(f"There is no generator {name!r}; there are {', '.join(served)}.")
            time.sleep(options.warm)
            print("| generator | engine | tiles | playable | p50 ms | p95 ms | service, p50 ms |")
            print("| --- | --- | --: | --- | --: | --: | --: |")
            for name in chosen:
                for playable in (0, 1):
                    one = served[name]
                    fragment = f"#problem={one['problem']}&generator={name}&playable={playable}&count=4"
                    page = open_page(browser, port, fragment)
                    lasso(page)
                    whole, service = lasso_times(page, options.repeats)
                    middle, late = np.percentile(whole, [50, 95])
                    cells = [name, one["engine"], int(np.prod(one["shape"])), "yes" if playable else "any"]
                    figures = [f"{figure:,.0f}" for figure in (middle, late, np.median(service))]
                    print("| " + " | ".join(map(str, [*cells, *figures])) + " |", flush=True)
                    page.close()


if __name__ == "__main__":
    main(Options, measure)
