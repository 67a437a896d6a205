"""The file sink: one CloudEvent a line, appended and flushed to the operating system with every batch."""

from __future__ import annotations

from pathlib import Path

from streams.errors import BadInput


class FileSink:
    """Appends incidents to a JSONL file."""

    name = "file"
    real = False

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab")
        except OSError as error:
            raise BadInput(f"sink file {path}: {error.strerror}; set YICHENG_SINK_FILE to a file that can be written") from None

    def deliver(self, event_id: str, body: bytes) -> None:
        """Append one event."""
        self._file.write(body + b"\n")

    def flush(self) -> None:
        """What was delivered so far survives this process."""
        self._file.flush()

    def close(self) -> None:
        """Flush and close."""
        self._file.close()
