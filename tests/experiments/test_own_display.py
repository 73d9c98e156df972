import pytest

from zdqn.experiments.own_display import has_display


@pytest.mark.parametrize(
    ("display", "wayland", "platform", "there"),
    [
        ("", "", "linux", False),
        (":0", "", "linux", True),
        ("", "wayland-0", "linux", True),
        ("", "", "darwin", True),
    ],
)
def test_a_display_is_where_the_system_says_so(monkeypatch, display, wayland, platform, there):
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.setenv("WAYLAND_DISPLAY", wayland)
    assert has_display() is there
