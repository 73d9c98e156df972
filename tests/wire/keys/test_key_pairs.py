"""Key pairs: drawn, written as digits, never shown by mistake."""

import pytest

from zdqn.errors import NotAllowedError
from zdqn.wire.keys import key_pairs


def test_a_secret_gives_its_public_key_again():
    pair = key_pairs.generate()
    assert len(pair.public) == len(pair.secret) == 32
    assert key_pairs.from_secret(pair.secret) == pair
    assert key_pairs.generate() != pair


def test_a_pair_does_not_show_its_secret():
    pair = key_pairs.generate()
    assert pair.secret.hex() not in repr(pair)
    assert repr(pair.secret) not in repr(pair)


def test_a_key_is_64_digits():
    public = key_pairs.generate().public
    assert key_pairs.parse_key(public.hex().upper(), what="it") == public
    assert key_pairs.first_letters(public) == public.hex()[:8]


@pytest.mark.parametrize("wrong", ["", "f" * 63, "f" * 65, "g" * 64, f" {'f' * 64}"])
def test_what_is_no_key_is_refused_without_being_repeated(wrong):
    assert not key_pairs.is_key(wrong)
    with pytest.raises(NotAllowedError, match=r"x\.secret holds no key") as caught:
        key_pairs.parse_key(wrong, what="x.secret")
    assert not wrong or wrong not in str(caught.value)
