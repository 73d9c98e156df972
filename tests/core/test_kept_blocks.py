"""Blocks that are kept until they are acknowledged, against a list of all of them."""

from hypothesis import given
from hypothesis import strategies as st

from zdqn.core.kept_blocks import KeptBlocks


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["keep", "send", "acknowledge", "go back", "withdraw"]),
            st.integers(0, 12),
        ),
        max_size=60,
    )
)
def test_it_is_a_part_of_the_list_of_all_blocks(events):
    kept, blocks = KeptBlocks(1000, 10**6), list[bytes]()
    reached = oldest = sent = resent = 0
    for event, number in events:
        if event == "keep":
            blocks.append(b"%d" % len(blocks))
            kept.keep(blocks[-1])
        elif event == "send" and sent < len(blocks):
            assert kept.to_send() == blocks[sent]
            kept.note_sent()
            resent += sent < reached
            sent += 1
            reached = max(reached, sent)
        elif event == "acknowledge":
            # what was never sent cannot have come
            assert kept.acknowledge(number) == (min(number, reached) > oldest)
            oldest = max(oldest, min(number, reached))
            sent = max(sent, oldest)
        elif event == "go back":
            kept.go_back()
            sent = oldest
        elif event == "withdraw":
            never_sent = reached < len(blocks)
            assert kept.withdraw() == never_sent
            if never_sent:
                blocks.pop()
        assert (kept.oldest, kept.sent, kept.end) == (oldest, sent, len(blocks))
        assert kept.to_send() == (blocks[sent] if sent < len(blocks) else None)
        assert kept.resent == resent


def half_full(blocks, message=b"1"):
    kept = KeptBlocks(4, 10)
    for _ in range(blocks):
        kept.keep(message)
    return kept.half_full


def test_it_is_full_of_blocks_or_of_bytes():
    kept, full = KeptBlocks(2, 10), []
    for message in (b"1234", b"5"):
        kept.keep(message)
        full.append(kept.full)
    kept.note_sent()
    kept.acknowledge(1)
    assert [*full, kept.full] == [False, True, False]
    assert [half_full(1), half_full(2), half_full(3)] == [False, True, True]
    assert half_full(1, b"12345")
    large = KeptBlocks(2, 10)
    large.keep(b"x" * 50)  # one is always taken
    assert large.full
