"""Who may do what in Kafka: the least that each process needs, for a cluster that denies what is not allowed.

Each role is a user (``PREFIX`` and its name); ``topics access`` lists what it may do, and enters it as access rules (ACLs) of the cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from kafka.admin import ACL, ACLOperation, ACLPermissionType, ACLResourcePatternType, ResourcePattern, ResourceType
from kafka.errors import KafkaError

from deploy.admin import administer
from streams.errors import YichengError
from streams.wire import topics
from streams.wire.topics import CREDIT, DEAD, FEEDBACK, GPS, HEARTBEAT, INCIDENTS, LATE, POLICY, RATES, REGISTRY, SCAN, Topic

PREFIX = "yicheng-"
_KEPT_BY_WORKERS = (*topics.DERIVED, CREDIT)


class Role(NamedTuple):
    """What a process reads, writes and commits to; ``group``: what follows the workers' group in its own, None where it has none; ``looks_at_workers``: at their offsets; ``looks_at_settings``: of the topics that it reads."""

    reads: tuple[Topic, ...] = ()
    writes: tuple[Topic, ...] = ()
    group: str | None = None
    looks_at_workers: bool = False
    looks_at_settings: bool = False


ROLES = {
    "gateway": Role(writes=(GPS, SCAN, HEARTBEAT)),
    "worker": Role(tuple(dict.fromkeys((*topics.CHUNKED, *_KEPT_BY_WORKERS, REGISTRY, POLICY))), (INCIDENTS, RATES, DEAD, LATE, *_KEPT_BY_WORKERS), group="", looks_at_settings=True),
    "notifier": Role((INCIDENTS, FEEDBACK), (FEEDBACK,), group="-notifier"),
    "console": Role((GPS, SCAN, INCIDENTS, RATES, FEEDBACK, POLICY, REGISTRY, DEAD, LATE), (FEEDBACK,), looks_at_workers=True),
    "operator": Role(),
}
"""The operator, who makes topics, publishes packs and registries and redrives, may do all with topics that are named ``courier.…`` and with our groups."""


def acls(name: str, group: str) -> Iterator[ACL]:
    """The access rules of a role, for workers of a group."""
    principal, role = f"User:{PREFIX}{name}", ROLES[name]

    def allowed(operation: ACLOperation, pattern: ResourcePattern) -> ACL:
        return ACL(principal, "*", operation, ACLPermissionType.ALLOW, pattern)

    if name == "operator":
        for kind, prefix in ((ResourceType.TOPIC, "courier."), (ResourceType.GROUP, group)):
            yield allowed(ACLOperation.ALL, ResourcePattern(kind, prefix, ACLResourcePatternType.PREFIXED))
        return
    for topic in role.reads:
        yield allowed(ACLOperation.READ, ResourcePattern(ResourceType.TOPIC, topic.name))
        if role.looks_at_settings:
            yield allowed(ACLOperation.DESCRIBE_CONFIGS, ResourcePattern(ResourceType.TOPIC, topic.name))
    for topic in role.writes:
        yield allowed(ACLOperation.WRITE, ResourcePattern(ResourceType.TOPIC, topic.name))
    if role.group is not None:
        yield allowed(ACLOperation.READ, ResourcePattern(ResourceType.GROUP, group + role.group))
    if role.looks_at_workers:
        yield allowed(ACLOperation.DESCRIBE, ResourcePattern(ResourceType.GROUP, group))


def allow(bootstrap: str, group: str) -> None:
    """Enter the access rules of all roles; those that are there stay. ``YichengError`` where the cluster takes none."""
    admin = administer(bootstrap)
    try:
        refused = admin.create_acls([acl for name in ROLES for acl in acls(name, group)])["failed"]
    except KafkaError as error:
        raise YichengError(f"Kafka at {bootstrap} takes no access rules ({type(error).__name__}: {error}); it needs an authorizer, and a user who may alter the cluster") from error
    finally:
        admin.close()
    if refused:
        raise YichengError(f"Kafka at {bootstrap} did not take all access rules: {refused[0][1]}")


def lines(group: str) -> Iterator[str]:
    """A line for each user: what it may do."""
    for name, role in ROLES.items():
        said = [
            f"reads {'and sees the settings of ' * role.looks_at_settings}{_names(role.reads)}" if role.reads else "",
            f"writes {_names(role.writes)}" if role.writes else "",
            f"joins group {group}{role.group}" if role.group is not None else "",
            f"sees the offsets of group {group}" if role.looks_at_workers else "",
        ]
        yield f"{PREFIX}{name}: {'; '.join(filter(None, said)) or f'all with topics courier.* and groups {group}*'}"


def _names(found: Iterable[Topic]) -> str:
    return ", ".join(topic.name for topic in found)
