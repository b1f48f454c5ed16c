"""Which pictures the loop offers to an enrolment: fresh ones, once, beside the door's own answer."""

from collections.abc import Sequence

from gateway.drivers import Address
from tests.unit.gateway.stage import Stage, photograph


def test_a_fresh_picture_is_offered_once_and_the_door_answers_as_always() -> None:
    stage, offered = Stage(), list[tuple[Address, int]]()

    def offer(address: Address, images: Sequence[bytes]) -> None:
        offered.append((address, len(images)))

    stage.pipeline._intake._offer = offer
    message = stage.message(photograph("p1"))
    stage.take(message)
    stage.take(message)  # the broker delivers it again
    stage.event({**photograph("p2"), "resent": True})
    stage.doors_ahead_s = -600
    stage.event(photograph("p3"))
    assert [address.device for address, _ in offered] == ["gate"]
    assert [count for _, count in offered] == [1]
    stage.develop(1)
    stage.write()
    assert stage.cause("p1") == "granted"
