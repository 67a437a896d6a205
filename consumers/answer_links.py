"""Links to the page of one incident, which show it and let its reader answer: signed, for one audience, until an instant."""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from consumers.masking import MASKED, Masked
from streams.clock import DAY_MS, now_ms
from streams.errors import BadInput
from streams.files.key_files import read_key_file
from streams.process.pages import is_loopback
from streams.settings import Settings
from streams.wire.ids import is_id

Audience = Literal["police", "enterprise"]
LinkMaker = Callable[[str, Audience, frozenset[Masked]], str]
"""Makes the address at which an audience can look at an incident, by its id, and answer; what is masked in the message is masked there."""
VALID_DAYS: Mapping[Audience, int] = {"police": 7, "enterprise": 30}
"""So long does a link show its incident. An enterprise reads the outcome of its objection there; until when it may object is another matter."""
LONGEST_TOKEN = 320
"""Characters; an id of 128 bytes makes one of 257."""
SHORTEST_KEY_BYTES = 32
PATH = "/incidents"
_TOKEN = re.compile(r"([a-z]{1,10})\.([0-9]{1,15})\.(?:([pvd]{1,3})\.)?([A-Za-z0-9_-]{2,172})\.[A-Za-z0-9_-]{43}")


class Link(NamedTuple):
    """What a token stands for; ``expires_ms``: from then on for nothing; ``mask``: what its reader is not shown."""

    incident_id: str
    audience: Audience
    expires_ms: int
    mask: frozenset[Masked] = frozenset()

    @property
    def mask_letters(self) -> str:
        """The first letters of what is masked: of each kind another."""
        return "".join(kind[0] for kind in MASKED if kind in self.mask)


class Links:
    """Makes links and reads their tokens. ``key``: whoever has it can make them; ``base_url``: where readers reach the notifier's pages.

    ``BadInput`` where the key is short, or the address not https (http to this machine excepted).
    """

    def __init__(self, key: bytes, base_url: str, now_ms: Callable[[], int] = now_ms) -> None:
        if len(key) < SHORTEST_KEY_BYTES:
            raise BadInput(f"YICHENG_ANSWERS_KEY: the key has fewer than {SHORTEST_KEY_BYTES} characters; ./yicheng secrets new makes one")
        self._key, self._base, self._now_ms = key, checked_base(base_url), now_ms

    def url(self, incident_id: str, audience: Audience = "police", mask: frozenset[Masked] = frozenset()) -> str:
        """The link to an incident for an audience."""
        return f"{self._base}{PATH}?token={self.token(Link(incident_id, audience, self._now_ms() + VALID_DAYS[audience] * DAY_MS, mask))}"

    def token(self, link: Link) -> str:
        """What stands for a link: letters, digits, dots, - and _."""
        mask = [link.mask_letters] if link.mask else []
        return ".".join([link.audience, str(link.expires_ms), *mask, _text(link.incident_id.encode()), _text(self._signature(link))])

    def read(self, token: str) -> Link | None:
        """What a token stands for now; None where it is forged, foreign, expired or none, and nobody learns which."""
        found = _TOKEN.fullmatch(token) if len(token) <= LONGEST_TOKEN else None
        if found is None:
            return None
        audience, expires_ms, letters, name = found.groups()
        mask = frozenset(kind for kind in MASKED if kind[0] in (letters or ""))
        try:
            link = Link(_bytes(name).decode(), "enterprise" if audience == "enterprise" else "police", int(expires_ms), mask)
        except ValueError:
            return None
        genuine = hmac.compare_digest(self.token(link).encode(), token.encode())
        return link if genuine and link.expires_ms > self._now_ms() and is_id(link.incident_id) else None

    def _signature(self, link: Link) -> bytes:
        version = ("yicheng answer link 2", link.mask_letters) if link.mask else ("yicheng answer link 1",)
        text = "\x1f".join((*version, link.audience, str(link.expires_ms), link.incident_id))
        return hmac.digest(self._key, text.encode(), "sha256")


def links_of(settings: Settings) -> Links | None:
    """The links that the settings ask for; None where they ask for none. ``BadInput`` where the address or the key is missing or wrong."""
    if settings.answers_url is None and settings.answers_key is None:
        return None
    if settings.answers_url is None or settings.answers_key is None:
        raise BadInput("YICHENG_ANSWERS_URL and YICHENG_ANSWERS_KEY belong together: links have an address and are signed")
    given = settings.answers_key.get_secret_value()
    key = read_key_file(Path(given[1:]), "YICHENG_ANSWERS_KEY") if given.startswith("@") else given.encode()
    return Links(key, settings.answers_url)


def checked_base(url: str) -> str:
    """An address without the slash at its end; ``BadInput`` where links cannot begin with it."""
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and not parts.query and not parts.fragment and "@" not in parts.netloc and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or not url.isascii() or not url.isprintable() or " " in url:
        raise BadInput("YICHENG_ANSWERS_URL: not an address such as https://answers.example.org, which may have a path and nothing after it")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        raise BadInput("YICHENG_ANSWERS_URL: links to incidents are https, or http to this machine alone")
    return url.rstrip("/")


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
