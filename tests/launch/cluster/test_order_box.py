"""Orders from another terminal."""

import pytest

from zdqn.errors import NotAllowedError, PeerUnavailableError, UsageError
from zdqn.launch.cluster.order_box import OrderBox


@pytest.fixture
def box(tmp_path):
    made = OrderBox(tmp_path)
    made.open()
    return made


def serve(box, in_thread, error=None):
    def answer():
        orders: list[tuple[str, dict[str, object]]] = []
        while not orders:
            orders = box.take()
        for name, order in orders:
            box.answer(name, f"did {order['what']}", error)

    in_thread(answer)


def test_an_order_is_answered(box, in_thread):
    serve(box, in_thread)
    assert box.post({"order": "restart", "what": "x"}, 10) == "did x"
    assert not box.take()


def test_what_cannot_be_done_is_raised_there(box, in_thread):
    serve(box, in_thread, NotAllowedError("no"))
    with pytest.raises(NotAllowedError, match="did x"):
        box.post({"order": "restart", "what": "x"}, 10)


def test_without_a_launcher_nobody_waits(tmp_path, box):
    with pytest.raises(PeerUnavailableError, match="within 0 s"):
        box.post({"order": "restart"}, 0.01)
    box.close()
    with pytest.raises(UsageError, match="No launcher takes orders"):
        box.post({"order": "restart"}, 10)


def test_what_others_could_have_put_there_is_not_taken(tmp_path, box):
    order = tmp_path / "orders" / "a.order"
    order.write_text('{"order": "restart"}')
    order.chmod(0o644)
    assert box.take() == []
    assert not order.exists()


def test_a_folder_that_others_can_enter_is_refused(tmp_path):
    (tmp_path / "orders").mkdir(mode=0o755)
    with pytest.raises(NotAllowedError):
        OrderBox(tmp_path).open()


def test_old_orders_are_not_carried_out(tmp_path, box):
    (tmp_path / "orders" / "b.order").write_text("{}")
    box.open()
    assert box.take() == []
