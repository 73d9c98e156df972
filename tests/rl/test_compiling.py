"""What is compiled, and how often; PyTorch traces it here and then runs it as it is."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from zdqn.errors import ConfigError
from zdqn.rl.compiling import compile_method

# PyTorch's own: its compiler calls what it deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")

ONES = torch.ones(2)


class Line:
    """A function with a setting and a tensor of its own."""

    def __init__(self, kind: str, offset: float = 0.0) -> None:
        self.kind = kind
        self.offset = torch.full((2,), offset)

    def at(self, x: Tensor) -> Tensor:
        if self.kind == "double":
            return 2 * x + self.offset
        return x + self.offset

    def sum(self, x: Tensor, y: Tensor | None) -> Tensor:
        return x if y is None else x + y


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Leaves out the slow half of the compiler; the graphs that it was given."""
    made: list[Any] = []
    compiler = torch.compile

    def keep(graph: Any, _: Any, **__: Any) -> Any:
        made.append(graph)
        return graph.forward

    def compile_quickly(method: Any, *, fullgraph: bool, options: dict[str, Any]) -> Any:
        return compiler(method, fullgraph=fullgraph, options=options, backend=keep)

    torch._dynamo.reset()
    monkeypatch.setattr("torch.compile", compile_quickly)
    return made


def test_it_gives_what_the_method_gives_and_is_compiled_once(graphs: list[Any]) -> None:
    line = Line("double", 1)
    compiled = compile_method(line.at)
    assert graphs == []
    for value in (1.0, 5.0, -3.0):
        assert torch.equal(compiled(value * ONES), line.at(value * ONES))
    assert len(graphs) == 1


def test_each_object_has_graphs_of_its_own_however_many_there_are(graphs: list[Any]) -> None:
    lines = [Line("double" if number % 2 else "plain", number) for number in range(12)]
    for line in lines:
        assert torch.equal(compile_method(line.at)(ONES), line.at(ONES))
    assert len(graphs) == 12


def test_tensors_that_hang_on_the_object_are_read_in_every_call(graphs: list[Any]) -> None:
    line = Line("plain")
    compiled = compile_method(line.at)
    assert compiled(ONES).tolist() == [1, 1]
    line.offset.fill_(3)
    assert compiled(ONES).tolist() == [4, 4]
    assert len(graphs) == 1


def test_settings_are_those_of_the_first_call(graphs: list[Any]) -> None:
    line = Line("double")
    compiled = compile_method(line.at)
    assert compiled(ONES).tolist() == [2, 2]
    line.kind = "plain"
    assert compiled(ONES).tolist() == [2, 2]
    assert len(graphs) == 1


def test_arguments_of_another_kind_are_compiled_for_themselves(graphs: list[Any]) -> None:
    compiled = compile_method(Line("plain").sum)
    assert compiled(ONES, ONES).tolist() == [2, 2]
    assert compiled(ONES, None).tolist() == [1, 1]
    assert compiled(ONES.double(), 2 * ONES.double()).tolist() == [3, 3]
    assert compiled(torch.ones(3), torch.ones(3)).tolist() == [2, 2, 2]
    assert compiled(ONES, ONES).tolist() == [2, 2]


def test_a_method_that_is_no_single_graph_is_refused(graphs: list[Any]) -> None:
    class Looking(Line):
        def at(self, x: Tensor) -> Tensor:
            return x if float(x.sum()) > 0 else -x

    with pytest.raises(ConfigError, match=r"learner\.compile = true does not work"):
        compile_method(Looking("plain").at)(ONES)
    assert graphs == []


# --- where nothing can be compiled ----------------------------------------------------------------


def broken(monkeypatch: pytest.MonkeyPatch, *outcomes: Tensor | Exception) -> Callable[..., Any]:
    """Compile where the compiled method does one thing after the other."""
    left = list(outcomes)

    def call(*_: Any) -> Tensor:
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr("torch.compile", lambda *_, **__: call)
    return compile_method(Line("plain").at)


def test_the_reason_and_the_ways_out_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    cause = RuntimeError("no compiler\n  and\tpages of text\nSet TORCHDYNAMO_VERBOSE=1 for more")
    compiled = broken(monkeypatch, cause)
    message = (
        "learner.compile = true does not work with this network on this machine (RuntimeError: no "
        "compiler and pages of text). On a CPU torch.compile needs a C++ compiler, such as g++. "
        "Install one, or set learner.compile = false."
    )
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$") as caught:
        compiled(ONES)
    assert caught.value.__cause__ is cause


def test_a_long_reason_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = broken(monkeypatch, RuntimeError("x" * 10_000))
    with pytest.raises(ConfigError, match=rf"machine \(RuntimeError: {'x' * 286}\)\. On a CPU"):
        compiled(ONES)


def test_it_may_be_tried_again_and_is_refused_again(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = broken(monkeypatch, RuntimeError("one"), RuntimeError("two"))
    for reason in ("one", "two"):
        with pytest.raises(ConfigError, match=rf"\(RuntimeError: {reason}\)"):
            compiled(ONES)


def test_what_fails_after_a_success_is_not_the_compilers_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cause = RuntimeError("out of memory")
    compiled = broken(monkeypatch, ONES, cause)
    assert compiled(ONES) is ONES
    with pytest.raises(RuntimeError, match=r"^out of memory$") as caught:
        compiled(ONES)
    assert caught.value is cause
