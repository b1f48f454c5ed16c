"""Enrolment as the command does it: settings, roster copy, vault and an encoder process put together."""

from __future__ import annotations

import select
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from estate.config import SettingsError
from estate.processes import StartFailedError
from gateway.assembly import ROSTER_FILE
from gateway.enrolment import Consent, Refused, enrol
from gateway.faces import open_vault, read_vault_key
from gateway.matching.calibration import FPIR
from gateway.matching.encoder import EncodeResult, EncoderPool, FacesMissingError
from gateway.matching.gallery import NoCalibrationError
from gateway.roster import EstateRoster
from gateway.roster_store import RosterStore
from gateway.settings import Settings, read_settings


def enrol_files(config: Path, estate: str, person: str, photos: Sequence[Path]) -> tuple[bool, list[str]]:
    """Enrol a person of one of this gateway's estates from photographs in files.

    Args:
        config: the gateway's configuration.
        estate: its id.
        person: opaque.
        photos: the files; they are read and left as they are.
    Returns:
        whether the person is enrolled now, and what to tell.
    Raises:
        SettingsError: the configuration is wrong, or the estate is not one of this gateway's.
        StartFailedError: faces are not installed, or no thresholds are known.
        OSError: a file cannot be read.
    """
    settings = read_settings(config)
    if estate not in settings.gateway.estates:
        raise SettingsError(str(config), "gateway.estates", f"没有这个小区 (not an estate of ours): {estate}")
    key = read_vault_key(settings)
    if key is None:
        raise SettingsError(str(config), "faces.vault_key_file", "登记人脸需要它 (needed to enrol a face)")
    try:
        with closing(open_vault(settings, key)) as vault:
            roster = read_roster(settings, estate)
            outcome = enrol(
                vault,
                consent_from(lambda: read_roster(settings, estate)),
                encode_once,
                estate_id=estate,
                person_id=person,
                photos=[path.read_bytes() for path in photos],
                now=datetime.now(UTC),
                fpir=roster.fpir if roster.fpir is not None else FPIR,
            )
    except (FacesMissingError, NoCalibrationError) as error:
        raise StartFailedError(str(error)) from error
    if isinstance(outcome, Refused):
        return False, [str(reason) for reason in outcome.reasons]
    told = [f"已登记，{outcome.photos} 张照片  |  enrolled from {outcome.photos} photographs: {person}"]
    if outcome.more_recommended:
        told.append("建议补到 3 张，识别更准  |  three photographs are recognised better")
    return True, told


def encode_once(photos: list[bytes]) -> EncodeResult:
    """Encode one person's photographs, with enrolment's quality, in a process of its own.

    Raises:
        FacesMissingError: the faces extra is not installed.
    """
    with closing(EncoderPool(workers=1, queue_limit=1)) as pool:
        pool.submit(0, photos, enrolment=True)
        while not (results := pool.results()):
            select.select([pool.wake_fd], [], [])
    return results[0]


def read_roster(settings: Settings, estate: str) -> EstateRoster:
    """The gateway's own copy of the roster, as it is on disk now."""
    settings.state_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with closing(RosterStore(settings.state_folder / ROSTER_FILE)) as store:
        return store.load(estate)


def consent_from(roster: Callable[[], EstateRoster]) -> Callable[[str, str], Consent]:
    """Answers what enrolment asks, from the roster as it is at that moment."""

    def consent(_estate: str, person: str) -> Consent:
        now = roster()
        if not now.policy.faces:
            return "faces_off"
        known = now.people.get(person)
        if known is None:
            return "unknown_person"
        return "live" if known.face_consent else "none"

    return consent
