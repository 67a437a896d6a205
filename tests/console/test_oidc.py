"""Logging in by an OpenID Connect provider, a mock of one on this machine: what is asked of it, whom it lets in, and what is refused."""

import base64
import hashlib
import http.cookiejar
import json
import urllib.error
import urllib.parse
import urllib.request

import pytest

from console.console_site import PLATE, Site, filled
from consumers.console.accounts.oidc import WITHIN_S, check_oidc
from deploy.ports import free_port
from streams.errors import BadInput
from streams.settings import Settings


@pytest.fixture(scope="module")
def provider():
    """The address of a provider; ``put(sub, claims)`` makes somebody known there."""
    import oidc_provider_mock

    with oidc_provider_mock.run_server_in_thread() as server:
        yield f"http://localhost:{server.server_port}"


def put(provider, sub, **claims):
    request = urllib.request.Request(f"{provider}/users/{sub}", json.dumps(claims).encode(), {"Content-Type": "application/json"}, method="PUT")
    assert urllib.request.urlopen(request, timeout=30).status == 204


@pytest.fixture
def site(provider, tmp_path):
    port, secret = free_port(), tmp_path / "secret"
    secret.touch(0o600)
    secret.write_text("hush\n")
    site = filled(Site(tmp_path, console_port=port, console_url=f"http://127.0.0.1:{port}", console_oidc_issuer=provider, console_oidc_client_id="console", console_oidc_client_secret_file=secret))
    yield site
    site.stop()


def query(url):
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))


class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_, **__):
        return None


class Browser:
    """Follows no redirect by itself; keeps cookies."""

    def __init__(self):
        self.jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(Stay, urllib.request.HTTPCookieProcessor(self.jar))

    def ask(self, url, form=None):
        data = None if form is None else urllib.parse.urlencode(form).encode()
        try:
            with self.opener.open(urllib.request.Request(url, data), timeout=30) as answer:
                return answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read().decode()

    def sent_away(self, site):
        """Where a login leads."""
        status, headers, _ = self.ask(f"{site.url}/oidc/login")
        assert status == 303
        return headers["Location"]

    def agreed(self, site, sub):
        """Where the provider leads back."""
        return self.ask(self.sent_away(site), {"sub": sub})[1]["Location"]


def test_who_comes_from_the_provider_has_the_role_of_the_claim(provider, site):
    put(provider, "u1", preferred_username="olga", roles=["staff", "viewer", "officer"])
    browser = Browser()
    away = query(browser.sent_away(site))
    assert away["code_challenge_method"] == "S256" and len(away["state"]) >= 43 and len(away["nonce"]) >= 43
    assert away["redirect_uri"] == f"{site.url}/oidc/callback" and "openid" in away["scope"]
    back = browser.agreed(site, "u1")
    status, headers, page = browser.ask(back)
    assert status == 200 and 'url=/"' in page and headers.get_content_type() == "text/html" and "SameSite=Strict" in headers["Set-Cookie"]
    found = json.loads(browser.ask(f"{site.url}/api/me")[2])
    assert (found["name"], found["role"], found["password"], found["provider"]) == ("olga", "officer", False, True)
    assert PLATE in browser.ask(f"{site.url}/api/state")[2] and "main.js" in browser.ask(site.url)[2]
    assert site.audit()[-1] == ("login", "olga", {"address": "127.0.0.1", "issuer": provider, "through": "console"})
    status, headers, _ = browser.ask(back)
    assert status == 303 and headers["Location"] == "/?login=again", "a word counts once"


@pytest.mark.parametrize(("claims", "word"), [({"roles": "admin"}, None), ({"roles": ["chief"]}, "norole"), ({}, "norole"), ({"roles": {"admin": True}}, "norole"), ({"roles": "viewer", "email": "v@example.org"}, None)])
def test_without_a_role_nobody_is_let_in(provider, site, claims, word):
    put(provider, "u2", **claims)
    browser = Browser()
    status, headers, _ = browser.ask(browser.agreed(site, "u2"))
    assert (status, headers.get("Location")) == ((200, None) if word is None else (303, f"/?login={word}"))
    assert json.loads(browser.ask(f"{site.url}/api/me")[2])["role"] == (claims["roles"] if word is None else None)
    assert site.audit()[-1][:2] == ("login" if word is None else "login refused", claims.get("email", "u2"))


def test_an_answer_that_this_browser_did_not_ask_for_is_refused(provider, site):
    put(provider, "u3", roles="admin")
    browser, other = Browser(), Browser()
    back = browser.agreed(site, "u3")
    other.sent_away(site)
    for whose, url in ((Browser(), back), (other, back), (browser, back.replace("state=", "state=x")), (browser, f"{site.url}/oidc/callback"), (browser, f"{site.url}/oidc/callback?state=")):
        assert whose.ask(url)[1]["Location"] == "/?login=again" and json.loads(whose.ask(f"{site.url}/api/me")[2])["role"] is None
    late = browser.agreed(site, "u3")
    site.now_s += WITHIN_S + 1
    assert browser.ask(late)[1]["Location"] == "/?login=again"
    state = query(browser.sent_away(site))["state"]
    assert browser.ask(f"{site.url}/oidc/callback?state={state}&error=access_denied")[1]["Location"] == "/?login=refused"


@pytest.mark.parametrize(
    ("plant", "word"),
    [
        ("code", "refused"), ("nonce", "refused"), ("issuer", "refused"), ("audience", "refused"), ("key", "refused"), ("expired", "refused"), ("verifier", None), ("gone", "unavailable"),
    ],
)  # fmt: skip
def test_a_word_that_does_not_hold_lets_nobody_in(provider, site, monkeypatch, plant, word):
    import joserfc.jwt

    from consumers.console.accounts import oidc

    put(provider, "u4", roles="admin")
    browser, sent = Browser(), []
    away = browser.sent_away(site)
    back = browser.ask(away, {"sub": "u4"})[1]["Location"]
    decode, post = joserfc.jwt.decode, oidc.OAuth2Session.post

    def planted(value, key, **more):
        token = decode(value, key, **more)
        token.claims.update({"nonce": {"nonce": "another"}, "issuer": {"iss": "https://evil.example"}, "audience": {"aud": "another", "azp": "console"}, "expired": {"exp": 1}}.get(plant, {}))
        return token

    def posted(self, url, **more):
        sent.append(more["data"])
        return post(self, url, **more)

    monkeypatch.setattr(oidc.jwt, "decode", planted)
    monkeypatch.setattr(oidc.OAuth2Session, "post", posted)
    if plant == "key":
        from joserfc.jwk import RSAKey

        monkeypatch.setattr(oidc.KeySet, "import_key_set", lambda _: RSAKey.generate_key(2048))
    if plant == "gone":
        monkeypatch.setattr(oidc.OAuth2Session, "post", lambda *_, **__: (_ for _ in ()).throw(oidc.requests.ConnectionError()))
    status, headers, _ = browser.ask(back.replace("code=", "code=x") if plant == "code" else back)
    assert (status, headers.get("Location")) == ((200, None) if word is None else (303, f"/?login={word}"))
    assert json.loads(browser.ask(f"{site.url}/api/me")[2])["role"] == ("admin" if word is None else None)
    if plant == "verifier":
        digest = hashlib.sha256(sent[0]["code_verifier"].encode()).digest()
        assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == query(away)["code_challenge"], "the provider compares them"


def test_a_provider_that_does_not_answer_is_said_on_the_page(tmp_path):
    site = Site(tmp_path, console_url="http://127.0.0.1:1", console_oidc_issuer=f"http://127.0.0.1:{free_port()}", console_oidc_client_id="console")
    try:
        assert Browser().sent_away(site) == "/?login=unavailable"
        assert site.ask("/api/state")[0] == 401 and site.ask("/api/login", {"name": "olga", "password": "x"}, Host="127.0.0.1:1", Origin="http://127.0.0.1:1")[0] == 404
    finally:
        site.stop()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"console_oidc_issuer": "https://id.example.org"}, "YICHENG_CONSOLE_OIDC_CLIENT_ID and YICHENG_CONSOLE_URL"),
        ({"console_oidc_issuer": "https://id.example.org", "console_oidc_client_id": "c"}, "without YICHENG_CONSOLE_URL;"),
        ({"console_oidc_issuer": "http://id.example.org", "console_oidc_client_id": "c", "console_url": "https://c.example.org"}, "https"),
    ],
)
def test_a_provider_needs_a_name_and_an_address_to_come_back_to(given, said):
    with pytest.raises(BadInput, match=said):
        check_oidc(Settings(**given))
    check_oidc(Settings())
    check_oidc(Settings(console_oidc_issuer="http://127.0.0.1:9", console_oidc_client_id="c", console_url="https://c.example.org"))


def test_in_a_browser_the_link_of_before_is_shown_after_it(provider, site, watch):
    put(provider, "u5", preferred_username="olga", roles="officer")
    watched = watch(site.url)
    page = watched.open("/?lang=en#incident=i")
    page.set_default_timeout(30_000)
    page.click("#by-provider")
    page.fill("[name=sub]", "u5")
    page.click("[type=submit]:not([name])")
    page.wait_for_selector("#panel .reason")
    assert PLATE in page.text_content("#panel") and page.get_attribute("#me", "aria-label") == "olga (Officer)" and page.locator("#user-name").count() == 0
    put(provider, "u5", roles="chief")
    page.click("#me")
    page.click("#log-out")
    page.click("#by-provider")
    page.fill("[name=sub]", "u5")
    page.click("[type=submit]:not([name])")
    page.wait_for_selector("#login [role=alert]")
    assert "no role" in page.text_content("#login [role=alert]") and page.evaluate("window.refusals") == []
