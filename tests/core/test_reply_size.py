import pytest

from zdqn.core.reply_size import ReplySize

KIB = 1024


def test_the_first_reply_holds_one_batch():
    assert ReplySize(KIB, 64).batches == 1


@pytest.mark.parametrize(
    ("batch_s", "batches"), [(1e-4, 64), (5e-4, 40), (2e-3, 10), (0.05, 1), (3.0, 1)]
)
def test_a_reply_holds_what_is_learned_from_in_20_ms(batch_s, batches):
    size = ReplySize(KIB, 64)
    for _ in range(50):
        size.learned(size.batches, size.batches * batch_s)
    assert size.batches == pytest.approx(batches, abs=1)


def test_a_learner_that_becomes_slow_is_given_less_again():
    size = ReplySize(KIB, 64)
    for batch_s in (1e-4, 0.1):
        for _ in range(50):
            size.learned(size.batches, size.batches * batch_s)
    assert size.batches == 1


@pytest.mark.parametrize(("batch_bytes", "most"), [(KIB, 64), (1024 * KIB, 8), (2**30, 1)])
def test_large_batches_make_small_replies(batch_bytes, most):
    size = ReplySize(batch_bytes, 64)
    assert size.most == most
    size.learned(1, 0.0)
    assert size.batches == most


def test_no_more_are_asked_for_than_configured():
    size = ReplySize(KIB, 3)
    size.learned(1, 0.0)
    assert size.batches == 3


def test_a_pause_is_not_taken_for_slow_learning():
    size = ReplySize(KIB, 64)
    for _ in range(50):
        size.learned(size.batches, size.batches * 1e-4)
    size.learned(64, 3600.0)
    for _ in range(5):
        size.learned(size.batches, size.batches * 1e-4)
    assert size.batches == 64
