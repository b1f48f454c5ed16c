"""All drivers of a gateway as one: messages go by topic, answers and commands by the door's protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import entry_points

from estate.config import SettingsError
from gateway.drivers import Address, Driver, DriverContext, Message, Reading, Rejected
from gateway.drivers.commands import Command, CountPeople
from gateway.drivers.mqtt_face import MqttFaceDriver
from gateway.drivers.native import NativeDriver
from gateway.messages import AnswerItem

GROUP = "smart_estate.drivers"  # of entry points of installed packages
Maker = Callable[[DriverContext], Driver]
BUILT_IN: Mapping[str, Maker] = {
    NativeDriver.name: NativeDriver.make,
    MqttFaceDriver.name: MqttFaceDriver.make,
}


def known_drivers() -> dict[str, Maker]:
    """The built-in drivers, and those of installed packages; none of these takes a built-in's name.

    Raises:
        SettingsError: an installed driver cannot be loaded, or has a built-in's name.
    """
    found = dict(BUILT_IN)
    for entry in entry_points(group=GROUP):
        where = f"{entry.value} ({GROUP})"
        if entry.name in found:
            raise SettingsError(where, entry.name, "驱动名已被占用 (this driver's name is taken)")
        try:
            found[entry.name] = entry.load()
        except Exception as error:
            reason = f"驱动无法加载 (the driver cannot be loaded): {error}"
            raise SettingsError(where, entry.name, reason) from error
    return found


class Drivers:
    """The drivers in use.

    Args:
        drivers: the native one first, as most messages are its.
        protocol_of: the protocol of a device on a roster, else None.
        opening: is told of each opening whose acknowledgement (device, message id) is awaited.
    """

    name = "drivers"

    def __init__(
        self,
        drivers: Sequence[Driver],
        protocol_of: Callable[[Address], str | None],
        opening: Callable[[Address, str], None] = lambda _address, _message_id: None,
    ) -> None:
        self._opening = opening
        self._drivers = tuple(drivers)
        self._by_name = {driver.name: driver for driver in drivers}
        self._protocol_of = protocol_of
        self.names = frozenset(self._by_name)
        probe = Address("estate", "device")
        self.with_rosters = frozenset(
            driver.name for driver in drivers if driver.command(probe, CountPeople("probe"))
        )

    def filters(self, estates: Iterable[str]) -> list[str]:
        """What all of them subscribe to."""
        names = list(estates)
        return [one for driver in self._drivers for one in driver.filters(names)]

    def owns(self, topic: str) -> bool:
        """Whether a topic is of any protocol in use."""
        return any(driver.owns(topic) for driver in self._drivers)

    def read(self, topic: str, payload: bytes) -> Reading:
        """The reading of the driver whose topic it is.

        A device that is on the roster under another protocol is nobody here: a door has one identity.
        """
        for driver in self._drivers:
            if driver.owns(topic):
                reading = driver.read(topic, payload)
                address = reading.address
                if address is not None and self._protocol_of(address) not in (None, driver.name):
                    return Rejected(None, "wrong_protocol", len(payload))
                return reading
        return Rejected(None, "unknown_topic", len(payload))

    def write(
        self, address: Address, answers: Sequence[AnswerItem], recorded: Sequence[str]
    ) -> list[Message]:
        """In the words of the device's own protocol."""
        driver = self._of(address)
        for answer in answers:
            if answer.outcome == "open" and (message_id := driver.opening_id(answer.id)) is not None:
                self._opening(address, message_id)
        return driver.write(address, answers, recorded)

    def command(self, address: Address, command: Command) -> list[Message]:
        """In the words of the device's own protocol; none where it has no such command."""
        return self._of(address).command(address, command)

    def opening_id(self, event_id: str) -> str | None:  # noqa: ARG002
        """It depends on the device; `write` asks its driver."""
        return None

    def _of(self, address: Address) -> Driver:
        name = self._protocol_of(address)
        return self._by_name.get(name or "", self._drivers[0])
