"""Links to incidents: for one incident, one audience and a time; anything else stands for nothing. Where they may lead, and whose key signs them."""

import base64
import hmac
import os
from urllib.parse import parse_qs, urlsplit

import pytest

from consumers.answer_links import LONGEST_TOKEN, VALID_DAYS, Link, Links, links_of
from streams.clock import DAY_MS
from streams.errors import BadInput
from streams.settings import Settings

KEY, OTHER = b"k" * 32, b"o" * 32
NOW_MS = 1_790_000_000_000


def links(key=KEY, now_ms=NOW_MS):
    return Links(key, "https://police.example.org/yicheng/", lambda: now_ms)


def token_of(url):
    parts = urlsplit(url)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == "https://police.example.org/yicheng/incidents"
    return parse_qs(parts.query)["token"][0]


@pytest.mark.parametrize("audience", ["police", "enterprise"])
@pytest.mark.parametrize("incident", ["ABCDEFGHIJKLMNOPQRSTUVWXYZ", "京A/1 x", "i" * 128, "é" * 64])
def test_a_link_stands_for_its_incident_and_audience_until_it_expires(audience, incident):
    token = token_of(links().url(incident, audience))
    expires_ms = NOW_MS + VALID_DAYS[audience] * DAY_MS
    assert len(token) <= LONGEST_TOKEN and token.isascii()
    assert links().read(token) == links(now_ms=expires_ms - 1).read(token) == Link(incident, audience, expires_ms)
    assert links(now_ms=expires_ms).read(token) is None


@pytest.mark.parametrize("mask", [{"plate"}, {"vehicle"}, {"driver"}, {"vehicle", "plate"}, {"plate", "vehicle", "driver"}], ids=sorted)
def test_a_link_says_what_is_masked_and_nobody_can_take_that_out(mask):
    token = token_of(links().url("I" * 26, "police", frozenset(mask)))
    assert links().read(token).mask == mask and len(token) <= LONGEST_TOKEN
    letters = token.split(".")[2]
    for other in ("", "p.", "v.", "d.", "pv.", "vp.", "pvd.", "pp."):
        changed = token.replace(f".{letters}.", f".{other}")
        assert changed == token or links().read(changed) is None, other


def test_links_of_before_stay_valid():
    expires_ms = NOW_MS + 1
    signature = hmac.digest(KEY, f"yicheng answer link 1\x1fpolice\x1f{expires_ms}\x1fI1".encode(), "sha256")
    token = f"police.{expires_ms}.{base64.urlsafe_b64encode(b'I1').decode().rstrip('=')}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
    assert links().read(token) == Link("I1", "police", expires_ms)


def test_every_change_of_a_token_makes_it_stand_for_nothing():
    token = token_of(links().url("I" * 26))
    assert links().read(token)
    for place in range(len(token)):
        for character in "A0a._-":
            changed = token[:place] + character + token[place + 1 :]
            assert changed == token or links().read(changed) is None, (place, character)
    for wrong in (token + "A", token[:-1], token + "=", " " + token, token + "\n", "", "." * 3, "x" * (LONGEST_TOKEN + 1), token * 40, token.replace("police.", "police.0")):
        assert links().read(wrong) is None


def test_a_link_of_another_key_audience_or_incident_stands_for_nothing():
    assert links().read(token_of(links(OTHER).url("I"))) is None
    police, enterprise = (token_of(links().url("I", audience)).split(".") for audience in ("police", "enterprise"))
    assert links().read(".".join([enterprise[0], *police[1:]])) is None
    assert links().read(".".join([police[0], enterprise[1], *police[2:]])) is None
    assert links().read(links().token(Link("*", "police", NOW_MS + 1))) is None  # signed, and no id


@pytest.mark.parametrize(
    "url", ["http://police.example.org", "ftp://x.org", "https://", "https://u:p@x.org", "https://x.org/?a=1", "https://x.org/#a", "x.org", "https://x.org:99999", "https://x.org/a b", "https://[1", "https://例.org", "http://10.0.0.1"],
)  # fmt: skip
def test_links_lead_to_https_addresses_or_to_this_machine(url):
    with pytest.raises(BadInput, match="YICHENG_ANSWERS_URL"):
        Links(KEY, url)


@pytest.mark.parametrize("url", ["https://x.org", "https://x.org:8443/a/b/", "http://127.0.0.1:9109", "http://[::1]:9109/", "http://localhost"])
def test_such_addresses_are_taken(url):
    assert Links(KEY, url).url("I").startswith(url.rstrip("/") + "/incidents?token=police.")


def test_settings_make_links_and_say_what_is_missing(tmp_path):
    assert links_of(Settings()) is None
    for half in ({"answers_url": "https://x.org"}, {"answers_key": "k" * 32}):
        with pytest.raises(BadInput, match="belong together"):
            links_of(Settings(**half))
    with pytest.raises(BadInput, match="fewer than 32") as raised:
        links_of(Settings(answers_url="https://x.org", answers_key="tooshortasecret"))
    assert "tooshort" not in str(raised.value)
    file = tmp_path / "key"
    file.write_text("k" * 40 + "\n")
    file.chmod(0o640)
    with pytest.raises(BadInput, match="others"):
        links_of(Settings(answers_url="https://x.org", answers_key=f"@{file}"))
    file.chmod(0o600)
    made = links_of(Settings(answers_url="https://x.org", answers_key=f"@{file}"))
    assert Links(b"k" * 40, "https://x.org").read(token_of_any(made.url("I"))).incident_id == "I"
    os.unlink(file)
    with pytest.raises(BadInput, match="no such file"):
        links_of(Settings(answers_url="https://x.org", answers_key=f"@{file}"))


def token_of_any(url):
    return parse_qs(urlsplit(url).query)["token"][0]
