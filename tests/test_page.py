"""The studio's page in a real browser: what can be done with the pointer, by keys alone, and what never happens."""

from __future__ import annotations

import re
import shutil
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import numpy as np
import pytest

import envs
from envs.level_io import read_levels, write_levels

sync_api = pytest.importorskip("playwright.sync_api", reason="the page is tested by Playwright, which is not installed")
uvicorn = pytest.importorskip("uvicorn", reason="the page is served by uvicorn, which is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="the page is tested in Chromium, which is not installed")

if CHROMIUM:
    sync_api.expect.set_options(timeout=20_000)
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
SOKOBAN = envs.get_problem("sokoban")
EMPTY, SOLID, PLAYER, CRATE, TARGET = range(5)
#: Looks for what has no name, cannot be read, is too small to be hit, and stands twice.
CHECK = (Path(__file__).parent / "accessibility.js").read_text()
#: Two pushes to the right win it, and nothing shorter.
CORRIDOR = SOKOBAN.parse(["#####", "#####", "@$-.#", "#####", "#####"])
ROOM = SOKOBAN.parse(["@----", "-----", "--$--", "----.", "-----"])


def packed(level):
    """Returns a level as links have it, the long way: every tile a letter."""
    shape = "x".join(map(str, level.shape))
    return f"{shape}." + "".join(chr(ord("A") + tile) for tile in level.flat)


def unpacked(text):
    """Returns the level of a link."""
    sizes, _, tiles = text.partition(".")
    values = [
        ord(letter) - ord("A") for letter, times in re.findall(r"([A-Z])(\d*)", tiles) for _ in range(int(times or 1))
    ]
    return np.array(values, np.uint8).reshape([int(size) for size in sizes.split("x")])


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The address of a service with a small generator of sokoban levels that can be asked for metrics."""
    from generators.corpus import corpus_of_levels
    from generators.generator import FitOptions
    from generators.suite import get_family, make_generator
    from service.app import make_app
    from service.models import Catalogue

    corpus = corpus_of_levels("sokoban", envs.construct("sokoban", 60, seed=1))
    generator = make_generator("masked_lm", corpus, ("crate", "sol-length"), **get_family("masked_lm").small)
    generator.fit(corpus, FitOptions(minutes=0, steps=6, batch=16))
    folder = tmp_path_factory.mktemp("models") / "warehouses"
    generator.save_pretrained(folder)
    with served(make_app(Catalogue.of([folder], "torch"))) as place:
        yield place


@pytest.fixture
def guarded():
    """The address of a service that asks for a token."""
    from service.app import make_app

    with served(make_app(token="secret")) as place:
        yield place


@contextmanager
def served(app):
    """Serves an application, and gives its address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    for _ in range(600):
        if server.started:
            break
        time.sleep(0.05)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join(20)


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield opened
        opened.close()


class Studio:
    """The page, opened."""

    def __init__(self, browser, address, **options):
        self.address = address
        self.context = browser.new_context(viewport={"width": 1280, "height": 1500}, **options)
        self.context.set_default_timeout(20_000)
        self.page = self.context.new_page()
        self.requests, self.complaints = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on(
            "console", lambda message: self.complaints.append(message.text) if message.type == "error" else None
        )
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def open(self, level=None, problem="sokoban", **fragment):
        """Opens the page at a level, or at a problem's first samples."""
        if level is not None:
            fragment["level"] = level if isinstance(level, str) else packed(level)
        self.page.goto(f"{self.address}#{urlencode({'problem': problem, **fragment})}")
        # Kernels that are not in the cache yet are compiled first.
        self.page.wait_for_selector("body[data-ready]", timeout=120_000)
        return self.page

    def restored(self):
        """What the address says of the work at hand, once it has settled."""
        self.page.wait_for_timeout(220)
        return {name: values[0] for name, values in parse_qs(urlsplit(self.page.url).fragment).items()}

    @property
    def level(self):
        """The level at hand, as the link has it."""
        return unpacked(self.restored()["level"])

    def middle(self, row, column, canvas="#canvas", shape=(5, 5)):
        """Where a cell is on the screen."""
        box = self.page.locator(canvas).bounding_box()
        return box["x"] + box["width"] * (column + 0.5) / shape[1], box["y"] + box["height"] * (row + 0.5) / shape[0]

    def drag(self, *cells):
        """Draws a line from cell to cell with the pointer."""
        self.page.mouse.move(*self.middle(*cells[0]))
        self.page.mouse.down()
        for cell in cells[1:]:
            self.page.mouse.move(*self.middle(*cell), steps=4)
        self.page.mouse.up()

    def choose(self, tool):
        self.page.locator(f"label:has(input[name=tool][value={tool}])").click()

    def tile(self, name):
        self.page.locator("label.swatch", has_text=name).click()

    def says(self, words):
        """Waits until the page says something."""
        sync_api.expect(self.page.locator("#message")).to_contain_text(words)

    def idle(self):
        self.page.wait_for_selector("#busy[hidden]", state="attached")


@pytest.fixture
def studio(browser, address):
    """The page. Whatever a test does, no request leaves the service's address, and nothing goes wrong unseen."""
    made = Studio(browser, address)
    yield made
    made.context.close()
    strangers = [url for url in made.requests if not url.startswith((made.address, f"blob:{made.address}"))]
    assert strangers == []
    assert made.complaints == []


def test_a_problem_opens_with_samples_that_can_be_won(studio):
    page = studio.open(count=5)
    assert page.locator("#gallery li").count() == 5
    assert page.locator("#gallery li[aria-selected=true]").count() == 1
    sync_api.expect(page.locator("#verdict")).to_contain_text("Can be won")
    assert "5 rows and 5 columns" in page.locator("#canvas").get_attribute("aria-label")
    assert page.locator("#generator option").first.text_content() == "warehouses"
    # The best sample stands first.
    qualities = [float(caption) for caption in page.locator("#gallery .caption").all_text_contents()]
    assert qualities == sorted(qualities, reverse=True)


def test_samples_by_variety_differ_most(studio):
    with studio.page.expect_response("**/sample") as answered:
        page = studio.open(playable=0)
    levels = [np.array(entry["level"]) for entry in answered.value.json()["levels"]]
    page.select_option("#order-by", "variety")
    places = []
    for option in page.locator("#gallery li").all()[:3]:
        option.click()
        places.append(int(studio.restored()["place"]))
    first, second, third = (levels[place] for place in places)
    far = [(level != first).sum() for level in levels]
    assert far[places[1]] == max(far)
    far = [min((level != first).sum(), (level != second).sum()) for level in levels]
    assert min((third != first).sum(), (third != second).sum()) == max(far)


def test_paint_erase_fill_undo_redo(studio):
    page = studio.open(ROOM)
    studio.tile("solid")
    studio.drag((4, 0), (4, 3))
    painted = ROOM.copy()
    painted[4, :4] = SOLID
    assert (studio.level == painted).all()
    # A stroke is one change.
    page.click("#undo")
    assert (studio.level == ROOM).all()
    page.keyboard.press("Control+y")
    assert (studio.level == painted).all()
    studio.choose("erase")
    studio.drag((2, 2), (2, 2))
    painted[2, 2] = EMPTY
    assert (studio.level == painted).all()
    studio.choose("fill")
    studio.tile("target")
    page.mouse.click(*studio.middle(1, 1))
    # The lower right corner is cut off.
    painted[:4][painted[:4] == EMPTY] = TARGET
    assert (studio.level == painted).all()
    sync_api.expect(page.locator("#verdict")).to_contain_text("Cannot be won")
    for _ in range(3):
        page.keyboard.press("Control+z")
    assert (studio.level == ROOM).all()
    assert page.locator("#undo").is_disabled()


@pytest.mark.parametrize("key", ["z", "y"])
def test_nothing_is_taken_back_in_the_middle_of_a_stroke(studio, key):
    page = studio.open(ROOM)
    page.mouse.move(*studio.middle(4, 0))
    page.mouse.down()
    page.keyboard.press(f"Control+{key}")
    page.mouse.move(*studio.middle(4, 2), steps=4)
    page.mouse.up()
    painted = ROOM.copy()
    painted[4, :3] = SOLID
    assert (studio.level == painted).all()
    page.click("#undo")
    assert (studio.level == ROOM).all()
    assert page.locator("#undo").is_disabled()


def test_a_stroke_does_not_go_on_in_a_level_that_comes_meanwhile(studio):
    page = studio.open(ROOM)
    held = []
    page.route("**/sample", lambda route: held.insert(0, route))
    page.click("#regenerate")
    page.mouse.move(*studio.middle(4, 0))
    page.mouse.down()
    page.mouse.move(*studio.middle(4, 2), steps=4)
    held[0].continue_()
    studio.says("New tiles")
    page.mouse.move(*studio.middle(0, 2), steps=4)
    page.mouse.up()
    assert "place" in studio.restored()
    page.click("#undo")
    painted = ROOM.copy()
    painted[4, :3] = SOLID
    assert (studio.level == painted).all()
    page.click("#undo")
    assert (studio.level == ROOM).all()


def test_regenerating_a_lasso_leaves_all_else(studio):
    page = studio.open(ROOM)
    studio.choose("lock")
    studio.drag((2, 2), (2, 2))
    studio.choose("lasso")
    studio.drag((1, 1), (1, 3), (3, 3), (3, 1), (1, 1))
    studio.says("9 cells selected")
    inside = np.zeros((5, 5), bool)
    inside[1:4, 1:4] = True
    open_cells = inside.copy()
    open_cells[2, 2] = False
    changed = np.zeros((5, 5), bool)
    for _ in range(6):
        page.click("#regenerate")
        studio.says("New tiles in")
        level = studio.level
        assert (level[~open_cells] == ROOM[~open_cells]).all()
        changed |= level != ROOM
    assert changed.any()
    assert studio.restored()["locked"].startswith("5x5.")
    # Locked tiles stay under the brush, too, until they are unlocked.
    studio.choose("paint")
    studio.tile("solid")
    studio.drag((2, 2), (2, 2))
    studio.says("Locked tiles stay")
    assert studio.level[2, 2] == CRATE


def test_what_is_asked_for_is_sent_and_shown(studio):
    page = studio.open(ROOM, playable=0)
    with page.expect_request("**/sample") as sent:
        page.locator("#metrics input[type=range]").first.fill("2")
        page.fill("#count", "5")
        page.fill("#seed", "17")
        page.check("#playable")
        page.click("#order button.strong")
    body = sent.value.post_data_json
    assert (body["targets"], body["count"], body["seed"], body["playable"]) == ({"crate": 2}, 5, 17, True)
    row = page.locator("#metrics li", has_text="crate")
    assert "asked 2" in row.text_content()
    assert re.search(r"got \d", row.text_content())
    # It stays asked for of a generator that cannot be told, and is seen to be.
    page.select_option("#generator", "sokoban-markov")
    assert row.locator("input").count() == 0
    assert "asked 2" in row.text_content()
    page.click("#forget-targets")
    assert "asked" not in row.text_content()


def test_play_to_the_win_and_take_back(studio):
    page = studio.open(CORRIDOR)
    page.click("#tab-play")
    page.focus("#game")
    page.keyboard.press("ArrowRight")
    sync_api.expect(page.locator("#game-timeline output")).to_have_text("1 / 1")
    page.keyboard.press("u")
    sync_api.expect(page.locator("#game-timeline output")).to_have_text("0 / 0")
    # Keys that follow each other faster than the service answers are all played, in their order.
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("d")
    page.keyboard.press("d")
    sync_api.expect(page.locator("#game-outcome")).to_have_text("Won in 3 moves.")
    # What comes after the win is not played.
    page.keyboard.press("ArrowRight")
    page.click("#game-restart")
    sync_api.expect(page.locator("#game-outcome")).to_have_text("")


def test_the_solution_is_shown_move_by_move(studio):
    page = studio.open(CORRIDOR)
    page.click("#watch-solution")
    sync_api.expect(page.locator("#game-outcome")).to_have_text("Won in 2 moves.")
    sync_api.expect(page.locator("#game-timeline output")).to_have_text("2 / 2")
    # Taken over in the middle, the rest of it is forgotten.
    page.locator("#game-timeline input").fill("1")
    page.locator("#game-buttons button", has_text="left").click()
    sync_api.expect(page.locator("#game-timeline output")).to_have_text("2 / 2")
    sync_api.expect(page.locator("#game-outcome")).to_have_text("")


def test_a_level_that_cannot_be_won_is_repaired(studio):
    lost = CORRIDOR.copy()
    lost[2, 2] = SOLID
    page = studio.open(lost)
    sync_api.expect(page.locator("#verdict")).to_contain_text("Cannot be won")
    page.click("#repair")
    studio.says("Repaired by changing")
    sync_api.expect(page.locator("#verdict")).to_contain_text("Can be won")
    assert (studio.level != lost).sum() >= 1


def test_games_that_run_by_themselves(studio):
    course = np.zeros((6, 12), np.uint8)
    course[-1] = SOLID
    page = studio.open(course, "smb")
    page.click("#tab-play")
    page.focus("#game")
    page.keyboard.down("ArrowRight")
    sync_api.expect(page.locator("#game-outcome")).to_contain_text("Won in")
    page.keyboard.up("ArrowRight")


def test_levels_of_three_axes(studio):
    level = np.zeros((3, 3, 3), np.uint8)
    page = studio.open(level, "voxel")
    picture = page.locator("#blocks img")
    sync_api.expect(picture).to_have_attribute("src", re.compile("^blob:"))
    assert picture.evaluate("(image) => image.decode().then(() => image.naturalWidth)") > 50
    page.focus("#canvas")
    for key in ("1", "2", "PageUp", "ArrowRight", "Space"):
        page.keyboard.press(key)
    studio.says("Storey 2, row 1, column 2, block")
    level[1, 0, 1] = 1
    assert (studio.level == level).all()
    page.click("#tab-play")
    sync_api.expect(page.locator("#game")).to_be_visible()


@pytest.mark.parametrize(("words", "ending"), [("Text", ".txt"), ("Sokoban", ".xsb"), ("Picture", ".png")])
def test_what_is_downloaded_can_be_opened(studio, tmp_path, words, ending):
    page = studio.open(ROOM)
    page.click("#download summary")
    with page.expect_download() as saving:
        page.locator("#download-menu button", has_text=words).click()
    assert saving.value.suggested_filename == f"sokoban{ending}"
    path = tmp_path / f"saved{ending}"
    saving.value.save_as(path)
    assert [level.tolist() for level in read_levels(path, SOKOBAN)] == [ROOM.tolist()]
    write_levels(path, [CORRIDOR, ROOM], SOKOBAN)
    page.set_input_files("#file", path)
    studio.says("2 levels in saved")
    assert (studio.level == CORRIDOR).all()
    sync_api.expect(page.locator("#gallery li")).to_have_count(2)


def test_maps_come_with_their_tiles(studio):
    page = studio.open(ROOM)
    page.click("#download summary")
    with page.expect_download() as saving:
        page.locator("#download-menu button", has_text="Tiled").click()
    assert saving.value.suggested_filename == "sokoban.zip"


def test_a_link_restores_a_sample(studio, browser, address):
    page = studio.open(CORRIDOR, playable=0, count=4)
    page.locator("#metrics input[type=range]").first.fill("2")
    page.click("#order button.strong")
    studio.idle()
    page.locator("#gallery li").nth(2).click()
    parts = studio.restored()
    assert parts["ask.crate"] == "2"
    assert "level" not in parts
    again = Studio(browser, address)
    again.page.goto(page.url)
    again.page.wait_for_selector("body[data-ready]")
    again.page.wait_for_load_state("networkidle")
    again.page.wait_for_timeout(300)
    assert again.restored() == parts
    # The finest sprites come to the first page late.
    pictures = [one.evaluate("document.getElementById('canvas').toDataURL()") for one in (page, again.page)]
    assert pictures[0] == pictures[1]
    again.context.close()


def test_a_link_restores_an_edited_level_and_its_locks(studio):
    page = studio.open(ROOM, locked="5x5.BA24", playable="1", seed="5")
    studio.tile("solid")
    studio.drag((4, 4), (4, 4))
    edited = studio.level
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert (studio.level == edited).all()
    assert (edited != ROOM).sum() == 1
    parts = studio.restored()
    assert (parts["seed"], parts["locked"]) == ("5", "5x5.BA24")
    # Pasted into the same tab.
    page.evaluate(f"location.hash = 'problem=sokoban&level={packed(CORRIDOR)}'")
    page.wait_for_timeout(300)
    assert (studio.level == CORRIDOR).all()


def test_links_that_make_no_sense_are_refused(studio):
    page = studio.open(ROOM)
    for text in ("5x5.", "5x5.A24", "5x5.A26", "5x5.Z25", "999x999x999.A", "5x5.A25<", "5.A5", "2x2x2.A8"):
        page.evaluate("(text) => { location.hash = 'problem=sokoban&level=' + encodeURIComponent(text); }", text)
        sync_api.expect(page.locator("#error")).to_contain_text("The level in the link cannot be read.")
        page.click("#error-dismiss")
    assert (studio.level == ROOM).all()


def test_a_large_level_goes_into_a_link_and_out_of_it(studio):
    long = np.zeros((2, 1200), np.uint8)
    studio.open(long)
    assert (studio.level == long).all()


def test_what_is_wrong_with_a_link_is_told_after_the_first_samples(studio):
    page = studio.open("5x5.Z25", playable=0, count=1)
    sync_api.expect(page.locator("#error")).to_contain_text("The level in the link cannot be read.")


def test_an_order_that_yields_no_level_is_told(studio):
    nothing = {"levels": [], "asked": {}, "tried": 0, "remarks": [], "seconds": 0.1}
    studio.page.route("**/sample", lambda route: route.fulfill(json=nothing))
    page = studio.open(place=3)
    sync_api.expect(page.locator("#error")).to_contain_text("What the link asks for yields no level.")


def test_the_way_to_the_canvas_loses_nothing(studio):
    page = studio.open(ROOM)
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "canvas"
    assert (studio.level == ROOM).all()


def test_compare_two_generators(studio):
    page = studio.open(ROOM, count=4)
    page.click("#tab-compare")
    page.select_option("#compare-b", "sokoban-constructive")
    page.click("#compare-form button.strong")
    studio.says("Compared warehouses and")
    assert page.locator("#levels-a button").count() == page.locator("#levels-b button").count() == 4
    rows = {
        row[0]: row[1:] for row in (line.split("\t") for line in page.locator("#compare-rows").inner_text().split("\n"))
    }
    assert rows["can be won"][1] == "100 %"
    assert "sol-length" in rows
    page.locator("#levels-b button").first.click()
    assert page.locator("#panel-edit").is_visible()
    assert "constructive" in studio.restored()["generator"]


def test_watch_a_designer_build_around_what_is_locked(studio):
    level = SOKOBAN.parse(["@-#--", "-----", "--$--", "---$.", "-----"])
    page = studio.open(level, locked="5x5.B5A20")
    page.click("#tab-watch")
    page.select_option("#designer", "sokoban-hill-climber")
    page.click("#watch-form button")
    studio.says("The designer has finished")
    sync_api.expect(page.locator("#watch-timeline output")).to_have_text(re.compile(r"^(\d+) / \1$"))
    page.click("#keep")
    page.click("#tab-edit")
    built = studio.level
    assert (built != level).any()
    assert (built[0] == level[0]).all()
    page.click("#undo")
    assert (studio.level == level).all()


def test_building_anew_ends_the_run_before(studio):
    page = studio.open(ROOM)
    page.route("**/run", lambda route: None)
    page.click("#tab-watch")
    page.click("#watch-form button")
    with page.expect_event("requestfailed"):
        page.click("#watch-form button")
    page.wait_for_timeout(300)
    # The first run's end is not the second's: its steps are still waited for.
    assert page.locator("#watch-timeline button").get_attribute("title") == "Pause"
    page.click("#cancel")


def test_the_expressive_range_opens_levels_and_asks_for_them(studio):
    page = studio.open(playable=0, count=20)
    page.select_option("#range-x", "sol-length")
    page.select_option("#range-y", "crate")
    boxes = [dot.bounding_box() for dot in page.locator("#range .dot").all()]
    dots = np.array([(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2) for box in boxes])
    assert len(dots) > 1
    ring = page.locator("#range .here")
    before = ring.get_attribute("cx"), ring.get_attribute("cy")
    here = ring.bounding_box()
    page.mouse.click(*max(dots, key=lambda dot: np.hypot(*(dot - (here["x"], here["y"])))))
    studio.says("Opened a sample")
    assert (ring.get_attribute("cx"), ring.get_attribute("cy")) != before
    # Where there is no level yet, one is asked for.
    plot = page.locator("#range").bounding_box()
    places = plot["x"], plot["y"]
    places += np.stack(np.meshgrid(*[np.linspace(0.2, 0.8, 13)] * 2), -1).reshape(-1, 2) * (
        plot["width"],
        plot["height"],
    )
    free = max(places, key=lambda place: np.hypot(*(dots - place).T).min())
    with page.expect_request("**/sample") as sent:
        page.mouse.click(*free)
    assert set(sent.value.post_data_json["targets"]) == {"crate", "sol-length"}
    studio.idle()


def test_keys_alone_will_do(studio):
    page = studio.open(ROOM, playable=0)
    press = page.keyboard.press
    focused = "document.activeElement.id || document.activeElement.name || document.activeElement.textContent"
    for _ in range(40):
        press("Tab")
        if page.evaluate(focused) == "canvas":
            break
    assert page.evaluate(focused) == "canvas"
    for key in ("ArrowDown", "2", "p", "Space"):
        press(key)
    studio.says("Row 2, column 1, solid")
    expected = ROOM.copy()
    expected[1, 0] = SOLID
    assert (studio.level == expected).all()
    for key in ("l", "Space"):
        press(key)
    studio.says("Row 2, column 1, solid, locked")
    for key in ("Shift+ArrowRight", "Shift+ArrowDown"):
        press(key)
    studio.says("Row 3, column 2, empty, selected")
    press("r")
    studio.says("New tiles in")
    outside = np.ones((5, 5), bool)
    outside[1:3, 0:2] = False
    outside[1, 0] = True
    assert (studio.level[outside] == expected[outside]).all()
    press("Escape")
    studio.says("Nothing is selected")
    # The panels are tabs, and the game takes the keys.
    page.focus("#tab-edit")
    press("ArrowRight")
    assert page.locator("#panel-play").is_visible()
    # The samples are a list.
    page.click("#order button.strong")
    studio.idle()
    page.focus("#gallery li[tabindex='0']")
    press("ArrowRight")
    press("Enter")
    studio.says("Opened a sample")
    assert page.locator("#gallery li").nth(1).get_attribute("aria-selected") == "true"
    # The plot has a cross.
    page.focus("#range")
    press("ArrowUp")
    studio.says("level")
    # Windows close by Escape, and the keys are where they were.
    page.focus("#keys")
    press("Enter")
    assert page.locator("#keys-dialog").is_visible()
    press("Escape")
    assert page.evaluate(focused) == "keys"


def test_a_new_level_of_another_size(studio):
    page = studio.open(ROOM)
    page.click("#new-level")
    for size in ("4", "7"):
        page.locator("#new-sizes input").nth(int(size == "7")).fill(size)
    page.select_option("#new-tile", label="solid")
    page.click("#new-form button.strong")
    assert (studio.level == np.full((4, 7), SOLID)).all()
    page.keyboard.press("b")
    page.keyboard.press("Space")
    page.click("#regenerate")
    sync_api.expect(page.locator("#error")).to_contain_text("makes levels of 5 x 5 tiles")


def test_what_the_service_says_is_shown(studio):
    page = studio.open(ROOM)
    sentence = "The service is busy; try again in a few seconds."
    page.route(
        "**/sample", lambda route: route.fulfill(status=503, json={"error": {"message": sentence, "field": None}})
    )
    page.click("#order button.strong")
    sync_api.expect(page.locator("#error")).to_contain_text(sentence)
    page.click("#error-dismiss")
    assert page.locator("#error").is_hidden()
    page.unroute("**/sample")
    page.route("**/sample", lambda route: route.abort())
    page.click("#order button.strong")
    sync_api.expect(page.locator("#error")).to_contain_text("The service does not answer")
    studio.complaints.clear()  # the browser's own words on what was refused


def test_the_page_says_that_a_token_is_missing(browser, guarded):
    studio = Studio(browser, guarded)
    page = studio.page
    page.goto(guarded)
    sync_api.expect(page.locator("#error")).to_contain_text("This needs the service's token")
    page.click("#error-dismiss")
    assert page.locator("#error").is_hidden()
    # Opened with the token once, the page works, and the token is in no address that could be shared.
    page.goto(f"{guarded}?token=secret#problem=sokoban&level={packed(CORRIDOR)}")
    page.wait_for_selector("body[data-ready]", timeout=120_000)
    sync_api.expect(page.locator("#verdict")).to_contain_text("Can be won")
    assert "secret" not in page.url
    studio.context.close()


def test_work_can_be_cancelled(studio):
    page = studio.open(ROOM)
    page.route("**/sample", lambda route: None)
    page.click("#order button.strong")
    sync_api.expect(page.locator("#busy")).to_be_visible()
    with page.expect_event("requestfailed"):
        page.click("#cancel")
    studio.says("Cancelled")
    assert page.locator("#busy").is_hidden()
    page.click("#regenerate")
    page.keyboard.press("Escape")
    assert page.locator("#busy").is_hidden()
    assert (studio.level == ROOM).all()


def test_words_are_read_and_set_the_targets(studio):
    page = studio.open(ROOM)
    nothing = {"levels": [], "asked": {}, "tried": 0, "remarks": ["No level was found."], "seconds": 0.1}
    page.route("**/sample", lambda route: route.fulfill(json=nothing))
    page.fill("#prompt", "two or three crates, no bats")
    with page.expect_request("**/sample") as sent:
        page.keyboard.press("Enter")
    assert sent.value.post_data_json["prompt"] == "two or three crates, no bats"
    assert sent.value.post_data_json["targets"] == {"crate": [2, 3]}
    studio.says("No level was found.")
    sync_api.expect(page.locator("#prompt-answer")).to_contain_text("Asked for: 2 to 3 crates.")
    sync_api.expect(page.locator("#prompt-answer")).to_contain_text("sokoban knows nothing of 'bats'")
    assert "asked 2\N{EN DASH}3" in page.locator("#metrics li", has_text="crate").text_content()


@pytest.mark.parametrize("how", ["untick", "empty"])
def test_words_that_are_taken_back_are_not_asked_for(studio, how):
    page = studio.open(ROOM, playable=0, count=1)
    page.fill("#prompt", "two crates")
    page.keyboard.press("Enter")
    studio.says("1 level in")
    sync_api.expect(page.locator("#prompt-answer")).to_contain_text("Asked for: 2 crates.")
    if how == "untick":
        page.locator("#metrics li", has_text="crate").locator("input[type=checkbox]").uncheck()
    else:
        page.fill("#prompt", "")
        page.keyboard.press("Enter")
    assert page.locator("#prompt-answer").text_content() == ""
    with page.expect_request("**/sample") as sent:
        page.click("#order button.strong")
    assert "prompt" not in sent.value.post_data_json
    assert sent.value.post_data_json["targets"] == {}


def test_words_that_cannot_be_read_are_not_asked_for(studio):
    page = studio.open(ROOM)
    sentence = "The prompt cannot be read."
    page.route("**/prompt", lambda route: route.fulfill(status=422, json={"error": {"message": sentence}}))
    page.fill("#prompt", "two crates")
    page.keyboard.press("Enter")
    sync_api.expect(page.locator("#error-words")).to_have_text(sentence)
    assert "prompt" not in studio.restored()
    studio.complaints.clear()  # the browser's own words on what was refused


def test_everything_has_a_name_can_be_read_and_fits(studio):
    page = studio.open(CORRIDOR, playable=0, count=3)
    sync_api.expect(page.locator("#verdict")).to_contain_text("Can be won")
    page.click("#order button.strong")
    studio.says("3 levels in")
    page.click("#tab-compare")
    page.select_option("#compare-b", "sokoban-constructive")
    page.click("#compare-form button.strong")
    studio.says("Compared")
    nothing = {"nameless": [], "pictures": [], "faint": [], "small": [], "twice": []}
    for width in (360, 1280, 1720):
        page.set_viewport_size({"width": width, "height": 800})
        for tab in ("edit", "play", "watch", "compare"):
            page.click(f"#tab-{tab}")
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                found = page.evaluate(CHECK)
                assert found.pop("wide") <= 0, (tab, width)
                assert found == nothing, (tab, width, scheme)


def test_the_focus_can_be_seen(studio):
    page = studio.open(CORRIDOR)
    outlined = """() => {
      const at = document.activeElement;
      const style = getComputedStyle(at.matches("label .unseen") ? at.closest("label") : at);
      return at === document.body || (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2);
    }"""
    for _ in range(45):
        page.keyboard.press("Tab")
        assert page.evaluate(outlined), page.evaluate("() => document.activeElement.outerHTML")
