"""NNI's web UI in a headless Chromium, as a person uses it: for the pictures of the README and for the tests.

Needs Debian's packages ``chromium`` and ``chromium-driver``, and selenium, which is in the extra ``dev``. What is
clicked is found by its text or its title; NNI 3.0 is the last release, so these stay.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

__all__ = ["WebUi", "missing_browser", "open_web_ui"]

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-proxy-server",
    "--force-prefers-reduced-motion",
)
SECONDS = 60.0


def missing_browser() -> str:
    """What is missing for this, in words; empty if nothing is."""
    missing = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    packages = "apt-get install chromium chromium-driver"
    return f"there is no {' and no '.join(missing)} on this machine: {packages}" if missing else ""


@contextmanager
def open_web_ui(address: str, profile: Path, width: int = 1400, height: int = 900) -> Iterator[WebUi]:
    """A browser on the web UI of an experiment, closed at the end.

    Parameters
    ----------
    address
        Such as ``http://127.0.0.1:8080``.
    profile
        New folder for what the browser keeps.
    width, height
        Of the window, in pixels.
    """
    options = ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for flag in (*FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}"):
        options.add_argument(flag)
    driver = Chrome(options, ChromeService(shutil.which("chromedriver")))
    try:
        driver.set_page_load_timeout(SECONDS)
        yield WebUi(driver, address)
    finally:
        driver.quit()


class WebUi:
    """Pages of one experiment.

    Parameters
    ----------
    driver
        A browser.
    address
        Of the experiment's web UI.
    """

    def __init__(self, driver: Chrome, address: str) -> None:
        self.driver, self.address = driver, address

    def overview(self) -> str:
        """Open the overview of an experiment that has a result; its text."""
        self.driver.get(f"{self.address}/oview")
        self.wait(lambda: "Top trials" in self.text and "N/A\nBest metric" not in self.text)
        return self.text

    def trials(self) -> str:
        """Open the page of trials; its text."""
        self.driver.get(f"{self.address}/detail")
        self.wait(lambda: "Trial jobs" in self.text and self.rows())
        return self.text

    @property
    def text(self) -> str:
        """All that the page shows as text."""
        return self.driver.find_element(By.TAG_NAME, "body").text

    def wait(self, condition: Callable[[], Any], seconds: float = SECONDS) -> Any:
        """Wait until a condition holds; a page that is being redrawn does not fulfil it."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                found = condition()
            except (StaleElementReferenceException, WebDriverException):
                found = None
            if found:
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(f"the page did not become what it should; it shows: {self.text[:2000]}")
            time.sleep(0.2)

    def click(self, what: str, inside: WebElement | None = None) -> None:
        """Click on what matches an XPath, once it is there."""
        place = inside or self.driver

        def attempt() -> bool:
            element = place.find_element(By.XPATH, what)
            self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
            self.driver.execute_script("arguments[0].click()", element)
            return True

        self.wait(attempt)

    def press(self, text: str) -> None:
        """Click on a button or a tab by its text."""
        self.click(f"//button[.//text()[normalize-space()='{text}']]")

    def labels(self, what: str) -> list[str]:
        """Texts of all that matches an XPath, once every one of them is shown: a list that fades in has none yet."""

        def attempt() -> list[str]:
            texts = [each.text for each in self.driver.find_elements(By.XPATH, what)]
            return texts if all(texts) else []

        return list(self.wait(attempt))

    def rows(self) -> list[WebElement]:
        """Rows of the table of trials."""
        return self.driver.find_elements(By.CSS_SELECTOR, "#tableList .ms-DetailsRow")

    def row(self, number: int) -> WebElement:
        """Row of a trial by its number."""
        cell = f"//div[@id='tableList']//div[@data-automation-key='sequenceId' and normalize-space()='{number}']"
        found = self.wait(lambda: self.driver.find_element(By.XPATH, f"{cell}/ancestor::div[@role='row'][1]"))
        assert isinstance(found, WebElement)
        return found

    def tab(self, name: str) -> None:
        """Choose a chart of the page of trials."""
        self.click(f"//button[@role='tab'][.//text()[normalize-space()='{name}']]")

    def offered_columns(self) -> list[str]:
        """Columns that the dialog *Add/Remove columns* offers; it stays open."""
        self.press("Add/Remove columns")
        boxes = "//div[contains(@class, 'columns-height')]//span[contains(@class, 'ms-Checkbox-text')]"
        return [label for label in self.labels(boxes) if label != "Select all"]

    def choose_columns(self, names: Sequence[str]) -> None:
        """Show these columns alone."""
        self.offered_columns()
        boxes = self.driver.find_elements(By.CSS_SELECTOR, ".columns-height .ms-Checkbox")
        for box in boxes:
            ticked = "is-checked" in str(box.get_attribute("class"))
            name = box.find_element(By.CSS_SELECTOR, ".ms-Checkbox-text").text
            if name != "Select all" and ticked != (name in names):
                self.click(".//input", box)
        self.press("Save")
        self.wait(lambda: not self.driver.find_elements(By.CSS_SELECTOR, ".columns-height"))

    def open_intermediate(self, number: int) -> list[str]:
        """Open a trial's own chart of intermediate results; the keys that it can draw."""
        self.click(".//button[@title='Intermediate']", self.row(number))
        self.click("//div[contains(@class, 'selectKeys')]//div[@role='combobox']")
        return self.labels("//button[@role='option']")

    def choose_key(self, key: str) -> None:
        """Draw another key in that chart."""
        self.click(f"//button[@role='option'][.//text()[normalize-space()='{key}']]")

    def chart(self, selector: str) -> list[dict[str, Any]]:
        """Series of a chart, as ECharts holds them: name and data of each."""
        script = """
            const host = document.querySelector(arguments[0] + ' .echarts-for-react');
            const key = Object.keys(host).find(name => name.startsWith('__reactFiber') ||
                                                       name.startsWith('__reactInternalInstance'));
            let fiber = host[key];
            while (fiber && !(fiber.memoizedProps && fiber.memoizedProps.option)) { fiber = fiber.return; }
            return fiber.memoizedProps.option.series.map(each => ({name: each.name, data: each.data}));
        """
        found = self.wait(lambda: self.driver.execute_script(script, selector))
        return list(found)

    def select(self, number: int) -> None:
        """Tick a trial."""
        self.click(".//div[contains(@class, 'detail-check')]//input", self.row(number))

    def expand(self, number: int, tab: str = "Parameters") -> None:
        """Open a trial's details."""
        self.click(".//i[@data-icon-name='ChevronRight']", self.row(number))
        self.tab(tab)

    def opened_window(self, press: str) -> str:
        """Press a button that opens a window; that window's text, after which it is closed."""
        first = self.driver.current_window_handle
        self.press(press)
        self.wait(lambda: len(self.driver.window_handles) > 1)
        self.driver.switch_to.window(next(each for each in self.driver.window_handles if each != first))
        text = str(self.wait(lambda: self.text))
        self.driver.close()
        self.driver.switch_to.window(first)
        return text

    def picture(self, file: Path) -> None:
        """Save what the window shows."""
        time.sleep(1.5)  # charts grow into their place
        self.driver.save_screenshot(str(file))
