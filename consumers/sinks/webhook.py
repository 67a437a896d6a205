"""The webhook sink: each CloudEvent posted and signed as Standard Webhooks asks, over id, time and body.

``whsec_`` secrets sign by HMAC-SHA-256 (``v1``): the receiver has the same secret. ``whsk_`` keys sign by Ed25519 (``v1a``): the receiver has the
public key, ``whpk_``, and can verify and not forge. Of several secrets each signs, so that one can be exchanged for another without a gap.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from standardwebhooks.webhooks import Webhook

from consumers.messages.message import Message
from consumers.sinks._https import HttpsClient
from consumers.sinks._options import Reach, read_options
from streams.errors import BadInput

Sign = Callable[[str, datetime, str], str]
"""The signature, with its version before it, over id, time and body."""
MOST_SECRETS = 10
_SEED_BYTES = 32


class WebhookOptions(Reach, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``secret``: one, or a list while they are exchanged; ``whsec_`` or ``whsk_``, and base64."""

    url: str
    secret: str | list[str]


class WebhookSink:
    """Posts incidents; the receiver de-duplicates on ``webhook-id``, which is the message's id."""

    limits: tuple[tuple[int, float], ...] = ()
    folds = False
    takes_digests = takes_alerts = True

    def __init__(self, name: str, options: Mapping[str, object]) -> None:
        read = read_options(name, WebhookOptions, options)
        secrets = [read.secret] if isinstance(read.secret, str) else read.secret
        if not 1 <= len(secrets) <= MOST_SECRETS:
            raise BadInput(f"sink {name}: secret is to be one, or a list of 1 to {MOST_SECRETS}")
        self.name, self.real = name, read.real
        self._signs = [_signer(name, secret) for secret in secrets]
        self._client = HttpsClient(name, read.url, read)

    def deliver(self, message: Message) -> str:
        """Post one message; the status. ``Unavailable`` (also ``AskedToWait``, ``NotTaken``) where it is to be tried again, ``BadInput`` where it is refused for good."""
        now = datetime.now(UTC)
        text = message.body.decode()
        headers = {
            "content-type": "application/cloudevents+json",
            "webhook-id": message.message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(sign(message.message_id, now, text) for sign in self._signs),
        }
        answer = self._client.post(message.body, headers)
        if answer.status >= 300 and answer.headers.get("webhook-delivery", "").strip() == "abort-message":
            raise BadInput(f"{self._client.where} refused the message for good with {answer.status} and abort-message")
        return self._client.check_taken(answer)

    def fits(self, message: Message) -> bool:
        """There is room for any."""
        return True

    def flush(self) -> None:
        """Nothing is held back."""

    def give_up(self) -> None:
        """End a delivery that is under way, from any thread; what was not delivered will be."""
        self._client.give_up()

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()


def _signer(name: str, secret: str) -> Sign:
    """What signs with a secret; ``BadInput``, which repeats nothing of it, where it is none."""
    wrong = f"sink {name}: secret is no Standard Webhooks secret (whsec_ or whsk_, and base64)"
    if secret.startswith("whpk_"):
        raise BadInput(f"sink {name}: secret is a public key (whpk_), which is the receiver's; sign with the private one (whsk_)")
    try:
        if secret.startswith("whsk_"):
            return _ed25519(_private_key(secret))
        if not secret.startswith("whsec_"):
            raise BadInput(wrong)
        return Webhook(secret).sign
    except Exception:  # noqa: BLE001 - the library raises several kinds for a secret it cannot decode
        raise BadInput(wrong) from None


def _private_key(secret: str) -> Ed25519PrivateKey:
    """The key of a ``whsk_``: its seed of 32 bytes, or that and the public key, as some tools write it."""
    key = base64.b64decode(secret.removeprefix("whsk_"), validate=True)
    private = Ed25519PrivateKey.from_private_bytes(key[:_SEED_BYTES])
    if key[_SEED_BYTES:] not in {b"", private.public_key().public_bytes_raw()}:
        raise binascii.Error("the public half is another key's")
    return private


def _ed25519(key: Ed25519PrivateKey) -> Sign:
    def sign(message_id: str, now: datetime, body: str) -> str:
        return "v1a," + base64.b64encode(key.sign(f"{message_id}.{int(now.timestamp())}.{body}".encode())).decode()

    return sign


def public_key(secret: str) -> str:
    """The ``whpk_`` that a receiver verifies with, of a ``whsk_``."""
    return "whpk_" + base64.b64encode(_private_key(secret).public_key().public_bytes_raw()).decode()
