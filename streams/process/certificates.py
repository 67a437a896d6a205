"""Whether certificates of a file can be trusted now. Pure: the time is an argument."""

from __future__ import annotations

from datetime import datetime

from cryptography import x509


def not_valid(pem: bytes, now: datetime) -> str | None:
    """Why no certificate can be trusted now, in words that go on after the file's name; None where one can, and where only OpenSSL knows how to read them."""
    try:
        certificates = x509.load_pem_x509_certificates(pem)
    except ValueError:
        return None
    if any(each.not_valid_before_utc <= now <= each.not_valid_after_utc for each in certificates):
        return None
    last = max(each.not_valid_after_utc for each in certificates)
    if last < now:
        return f"expired on {last:%Y-%m-%d}, or this machine's clock is wrong"
    return f"not valid before {min(each.not_valid_before_utc for each in certificates if each.not_valid_before_utc > now):%Y-%m-%d}, or this machine's clock is wrong"
