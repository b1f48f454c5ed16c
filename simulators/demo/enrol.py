"""Enrols the demo's residents at their gateway, as a clerk at the counter would, from real photographs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

from estate.processes import wait_until
from simulators.demo.people import RESIDENTS, Resident
from simulators.demo.stack import Stack
from simulators.photos import DemoPhotos


def enrol_faces(stack: Stack, portraits: DemoPhotos) -> None:
    """Give each resident who consented a template; the photographs at the doors are other ones.

    Raises:
        StartFailedError: the gateway refused one, with its reason.
    """
    consenting = [resident for resident in RESIDENTS if resident.photos is not None]

    def enrol(resident: Resident) -> None:
        pictures = [str(path) for path in enrolment_photos(portraits, resident)]
        person = stack.people[resident.ref]
        stack.run("gateway", "enrol", "--estate", resident.estate, "--person", person, *pictures)

    with ThreadPoolExecutor(max_workers=2) as clerks:
        list(clerks.map(enrol, consenting))
    url = f"http://127.0.0.1:{stack.ports.gateway}/health"

    def known() -> bool:
        return sum(one["enrolled"] or 0 for one in requests.get(url, timeout=5).json()["estates"]) >= len(
            consenting
        )

    # The gateway looks into the vault about once a second; a face shown before that is a stranger's.
    wait_until(known, 20, "网关没有读到登记的人脸  |  the gateway did not take up the enrolled faces")


def enrolment_photos(portraits: DemoPhotos, resident: Resident) -> tuple[Path, ...]:
    """The photographs this resident brought to the counter; person A's third one is kept for the door."""
    by_person = {"a": portraits.a[:2], "b": (portraits.b,), "c": (portraits.c,)}
    return by_person[resident.photos or ""]
