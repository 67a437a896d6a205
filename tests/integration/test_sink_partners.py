"""Sinks with those they are made for: a mail server, Alertmanager, a server with an authority of its own, and receivers in another language that verify signatures."""

import base64
import email
import email.policy
import json
import shutil
import ssl
import subprocess
import time
from contextlib import contextmanager
from datetime import UTC, datetime

import orjson
import pytest
import requests
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from alertmanager import running_alertmanager
from conftest import wait_for
from receiver import Receiver, header, says

from consumers.messages.message import Message
from consumers.routing.routes import simple_routing
from consumers.sinks import open_sink
from consumers.sinks.webhook import public_key
from deploy.ports import free_port
from streams.errors import NotTaken, Unavailable

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
WHSK = "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
WORDS = "京A12345 · 禁行时段 ✓"


def incident(kind="opened", **changes):
    now_ms = int(time.time() * 1000)
    data = {
        "incident_id": "I1", "revision": 1, "synthetic": True, "state": "open", "rule": "no_entry_hours", "severity": "violation", "city": "150100", "vehicle_id": "V1",
        "opened_at_ms": now_ms - 60_000, "last_seen_ms": now_ms, "closed_at_ms": None,
    }  # fmt: skip
    data |= changes
    event_id = f"{data['incident_id']}/{data['revision']}"
    body = orjson.dumps({"id": event_id, "type": f"yicheng.incident.{kind}.v1", "data": data})
    return Message(message_id=event_id, body=body, title=WORDS, text=f"{WORDS}\n第 3 条", severity="violation")


@contextmanager
def opened(kind, **options):
    sink = open_sink(kind, "duty", options)
    try:
        yield sink
    finally:
        sink.close()


@pytest.fixture
def authority(tmp_path):
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "authority.pem")
    made.file = str(tmp_path / "authority.pem")
    return made


def context_of(authority, *names):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(context)
    return context


# --- mail ---


class Mailbox:
    def __init__(self):
        self.got, self.to, self.logins = [], [], []

    async def handle_DATA(self, server, session, envelope):
        self.got.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        self.to.append(envelope.rcpt_tos)
        return "250 taken"

    def login(self, server, session, envelope, mechanism, said):
        self.logins.append((said.login.decode(), said.password.decode()))
        right = said.password == b"pass word"
        return AuthResult(success=right, handled=right)  # where it is wrong the server says so


def test_mail_with_login_after_starttls_reaches_everybody_in_words_of_both_scripts(authority):
    box = Mailbox()
    server = Controller(
        box, hostname="127.0.0.1", port=free_port(), server_hostname="mail", tls_context=context_of(authority, "127.0.0.1"), require_starttls=True, authenticator=box.login, auth_required=True,
    )  # fmt: skip
    server.start()
    try:
        where = f"127.0.0.1:{server.port}/?from=yicheng@city.example&to=duty@police.example,chief@police.example&mode=starttls"
        with opened("apprise", url=f"mailtos://duty:pass%20word@{where}", ca_file=authority.file) as sink:
            for message in (incident(), incident(revision=2)):
                sink.deliver(message)
        assert box.logins[0] == ("duty", "pass word")
        assert sorted(to for many in box.to for to in many) == ["chief@police.example"] * 2 + ["duty@police.example"] * 2
        assert {mail["subject"] for mail in box.got} == {WORDS}
        said = [mail.get_body(("plain",)).get_content().splitlines() for mail in box.got]
        assert all(WORDS in lines[0] and lines[1] == "第 3 条" for lines in said) and sorted(lines[-1] for lines in said) == ["I1/1", "I1/1", "I1/2", "I1/2"]
        with opened("apprise", url=f"mailtos://duty:wrong-canary@{where}", ca_file=authority.file) as sink, pytest.raises(Unavailable) as caught:
            sink.deliver(incident())
        assert "canary" not in str(caught.value) and len(box.got) == 4
    finally:
        server.stop()


# --- Alertmanager ---


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory):
    """Its API's address."""
    home = tmp_path_factory.mktemp("alertmanager")
    (home / "alertmanager.yml").write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    with running_alertmanager(home / "alertmanager.yml", home, "/alerts") as url:
        yield url


def alerts(url, incident_id):
    asked = {"filter": f'incident_id="{incident_id}"'}
    return requests.get(f"{url}/api/v2/alerts", params=asked, timeout=10).json()


@pytest.mark.parametrize(("end", "changes"), [("closed", {"state": "closed"}), ("retracted", {"state": "retracted"})])
def test_an_incident_is_an_alert_that_fires_until_it_ends(alertmanager, end, changes):
    name = f"I-{end}"
    now_ms = int(time.time() * 1000)
    with opened("alertmanager", url=alertmanager) as sink:
        sink.deliver(incident(incident_id=name))
        (first,) = alerts(alertmanager, name)
        sink.deliver(incident("updated", incident_id=name, revision=2, severity="warning", last_seen_ms=now_ms))
        (second,) = alerts(alertmanager, name)
        sink.deliver(incident(end, incident_id=name, revision=3, closed_at_ms=now_ms - 1_000, **changes))
        wait_for("the alert to be resolved", lambda: alerts(alertmanager, name) == [], 20)
        sink.deliver(incident(incident_id=name, revision=4))
        (again,) = alerts(alertmanager, name)
    assert first["labels"] == {"alertname": "no_entry_hours", "incident_id": name, "city": "150100", "vehicle_id": "V1", "synthetic": "true"}
    assert first["annotations"]["summary"] == WORDS and first["annotations"]["event_id"] == f"{name}/1"
    assert second["fingerprint"] == first["fingerprint"] == again["fingerprint"] and second["annotations"]["event_id"] == f"{name}/2"
    assert {alert["status"]["state"] for alert in (first, second, again)} <= {"active", "unprocessed"}
    years = (datetime.fromisoformat(first["endsAt"]) - datetime.now(UTC)).days / 365
    assert years > 9, "it ends when the incident does, however long that is"


def test_a_trial_is_an_alert_that_says_so_and_ends_by_itself(alertmanager):
    message = simple_routing({}).writer.test("duty", int(time.time() * 1000))
    with opened("alertmanager", url=alertmanager) as sink:
        sink.deliver(message)
    (got,) = requests.get(f"{alertmanager}/api/v2/alerts", params={"filter": 'alertname="YichengTest"'}, timeout=10).json()
    assert got["labels"]["severity"] == "info" and "TEST" in got["annotations"]["summary"] and message.text == got["annotations"]["description"]


def test_an_incident_that_ended_before_anybody_heard_of_it_is_taken_and_does_not_fire(alertmanager):
    now_ms = int(time.time() * 1000)
    with opened("alertmanager", url=alertmanager) as sink:
        sink.deliver(incident("closed", incident_id="I-late", state="closed", opened_at_ms=now_ms - 9_000, closed_at_ms=now_ms - 10_000))
    assert alerts(alertmanager, "I-late") == []


def test_what_alertmanager_finds_wrong_is_not_taken(alertmanager):
    with opened("alertmanager", url=alertmanager) as sink:
        sink.deliver(incident(incident_id="I-right"))
        with pytest.raises(NotTaken, match="refused the message with 400"):
            sink._client.check_taken(sink._client.post(b'[{"labels": {}}]', sink._headers))
    with opened("alertmanager", url=alertmanager.removesuffix("/alerts")) as sink, pytest.raises(Unavailable, match="answered 404"):
        sink.deliver(incident())


# --- TLS, and receivers in another language ---


@pytest.mark.parametrize("fault", ["another name", "expired", "another authority", "no TLS"])
def test_a_certificate_that_is_wrong_in_any_way_is_not_trusted(authority, fault):
    if fault == "expired":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1", not_after=datetime(2020, 1, 1, tzinfo=UTC)).configure_cert(context)
    else:
        context = context_of(trustme.CA() if fault == "another authority" else authority, "police.example" if fault == "another name" else "127.0.0.1")
    plain = fault == "no TLS"
    receiver = Receiver(says(204), None if plain else context, first=plain)
    with opened("webhook", url=receiver.url.replace("http:", "https:"), secret=SECRET, ca_file=authority.file) as sink, pytest.raises(Unavailable, match="certificate is not trusted or there is no TLS"):
        sink.deliver(incident())
    assert not any(receiver.got)
    receiver.close()


VERIFIER = """
const crypto = require('crypto')
const {id, timestamp, signature, body, secret, publicKey} = JSON.parse(require('fs').readFileSync(0, 'utf8'))
const signed = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), Buffer.from(body, 'base64')])
const fresh = Math.abs(Date.now() / 1000 - Number(timestamp)) < 300
const key = crypto.createPublicKey({key: {kty: 'OKP', crv: 'Ed25519', x: Buffer.from(publicKey.slice(5), 'base64').toString('base64url')}, format: 'jwk'})
const verified = signature.split(' ').map(part => {
  const [version, value] = part.split(',')
  if (version === 'v1') {
    const expected = crypto.createHmac('sha256', Buffer.from(secret.slice(6), 'base64')).update(signed).digest()
    return crypto.timingSafeEqual(expected, Buffer.from(value, 'base64'))
  }
  return version === 'v1a' && crypto.verify(null, signed, key, Buffer.from(value, 'base64'))
})
console.log(JSON.stringify({fresh, verified, words: JSON.parse(Buffer.from(body, 'base64')).data.words}))
"""
"""What Standard Webhooks asks of a receiver, with what Node.js has."""


OF_THE_LIBRARY = """
const {Webhook} = require('standardwebhooks')
const {id, timestamp, signature, body, secret} = JSON.parse(require('fs').readFileSync(0, 'utf8'))
const headers = {'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature}
const verify = text => { try { return new Webhook(secret).verify(text, headers) } catch (error) { return error.name } }
const text = Buffer.from(body, 'base64').toString()
console.log(JSON.stringify([verify(text), verify(text + ' ')]))
"""


@pytest.fixture
def posted(authority):
    """What a receiver was posted, signed with a secret and a key: the parts that a verifier is given, and the body."""
    if shutil.which("node") is None:
        pytest.skip("node is missing: signatures are verified in Python only (tests/street/test_sinks.py)")
    receiver = Receiver(says(204), context_of(authority, "127.0.0.1"))
    with opened("webhook", url=receiver.url, secret=[SECRET, WHSK], ca_file=authority.file) as sink:
        sink.deliver(incident(words=WORDS))
    (request,) = receiver.got
    receiver.close()
    parts = {name: header(request, f"webhook-{name}") for name in ("id", "timestamp", "signature")}
    return {**parts, "secret": SECRET, "publicKey": public_key(WHSK)}, request.partition(b"\r\n\r\n")[2]


def in_javascript(program, parts, body, folder=None):
    said = json.dumps({**parts, "body": base64.b64encode(body).decode()})
    return json.loads(subprocess.run(["node", "-e", program], input=said, cwd=folder, capture_output=True, text=True, check=True, timeout=60).stdout)


def test_a_receiver_in_javascript_verifies_both_kinds_of_signatures(posted):
    parts, body = posted
    assert in_javascript(VERIFIER, parts, body) == {"fresh": True, "verified": [True, True], "words": WORDS}
    assert in_javascript(VERIFIER, parts, body.replace(b"V1", b"V2"))["verified"] == [False, False]


def test_the_javascript_library_of_standard_webhooks_verifies_it(posted, tmp_path):
    command = ["npm", "install", "--prefix", str(tmp_path), "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=0", "--fetch-timeout=10000", "standardwebhooks@1.0.0"]
    try:
        subprocess.run(command, capture_output=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("npm is missing, or standardwebhooks cannot be had from a registry")
    parts, body = posted
    right, changed = in_javascript(OF_THE_LIBRARY, parts, body, tmp_path)
    assert right["id"] == "I1/1" and right["data"]["words"] == WORDS and changed == "WebhookVerificationError"
