"""What closes itself does so however it is left."""

import pytest

from zdqn.closing import Closing


class Door(Closing):
    def __init__(self):
        self.closings = 0

    def close(self):
        self.closings += 1


def test_it_is_closed_when_it_is_left():
    door = Door()
    with door as entered:
        assert entered is door
        assert door.closings == 0
    assert door.closings == 1


def test_an_error_closes_it_and_goes_on():
    door = Door()
    with pytest.raises(KeyError), door:
        raise KeyError
    assert door.closings == 1


def test_what_cannot_close_cannot_be_made():
    class Wall(Closing):
        pass

    with pytest.raises(TypeError, match="close"):
        Wall()  # type: ignore[abstract]
