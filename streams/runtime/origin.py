"""Whose state this is: a real worker's or a rehearsal's, under which identity key.

Both stand in the mark of every partition's state. A real worker refuses synthetic records; whatever a rehearsal says is marked
synthetic; so neither may go on with what the other left. Workers with different keys would give one incident two names.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

import msgspec

from streams.errors import BadInput, ForeignState
from streams.settings import Settings

_FINGERPRINT_OF = b"yicheng: fingerprint of an identity key"
_encode, _decode = msgspec.msgpack.encode, msgspec.msgpack.decode


class Origin(msgspec.Struct, array_like=True, frozen=True, tag="origin"):
    """Whether it is a rehearsal's, and a fingerprint of the identity key, from which the key cannot be found."""

    rehearsal: bool = False
    fingerprint: str = ""


def identity_key(settings: Settings) -> bytes:
    """The key that names incidents, the same for all workers of a group; ``BadInput`` where a real worker has none.

    A rehearsal without one takes a key that follows from its group, so that all its workers have the same.
    """
    given = settings.identity_key.get_secret_value() if settings.identity_key else ""
    if not given and not settings.rehearsal:
        raise BadInput(
            "YICHENG_IDENTITY_KEY is not set: a worker needs the key that names incidents, the same for its whole group;"
            " ./yicheng secrets new makes one (for test traffic set YICHENG_REHEARSAL=1 instead)"
        )
    return given.encode() or b"rehearsal of " + settings.group.encode()


def origin_of(settings: Settings) -> Origin:
    """What the state of a worker with these settings says of itself."""
    digest = hmac.digest(identity_key(settings), _FINGERPRINT_OF, hashlib.sha256)
    return Origin(settings.rehearsal, base64.b32encode(digest)[:12].decode())


def signed(mark: bytes, origin: Origin) -> bytes:
    """A partition's mark that says whose it is, behind everything else."""
    return _encode([*_decode(mark), origin])


def unsigned(mark: bytes) -> tuple[bytes, Origin | None]:
    """A mark as it was before, and whose it is; None where it does not say so, as before version 7 of the state."""
    fields = _decode(mark)
    if isinstance(fields[-1], list) and fields[-1][:1] == [Origin.__struct_config__.tag]:
        return _encode(fields[:-1]), msgspec.convert(fields[-1], Origin)
    return mark, None


def refuse_foreign(where: str, found: Origin | None, own: Origin) -> None:
    """``ForeignState`` where state that was found is not of this worker's kind or key."""
    if found is None or found == own:
        return
    if found.rehearsal != own.rehearsal:
        whose, me = ("a rehearsal", "real") if found.rehearsal else ("a real worker", "a rehearsal (YICHENG_REHEARSAL=1)")
        raise ForeignState(f"{where} is the state of {whose}, and this worker is {me}; a rehearsal needs a cluster, or topics, of its own")
    raise ForeignState(
        f"{where} was written under another YICHENG_IDENTITY_KEY (its fingerprint is {found.fingerprint}, not {own.fingerprint});"
        " all workers of a group need the same key, now and later"
    )
