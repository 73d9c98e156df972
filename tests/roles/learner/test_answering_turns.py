"""Events with their times in, turns out: who answers on the model link."""

import math

from zdqn.roles.learner.answering_turns import Turn, Turns


def made(**options):
    return Turns(short_s=0.002, round_s=0.0015, asked_lately_s=1.0, **options)


def trained(turns, *times_s):
    return [turns.trained(now_s) for now_s in times_s]


def test_at_first_the_servers_thread_answers():
    turns = made()
    assert turns.thread_serves
    assert turns.wait(0)


def test_short_updates_let_the_training_thread_answer_once_a_round():
    turns = made()
    turns.asked(10.0)
    assert trained(turns, 10.0) == [Turn.LEAVE]  # how long that one took is not known
    assert trained(turns, 10.001)[-1] is Turn.ANSWER
    assert trained(turns, 10.0015, 10.002, 10.0024, 10.0026, 10.003) == [
        Turn.ANSWER, Turn.TRAIN, Turn.TRAIN, Turn.ANSWER, Turn.TRAIN,
    ]  # fmt: skip
    assert not turns.thread_serves
    assert not turns.wait(0)


def test_a_round_of_answers_is_no_update():
    turns = made()
    turns.asked(10.0)
    assert trained(turns, 10.0, 10.001)[-1] is Turn.ANSWER
    turns.answered(10.5)
    assert turns.trained(10.501) is Turn.ANSWER


def test_long_updates_leave_answering_to_the_thread():
    turns = made()
    turns.asked(10.0)
    assert trained(turns, 10.0, 10.01, 10.02) == [Turn.LEAVE] * 3


def test_updates_that_become_long_give_it_back():
    turns = made()
    turns.asked(10.0)
    trained(turns, 10.0, 10.001)
    assert turns.trained(10.1) is Turn.LEAVE
    turns.leave()
    assert turns.thread_serves


def test_an_update_that_does_not_end_is_noticed_by_the_thread():
    turns = made()
    turns.asked(10.0)
    trained(turns, 10.0, 10.001)
    turns.take_over_if_late(10.0029)
    assert not turns.thread_serves
    turns.take_over_if_late(10.0031)
    assert turns.thread_serves


def test_nobody_asks_for_actions_and_updates_are_not_interrupted():
    turns = made()
    assert trained(turns, 0.0, 0.001) == [Turn.LEAVE] * 2
    turns.asked(0.5)
    assert trained(turns, 1.4, 1.401)[-1] is Turn.ANSWER
    assert trained(turns, 1.4995, 1.5)[-1] is Turn.LEAVE


def test_a_training_thread_that_would_wait_for_a_gpu_never_answers():
    turns = made()
    turns.keep_from_training()
    turns.asked(10.0)
    assert trained(turns, 10.0, 10.001, 10.002) == [Turn.LEAVE] * 3


def test_rounds_that_were_missed_are_not_made_up_for():
    turns = made()
    turns.asked(10.0)
    trained(turns, 10.0, 10.001)
    turns.answered(10.01)  # 6 rounds later
    assert trained(turns, 10.0101, 10.0102, 10.0103, 10.0104) == [
        Turn.ANSWER, Turn.ANSWER, Turn.TRAIN, Turn.TRAIN,
    ]  # fmt: skip


def test_several_updates_at_once_may_last_a_round_while_somebody_asks():
    turns = made()
    assert turns.patience_s(10.0) == math.inf
    turns.asked(10.0)
    assert turns.patience_s(10.9) == 0.0015
    assert turns.patience_s(11.1) == math.inf
    turns.asked(20.0)
    turns.keep_from_training()
    assert turns.patience_s(20.0) == math.inf
