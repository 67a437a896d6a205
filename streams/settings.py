"""Configuration: ``YICHENG_*`` in the environment, or the same keys in lower case in a YAML file (``--config``)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from streams.errors import BadInput, closest, nearest

GC_THRESHOLDS = (50_000, 5, 1_000)
"""State has no cycles, and looking through all of it for some takes hundreds of ms."""


class Settings(BaseSettings):
    """Every setting of every process; ``yicheng doctor`` prints them."""

    model_config = SettingsConfigDict(env_prefix="YICHENG_", extra="forbid")

    kafka_bootstrap: str = Field("127.0.0.1:9092", description="host:port of the Kafka brokers, comma separated")
    policy: str = Field("hohhot-2019", description="name of the published policy pack that the worker judges by")
    group: str = Field("yicheng", description="consumer group and changelog prefix of the workers")
    partitions: int = Field(12, ge=1, description="partitions of the input topics and changelogs")
    identity_key: SecretStr = Field(SecretStr("yicheng"), description="key of the HMAC that names incidents")
    metrics_host: str = Field("127.0.0.1", description="address that /metrics, /healthz and /readyz listen on")
    metrics_port: int = Field(0, ge=0, le=65535, description="their port; 0: the process's own default (worker 9108, notifier 9109)")
    checkpoint_interval_s: float = Field(1.0, gt=0, description="seconds between checkpoints of a worker")
    chunk_records: int = Field(2_000, ge=1, description="most records delivered to an agent at once")
    idle_after_s: float = Field(30.0, gt=0, description="seconds after which a fix partition without traffic takes over the others' stream time")
    state_dir: Path = Field(Path(".yicheng"), description="directory for what a process keeps on disk")
    sink_file: Path | None = Field(None, description="the notifier appends incidents to this JSONL file")
    webhook_url: str | None = Field(None, description="the notifier posts incidents to this address")
    webhook_secret: SecretStr | None = Field(None, description="secret that signs webhooks (Standard Webhooks, whsec_…)")
    webhook_real: bool = Field(False, description="the webhook reaches real police: synthetic incidents are never sent there")
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR")


def load_settings(config: Path | None = None) -> Settings:
    """Settings from the environment over those of a file; ``BadInput`` names the key that is wrong.

    Variables that resemble a setting are misspelt ones; others may be anybody's (a cluster sets ``YICHENG_SERVICE_HOST`` of its own).
    """
    for name in os.environ:
        prefix, _, key = name.partition("_")
        if prefix == "YICHENG" and key.lower() not in Settings.model_fields and (meant := closest(key.lower(), Settings.model_fields, 0.8)):
            raise BadInput(f"{name} in the environment is no setting; did you mean YICHENG_{meant.upper()}?")
    given: dict[str, Any] = {}
    if config is not None:
        try:
            given = yaml.safe_load(config.read_text("utf-8")) or {}
        except (OSError, yaml.YAMLError) as error:
            raise BadInput(f"config {config}: {error}") from None
        for key in given:
            if key not in Settings.model_fields:
                raise BadInput(f"config {config}: unknown key {key!r}{nearest(key, Settings.model_fields)}")
    try:
        from_env = Settings().model_dump(exclude_unset=True)
        return Settings(**{**given, **from_env}) if given else Settings()
    except ValidationError as error:
        problem = error.errors()[0]
        name = str(problem["loc"][0]) if problem["loc"] else "?"
        raise BadInput(f"setting YICHENG_{name.upper()}: {problem['msg'].lower()}, not {problem.get('input')!r}") from None
