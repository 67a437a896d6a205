"""What ``streams/runtime/patches.py`` changes in libraries is as it was when it was changed."""

import importlib.metadata
import inspect
from pathlib import Path

import pytest
from aiokafka import codec

from streams.runtime import patches

ROOT = Path(__file__).resolve().parent.parent.parent


def test_lz4_still_has_a_level_and_no_setting_for_it():
    parameters = inspect.signature(codec.lz4_encode).parameters
    assert list(parameters) == ["payload", "level"]
    patches.compress_less()
    assert inspect.signature(codec.lz4_encode).parameters["level"].default == patches.LZ4_LEVEL
    assert codec.lz4_decode(codec.lz4_encode(b"fix " * 100)) == b"fix " * 100


@pytest.mark.parametrize("library", ["aiokafka", "faust-streaming", "mode-streaming"])
def test_libraries_that_are_patched_are_pinned(library):
    assert f"{library}=={importlib.metadata.version(library)} " in (ROOT / "requirements.lock").read_text()
