"""The enrolment counter: whoever enrols people on the estate's box, beside a running gateway.

The command, the kiosk and the enrolment of a folder all come through here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from types import TracebackType

import structlog

from estate.config import SettingsError
from estate.processes import StartFailedError
from gateway.assembly import ROSTER_FILE
from gateway.decision import Door
from gateway.enrolment import Consent, Enrolled, Refusal, Refused, enrol
from gateway.faces import face_yardstick, model_path, open_vault, read_vault_key
from gateway.matching.encoder import FacesMissingError
from gateway.matching.encodings import Encodings
from gateway.matching.photo import panel_photograph
from gateway.roster import EstateRoster
from gateway.roster_store import RosterStore
from gateway.settings import Settings

ROSTER_WAIT_S = 10.0  # a person just entered in the city may still be on the way down

log = structlog.get_logger()


class Counter:
    """The vault, the roster copy and an encoder, for enrolling; a context manager. Any thread may enrol.

    Args:
        settings: checked.
        workers: encoder processes.
        waiting_max: how many people may wait for one.
        roster_wait_s: how long somebody who is not on the roster is waited for.
    Raises:
        SettingsError: there is no vault key, or the configured model cannot be used.
        StartFailedError: the encoder is not installed.
        sqlite3.Error, OSError: the state folder cannot be read or written.
    """

    def __init__(
        self,
        settings: Settings,
        workers: int = 1,
        waiting_max: int = 8,
        roster_wait_s: float = ROSTER_WAIT_S,
    ) -> None:
        key = read_vault_key(settings)
        if key is None:
            raise SettingsError(
                "gateway.toml", "faces.vault_key_file", "没有人脸库密钥 (there is no vault key)"
            )
        self._settings, self._roster_wait_s = settings, roster_wait_s
        self._yardstick = face_yardstick(settings)
        self.vault = open_vault(settings, key)
        self._rosters = RosterStore(settings.state_folder / ROSTER_FILE)
        self._storing, self._reading = threading.Lock(), threading.Lock()
        try:
            self._encodings = Encodings(workers, waiting_max, model_path(settings))
        except FacesMissingError as error:
            self._close_files()
            raise StartFailedError(str(error)) from error

    def __enter__(self) -> Counter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the encoder and close the files."""
        self._encodings.close()
        self._close_files()

    def enrol(
        self, estate_id: str, person_id: str, photos: Sequence[bytes], operator: str
    ) -> Enrolled | Refused:
        """Enrol a person in this gateway's vault; the running gateway notices within a second.

        A face that is enrolled as somebody else opens a case for a human. One photograph stays in the
        vault, sealed, if the person agreed to have door panels loaded with it; the others are kept nowhere.

        Args:
            estate_id: where the person lives.
            person_id: opaque.
            photos: one to five JPEG or PNG files.
            operator: who enrols, opaque; stands in the log and on a case.
        Raises:
            EncoderBusyError: too many are being enrolled at once.
            sqlite3.Error, OSError: the state folder cannot be read or written.
        """
        now = datetime.now(UTC)
        fpir = self._roster(estate_id).fpir
        outcome = enrol(
            self.vault,
            self.consent,
            self._encodings.encode,
            estate_id=estate_id,
            person_id=person_id,
            photos=photos,
            now=now,
            yardstick=self._yardstick,
            fpir=fpir if fpir is not None else self._settings.faces.fpir,
            apart=self.vault.duplicates.apart(estate_id, person_id),
            storing=self._storing,
        )
        if isinstance(outcome, Refused):
            return Refused(
                tuple(
                    self._with_case(reason, estate_id, person_id, operator, now) for reason in outcome.reasons
                )
            )
        someone = self._roster(estate_id).people.get(person_id)
        if someone is not None and someone.panel_consent:
            self.vault.keep_photograph(estate_id, person_id, panel_photograph(photos[0]), now)
        log.info(
            "face_enrolled", estate=estate_id, person=person_id, operator=operator, photos=outcome.photos
        )
        return outcome

    def enrolled(self, estate_id: str) -> frozenset[str]:
        """Who is enrolled in an estate already, with the encoder in use."""
        people = self.vault.templates(estate_id)
        return frozenset(one.person_id for one in people if one.encoder == self._yardstick.encoder)

    def cameras(self, estate_id: str) -> list[Door]:
        """The doors of an estate that take faces, in use, by name."""
        doors = self._roster(estate_id).doors.values()
        taking = [door for door in doors if door.active and "face" in door.credentials]
        return sorted(taking, key=lambda door: (door.name_zh, door.device))

    def consent(self, estate_id: str, person_id: str) -> Consent:
        """Whether the roster says that the person has agreed, today."""
        until_s = time.monotonic() + self._roster_wait_s
        while True:
            roster = self._roster(estate_id)
            someone = roster.people.get(person_id)
            if someone is not None:
                break
            if time.monotonic() > until_s:
                return "unknown_person"
            time.sleep(0.2)
        if not roster.policy.faces:
            return "faces_off"
        return "live" if someone.face_consent else "none"

    def _roster(self, estate_id: str) -> EstateRoster:
        with self._reading:
            return self._rosters.load(estate_id)

    def _with_case(
        self, reason: Refusal, estate_id: str, person_id: str, operator: str, now: datetime
    ) -> Refusal:
        if reason.resembles is None:
            return reason
        case_id = self.vault.duplicates.open(estate_id, person_id, reason.resembles, operator, now)
        log.warning(
            "face_enrolled_twice", estate=estate_id, person=person_id, case=case_id, operator=operator
        )
        return Refusal(
            reason.code,
            f"{reason.zh}（核实编号 {case_id}）",
            f"{reason.en} Case number {case_id}.",
            reason.photo,
            reason.resembles,
        )

    def _close_files(self) -> None:
        self._rosters.close()
        self.vault.close()
