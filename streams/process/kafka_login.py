"""How this process speaks to Kafka: in the open or over TLS, and as which user. Every client of Kafka takes ``client_options``, of whichever library it is.

Set once, by the command line, before there is a client: who reads a topic need not know how one gets in.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from streams.errors import BadInput
from streams.files.key_files import read_key_file
from streams.process.certificates import not_valid
from streams.settings import Settings

MECHANISM = "SCRAM-SHA-512"
_options: dict[str, Any] = {}


def log_in(settings: Settings) -> None:
    """Have all clients that are made from now on speak to Kafka as the settings say; ``BadInput`` names the setting that is wrong."""
    made = options_of(settings)
    _options.clear()
    _options.update(made)


def client_options() -> dict[str, Any]:
    """Arguments for a client of kafka-python or aiokafka, beside the addresses: both call them the same."""
    return dict(_options)


def options_of(settings: Settings) -> dict[str, Any]:
    """What settings ask for: nothing for a Kafka in the open, else TLS, and a user's name and password (SCRAM-SHA-512) where there is one."""
    if not settings.kafka_tls:
        for name in ("kafka_ca", "kafka_user", "kafka_password"):
            if getattr(settings, name) is not None:
                raise BadInput(f"YICHENG_{name.upper()} is set without YICHENG_KAFKA_TLS=1: a password travels over TLS alone")
        return {}
    context = {"ssl_context": _context(settings.kafka_ca)}
    if settings.kafka_user is None and settings.kafka_password is None:
        return {"security_protocol": "SSL", **context}
    if settings.kafka_user is None or settings.kafka_password is None:
        raise BadInput("YICHENG_KAFKA_USER and YICHENG_KAFKA_PASSWORD go together; set both, or neither")
    password = settings.kafka_password.get_secret_value()
    if password.startswith("@"):
        password = read_key_file(Path(password[1:]), "YICHENG_KAFKA_PASSWORD").decode()
    return {"security_protocol": "SASL_SSL", "sasl_mechanism": MECHANISM, "sasl_plain_username": settings.kafka_user, "sasl_plain_password": password, **context}


def _context(authority: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=authority)
        why = not_valid(authority.read_bytes(), datetime.now(UTC)) if authority else None
    except (OSError, ValueError) as error:  # SSLError is the first, too
        said = error.strerror if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) else "no certificate in PEM form"
        raise BadInput(f"YICHENG_KAFKA_CA: {authority}: {said}") from None
    if why:
        raise BadInput(f"YICHENG_KAFKA_CA: {authority}: {why}")
    return context
