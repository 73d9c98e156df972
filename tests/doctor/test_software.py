import pytest
import torch

from zdqn.config import Config
from zdqn.doctor import Verdict, software


def by_subject(config=None):
    return {finding.subject: finding for finding in software.examine_software(config)}


def test_what_is_installed_is_named():
    found = by_subject()
    assert torch.__version__ in found["packages"].text
    assert found["libzmq"].text.endswith("with CURVE")


def test_an_old_libzmq_is_odd(monkeypatch):
    monkeypatch.setattr(software, "LIBZMQ", (4, 3, 2))
    assert by_subject()["libzmq"].verdict is Verdict.ODD
    monkeypatch.setattr(software, "LIBZMQ", (4, 3, 3))
    assert by_subject()["libzmq"].verdict is Verdict.GOOD


def test_a_libzmq_without_curve_is_odd(monkeypatch):
    monkeypatch.setattr(software, "has_curve", lambda: False)
    assert "without CURVE" in by_subject()["libzmq"].text


@pytest.mark.parametrize(
    ("wanted", "verdict"), [(True, Verdict.BAD), ("auto", Verdict.ODD), (False, Verdict.GOOD)]
)
def test_no_compiler_is_as_bad_as_the_configuration_wants_one(monkeypatch, wanted, verdict):
    monkeypatch.setattr(software, "find_cpp_compiler", lambda: None)
    found = by_subject(Config().replace("learner.compile", wanted))["C++ compiler"]
    assert found.verdict is verdict


def test_no_gpu_is_bad_if_one_is_wanted(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert by_subject()["GPU"].verdict is Verdict.GOOD
    found = by_subject(Config().replace("learner.device", "cuda"))["GPU"]
    assert (found.verdict, found.exit_code) == (Verdict.BAD, 78)


def test_a_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(software, "_PACKAGES", ("numpy", "no-such-package"))
    found = by_subject()["packages"]
    assert found.verdict is Verdict.BAD
    assert "no-such-package" in found.text
