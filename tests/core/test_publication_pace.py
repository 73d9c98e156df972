import pytest

from zdqn.core.publication_pace import PublicationPace


def test_before_the_first_publication_only_what_is_configured_counts():
    assert PublicationPace(0.0, 1e6).interval_s == 0.0
    assert PublicationPace(2.5, 1e6).interval_s == 2.5


def test_it_takes_a_fiftieth_of_the_time():
    pace = PublicationPace(0.0, 1e9)
    for _ in range(100):
        pace.published(0.003, nbytes=10, subscribers=1)
    assert pace.interval_s == pytest.approx(0.15)


def test_one_that_was_held_up_does_not_count_for_all():
    pace = PublicationPace(0.0, 1e9)
    pace.published(0.003, 10, 1)
    pace.published(0.013, 10, 1)
    assert pace.interval_s == pytest.approx(0.004 / 0.02)


def test_a_process_that_was_stopped_for_an_hour_publishes_soon_again():
    pace = PublicationPace(0.0, 1e9)
    pace.published(0.003, 10, 1)
    pace.published(3600.0, 10, 1)
    assert pace.interval_s == pytest.approx(1.9 * 0.003 / 0.02)


@pytest.mark.parametrize(("subscribers", "interval_s"), [(0, 0.0), (1, 0.5), (4, 2.0)])
def test_all_subscribers_share_what_may_be_sent(subscribers, interval_s):
    pace = PublicationPace(0.0, 100.0)
    pace.published(0.0, nbytes=50, subscribers=subscribers)
    assert pace.interval_s == interval_s


def test_what_is_configured_is_the_least():
    pace = PublicationPace(3.0, 100.0)
    pace.published(0.0, nbytes=50, subscribers=4)
    assert pace.interval_s == 3.0
