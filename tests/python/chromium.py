"""A headless Chromium that tells what a page did: its requests, its console, and how it looks."""

import json
import re
import time

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1500,1000",
    "--lang=en-US",
]

# No requests, or such whose end another target sees: a worker's own script.
ELSEWHERE = re.compile(r"^(data|blob):|\.worker\.js$")


class Request:
    """One request of a page, and how it ended."""

    def __init__(self, method, url, body):
        self.method, self.url, self.body = method, url, body
        self.status, self.failure = None, None

    def __repr__(self):
        return f"{self.method} {self.url} → {self.status or self.failure}"


class Chromium:
    def __init__(self, profile, screenshots):
        options = Options()
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        self.driver.set_page_load_timeout(60)
        self.screenshots = screenshots
        self.requests = {}
        self.console = []

    def quit(self):
        self.driver.quit()

    def visit(self, url):
        """Opens `url` as a fresh document; what earlier ones did is forgotten."""
        self.driver.get("about:blank")
        self._read_logs()
        self.requests, self.console = {}, []
        self.driver.get(url)

    def text(self):
        return self.driver.execute_script("return document.body ? document.body.innerText : ''")

    def wait_for(self, *wanted, seconds=30):
        """Until all of `wanted` (texts, or patterns) are visible and no request is open."""
        deadline = time.monotonic() + seconds
        missing = list(wanted)
        while time.monotonic() < deadline:
            text = self.text()
            missing = [item for item in wanted if not found(item, text)]
            if not missing and self.is_quiet():
                return text
            time.sleep(0.1)
        raise AssertionError(f"not shown: {missing}; open: {self.open()}\n--- the page\n{self.text()[:3000]}")

    def click(self, selector_or_text):
        """Clicks the first visible element that has exactly this text, or matches this CSS selector."""
        script = """
        const wanted = arguments[0];
        const visible = (e) => e.getClientRects().length > 0;
        let hit = null;
        try { hit = [...document.querySelectorAll(wanted)].find(visible); } catch (e) { }
        if (!hit) {
          const same = [...document.querySelectorAll('button, a, [role], label, span, div, td')]
            .filter((e) => visible(e) && e.innerText && e.innerText.trim() === wanted);
          hit = same[same.length - 1];
        }
        if (!hit) return false;
        hit.scrollIntoView({block: 'center'});
        return hit;
        """
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            hit = self.driver.execute_script(script, selector_or_text)
            if hit:
                try:
                    hit.click()
                    return
                except WebDriverException:
                    pass
            time.sleep(0.1)
        raise AssertionError(f"nothing to click at {selector_or_text!r}\n--- the page\n{self.text()[:3000]}")

    def screenshot(self, name):
        self.driver.save_screenshot(str(self.screenshots / f"{name}.png"))

    def open(self):
        self._read_logs()
        return [request for request in self.requests.values() if request.status is None and not request.failure]

    def is_quiet(self):
        """No request is open, and none has begun since the last look."""
        before = len(self.requests)
        if self.open():
            return False
        time.sleep(0.2)
        return not self.open() and len(self.requests) == before

    def errors(self):
        """What the console says at level error, without the lines that only repeat a failed request."""
        self._read_logs()
        severe = [entry["message"] for entry in self.console if entry["level"] == "SEVERE"]
        return [text for text in severe if "Failed to load resource" not in text]

    def _read_logs(self):
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            params, kind = message["params"], message["method"]
            if kind == "Network.requestWillBeSent" and not ELSEWHERE.search(params["request"]["url"]):
                sent = params["request"]
                self.requests[params["requestId"]] = Request(sent["method"], sent["url"], sent.get("postData"))
            request = self.requests.get(params.get("requestId"))
            if request is None:
                continue
            if kind == "Network.responseReceived":
                request.status = params["response"]["status"]
            elif kind == "Network.loadingFailed" and request.status is None:
                request.failure = params.get("errorText") or "failed"
                if params.get("canceled"):
                    request.failure, request.status = None, 0
        self.console += self.driver.get_log("browser")


def found(item, text):
    return item.search(text) if isinstance(item, re.Pattern) else item in text
