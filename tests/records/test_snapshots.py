from zdqn.records.snapshots import EvaluationQueue, FrozenSnapshot


def make_snapshot(number):
    return FrozenSnapshot(number, 1, 0, 0, 0, 0.0, {})


def claim_all(queue, *sessions):
    claims = [queue.claim(session) for session in sessions]
    return [claim.number if claim else None for claim in claims]


def test_each_snapshot_goes_to_one_evaluator_in_order():
    queue = EvaluationQueue(9)
    for number in range(3):
        queue.offer(make_snapshot(number))
    assert claim_all(queue, 1, 2, 3, 4) == [0, 1, 2, None]
    assert len(queue) == 3


def test_a_result_counts_once_and_only_from_who_holds_the_snapshot():
    queue = EvaluationQueue(9)
    snapshot = make_snapshot(0)
    queue.offer(snapshot)
    assert queue.complete(1, 0) is None  # nobody has claimed it
    queue.claim(1)
    assert queue.complete(2, 0) is None
    assert queue.complete(1, 7) is None
    assert queue.complete(1, 0) is snapshot
    assert queue.complete(1, 0) is None
    assert len(queue) == 0


def test_the_snapshot_of_a_dead_evaluator_is_the_next_to_go_out():
    queue = EvaluationQueue(9)
    for number in range(2):
        queue.offer(make_snapshot(number))
    queue.claim(1)
    queue.release(1)
    claimed = queue.claim(2)
    assert claimed is not None
    assert claimed.number == 0
    assert queue.complete(1, 0) is None  # it was not dead after all, but somebody else has it now
    assert queue.complete(2, 0) is not None
    assert len(queue) == 1


def test_claiming_again_hands_out_the_same_one_when_the_answer_was_lost():
    queue = EvaluationQueue(9)
    for number in range(2):
        queue.offer(make_snapshot(number))
    assert queue.claim(1) is queue.claim(1)
    second = queue.claim(2)
    assert second is not None
    assert second.number == 1
    assert len(queue) == 2


def test_the_newest_wait_and_those_that_are_dropped_for_them_are_counted():
    queue = EvaluationQueue(most_waiting=3)
    for number in range(8):
        queue.offer(make_snapshot(number))
    assert (len(queue), queue.dropped) == (3, 5)
    assert claim_all(queue, 1, 2, 3) == [5, 6, 7]


def test_what_an_evaluator_holds_is_not_dropped_not_even_when_it_dies():
    queue = EvaluationQueue(most_waiting=2)
    queue.offer(make_snapshot(0))
    queue.claim(1)
    for number in (1, 2):
        queue.offer(make_snapshot(number))
    assert claim_all(queue, 1) == [0], "its answer was lost"
    queue.release(1)
    assert (len(queue), queue.dropped) == (3, 0)
    assert claim_all(queue, 2, 3, 4) == [0, 1, 2]


def test_what_is_put_first_goes_out_before_all_that_wait():
    queue = EvaluationQueue(most_waiting=2)
    for number in (0, 1):
        queue.offer(make_snapshot(number))
    queue.offer_first(make_snapshot(2))
    assert (claim_all(queue, 1, 2, 3), queue.dropped) == ([2, 0, 1], 0)


def test_releasing_one_that_holds_nothing_changes_nothing():
    queue = EvaluationQueue(9)
    queue.offer(make_snapshot(0))
    queue.release(9)
    assert len(queue) == 1
    assert queue.claim(9) is not None
