"""What is said where Kafka is there and yet lets nobody read: it refuses the login, or the rights."""

from __future__ import annotations

import contextlib
import socket
import ssl

from kafka.errors import AuthorizationError, KafkaTimeoutError, SaslAuthenticationFailedError

from streams.process.kafka_login import client_options

HANDSHAKE_WITHIN_S = 2.0
NO_LOGIN = {
    "zh": "Kafka 拒绝了控制台的登录；请检查 YICHENG_KAFKA_USER 和 YICHENG_KAFKA_PASSWORD。",
    "en": "Kafka does not let the console in; check YICHENG_KAFKA_USER and YICHENG_KAFKA_PASSWORD.",
}
NO_RIGHTS = {
    "zh": "Kafka 不允许控制台的用户读取所需的内容；./yicheng topics access 列出所需的权限。",
    "en": "Kafka does not let the console's user read what it needs; ./yicheng topics access lists the rights.",
}


def refused_by_kafka(error: Exception, bootstrap: str) -> dict[str, str] | None:
    """What Kafka refuses, in both languages; None: it does not answer. Of a refused login the client says no more than that nobody answered in time."""
    if isinstance(error, AuthorizationError):
        return NO_RIGHTS
    if isinstance(error, SaslAuthenticationFailedError) or (isinstance(error, KafkaTimeoutError) and _awaits_a_login(bootstrap)):
        return NO_LOGIN
    return None


def _awaits_a_login(bootstrap: str) -> bool:
    """Whether this process logs in, and a broker speaks TLS with it up to there."""
    options = client_options()
    return "sasl_mechanism" in options and any(_speaks_tls(address, options["ssl_context"]) for address in bootstrap.split(","))


def _speaks_tls(address: str, context: ssl.SSLContext) -> bool:
    host, _, port = address.rpartition(":")
    name = host.strip("[]")
    with contextlib.suppress(OSError), socket.create_connection((name, int(port)), HANDSHAKE_WITHIN_S) as connection:
        context.wrap_socket(connection, server_hostname=name).close()
        return True
    return False
