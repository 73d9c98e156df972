from zdqn.roles.acting.standstill import Standstill


class Clock:
    now_s = 100.0

    def __call__(self):
        return self.now_s


def test_time_counts_from_when_the_counter_moved_last():
    clock = Clock()
    watch = Standstill(clock)
    assert watch.look(0, waits=False) == 0.0
    clock.now_s = 103.0
    assert watch.look(0, waits=False) == 3.0
    clock.now_s = 104.0
    assert watch.look(5, waits=False) == 0.0
    clock.now_s = 109.5
    assert watch.look(5, waits=False) == 5.5


def test_who_waits_for_somebody_does_not_stand_still():
    clock = Clock()
    watch = Standstill(clock)
    watch.look(7, waits=False)
    clock.now_s = 150.0
    assert watch.look(7, waits=True) == 0.0
    clock.now_s = 152.0
    assert watch.look(7, waits=False) == 2.0, "since it waited last"
