"""Python runs this at the start of each process whose PYTHONPATH names this folder: `known_faces.recording`.

It writes down what a gateway sends up, before it is encrypted, in a file for each process.
"""

from __future__ import annotations

import http.client
import os
import sys
from typing import Any

_send = http.client.HTTPConnection.send


def _record_and_send(connection: http.client.HTTPConnection, data: Any) -> None:
    if "gateway" in sys.orig_argv and isinstance(data, bytes | bytearray):
        path = os.path.join(os.environ["TESTS_SENT_FOLDER"], f"gateway-{os.getpid()}.sent")
        with open(path, "ab") as file:
            file.write(data)
    _send(connection, data)


if "TESTS_SENT_FOLDER" in os.environ:
    http.client.HTTPConnection.send = _record_and_send  # type: ignore[method-assign]
