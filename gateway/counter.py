"""The enrolment counter: a clerk's computer on the estate's box, beside a running gateway."""

from __future__ import annotations

import select
import time
from datetime import UTC, datetime
from pathlib import Path

from estate.config import SettingsError
from estate.processes import StartFailedError
from gateway.assembly import ROSTER_FILE
from gateway.enrolment import Consent, Enrolled, Refused, enrol
from gateway.faces import face_yardstick, model_path, open_vault, read_vault_key
from gateway.matching.encoder import EncodeResult, EncoderPool, FacesMissingError
from gateway.roster_store import RosterStore
from gateway.settings import Settings

ROSTER_WAIT_S = 10.0  # a person just entered in the city may still be on the way down
ENCODE_WAIT_S = 60.0  # the encoder's process starts first, and there may be five photographs


def enrol_at_counter(settings: Settings, estate: str, person: str, photos: list[bytes]) -> Enrolled | Refused:
    """Enrol a person in this gateway's vault; the running gateway notices within a second.

    Args:
        settings: checked.
        estate: where the person lives.
        person: opaque id.
        photos: JPEG or PNG files; used here and kept nowhere.
    Raises:
        SettingsError: there is no vault key.
        StartFailedError: the encoder is not installed, or does not answer.
        sqlite3.Error, OSError: the state folder cannot be read or written.
    """
    key = read_vault_key(settings)
    if key is None:
        raise SettingsError("gateway.toml", "faces.vault_key_file", "没有人脸库密钥 (there is no vault key)")
    yardstick = face_yardstick(settings)
    vault = open_vault(settings, key)
    store = RosterStore(settings.state_folder / ROSTER_FILE)
    until_s = time.monotonic() + ROSTER_WAIT_S

    def consent(estate_id: str, person_id: str) -> Consent:
        while True:
            roster = store.load(estate_id)
            someone = roster.people.get(person_id)
            if someone is not None or time.monotonic() > until_s:
                break
            time.sleep(0.2)
        if someone is None:
            return "unknown_person"
        if not roster.policy.faces:
            return "faces_off"
        return "live" if someone.face_consent else "none"

    try:
        fpir = store.load(estate).fpir
        return enrol(
            vault,
            consent,
            lambda pictures: _encode(pictures, model_path(settings)),
            estate_id=estate,
            person_id=person,
            photos=photos,
            now=datetime.now(UTC),
            yardstick=yardstick,
            fpir=fpir if fpir is not None else settings.faces.fpir,
        )
    finally:
        store.close()
        vault.close()


def _encode(photos: list[bytes], model_file: Path | None) -> EncodeResult:
    """One job for an encoder process of our own."""
    try:
        pool = EncoderPool(1, 1, ENCODE_WAIT_S, model_file)
    except FacesMissingError as error:
        raise StartFailedError(str(error)) from error
    try:
        pool.submit(0, photos, enrolment=True)
        select.select([pool.wake_fd], [], [], ENCODE_WAIT_S)
        results = pool.results()
    finally:
        pool.close()
    if not results:
        raise StartFailedError(
            f"编码程序 {ENCODE_WAIT_S:g} 秒内没有完成，请再试一次  |  "
            f"the encoder did not finish within {ENCODE_WAIT_S:g} s; try again"
        )
    return results[0]
