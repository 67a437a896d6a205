"""Opens a page in the browser of whoever sits here, once it is there."""

from __future__ import annotations

import os
import socket
import threading
import webbrowser
from collections.abc import Callable
from functools import partial
from urllib.parse import urlsplit

from deploy.waiting import until

WITHIN_S = 60.0


def open_soon(url: str, say: Callable[[str], object]) -> None:
    """Open a page in a thread of its own, since a browser may take its time; says where it is if there is none to open it with."""
    threading.Thread(target=_open, args=(url, say), daemon=True, name="browser").start()


def _open(url: str, say: Callable[[str], object]) -> None:
    if not until(partial(_listens, url), within_s=WITHIN_S, every_s=0.2) or not _opened(url):
        say(f"no browser could be opened; the page is {url} / 无法打开浏览器，请访问 {url}")


def _listens(url: str) -> bool:
    """Whether somebody takes connections at an address."""
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname, parts.port), 1.0).close()
    except OSError:
        return False
    return True


def _opened(url: str) -> bool:
    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return False
    if type(browser) is webbrowser.GenericBrowser and "BROWSER" not in os.environ:
        return False  # one for terminals: this one is in use
    return browser.open(url)
