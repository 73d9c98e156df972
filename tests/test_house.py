"""The house's rules over the tree of zdqn/, as far as a program can hold them."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "zdqn").rglob("*.py"))

MOST_LINES = 400
MOST_METHODS = 20
BANNED_NAMES = {"utils", "util", "common", "helpers", "helper", "base", "manager"}

SOCKET_MAKER = "zdqn/wire/node.py"
LINKS = {
    "Client",
    "PipelinedClient",
    "Server",
    "TransitionReceiver",
    "TransitionSender",
    "WeightPublisher",
    "WeightSubscriber",
}
"""Classes of `zdqn.wire` that open a socket when they are made."""

TESTED_ELSEWHERE = {
    "zdqn/benchmarks/sb3_script.py": "needs stable-baselines3; what reads its answers is tested",
    "zdqn/config/cluster_sections.py": "keys alone: tests/launch/cluster/test_cluster_file.py",
    "zdqn/config/kubernetes_sections.py": "keys alone: launch/kubernetes/test_kubernetes_plan.py",
    "zdqn/config/learning_sections.py": "keys alone: tests/config/test_section.py, test_loading.py",
    "zdqn/config/run_sections.py": "keys alone: tests/config/test_section.py, test_loading.py",
    "zdqn/config/slurm_sections.py": "keys alone: tests/launch/slurm/test_slurm_plan.py",
    "zdqn/config/study_sections.py": "keys alone: tests/experiments/studies/test_study_plan.py",
    "zdqn/experiments/dashboard/seen.py": "values alone: test_page_state.py, test_observer.py",
    "zdqn/records/sinks.py": "a protocol alone: tests/records/test_recorder.py",
    "zdqn/roles/agent/agent_status.py": "numbers alone: tests/roles/agent/test_agent.py",
    "zdqn/wire/client_config.py": "structs alone: tests/roles/test_client_settings.py",
    "zdqn/wire/desk_host.py": "a protocol alone: tests/wire/test_desk.py",
    "zdqn/wire/field_types.py": "types alone: test_protocol_document.py, test_protocol.py",
    "zdqn/wire/memory_messages.py": "structs alone: test_protocol_document.py, test_codec.py",
    "zdqn/wire/model_messages.py": "structs alone: test_protocol_document.py, test_codec.py",
}
"""Modules that have no test file of their own, and why."""

# =================================================================================================
# WHAT STILL BREAKS A RULE. It shall become empty: nothing is added, and a test fails as long as
# something stands here that no longer breaks its rule.
# =================================================================================================
STILL_BREAKING: dict[str, set[str]] = {}


def short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def is_named(path: Path) -> bool:
    return path.name not in ("__init__.py", "__main__.py")


def named_twice() -> Iterator[str]:
    """No two files have one name."""
    homes = defaultdict(list)
    for path in filter(is_named, FILES):
        homes[path.name].append(short(path))
    return (path for paths in homes.values() if len(paths) > 1 for path in paths)


def class_named_twice() -> Iterator[str]:
    """No two public classes have one name."""
    homes = defaultdict(list)
    for path, node in classes():
        if not node.name.startswith("_"):
            homes[node.name].append(f"{short(path)}: {node.name}")
    return (place for places in homes.values() if len(places) > 1 for place in places)


def too_long() -> Iterator[str]:
    """No file outside the benchmarks has more than 400 lines."""
    for path in FILES:
        lines = path.read_text(encoding="utf-8").count("\n")
        if lines > MOST_LINES and "benchmarks" not in path.parts:
            yield short(path)


def too_many_methods() -> Iterator[str]:
    """No class has more than 20 methods, properties and private ones included."""
    for path, node in classes():
        methods = [part for part in node.body if isinstance(part, functions)]
        if len(methods) > MOST_METHODS:
            yield f"{short(path)}: {node.name}"


def unsure_of_itself() -> Iterator[str]:
    """No object asks whether it has an attribute of its own: `__init__` sets them all."""
    return (short(path) for path in FILES if "hasattr(self" in path.read_text(encoding="utf-8"))


def named_for_nothing() -> Iterator[str]:
    """No file or folder has a name that says nothing of what is in it."""
    for path in FILES:
        if BANNED_NAMES & {*path.relative_to(ROOT).parts[:-1], *path.stem.split("_")}:
            yield short(path)


def untested() -> Iterator[str]:
    """Every module has a test file at its place in tests/, or a reason for having none."""
    for path in filter(is_named, FILES):
        mirror = ROOT / "tests" / path.relative_to(ROOT / "zdqn").with_name(f"test_{path.name}")
        if not mirror.exists() and short(path) not in TESTED_ELSEWHERE:
            yield short(path)


def makes_sockets() -> Iterator[str]:
    """Nobody but a node makes sockets: it knows keys and limits, and what is to be closed."""
    for path in FILES:
        if short(path) != SOCKET_MAKER:
            calls = links_made(path.read_text(encoding="utf-8"))
            yield from (f"{short(path)}: {name}" for name in calls)


RULES = (
    named_twice,
    class_named_twice,
    too_long,
    too_many_methods,
    unsure_of_itself,
    named_for_nothing,
    untested,
    makes_sockets,
)

functions = (ast.FunctionDef, ast.AsyncFunctionDef)


def classes() -> Iterator[tuple[Path, ast.ClassDef]]:
    for path in FILES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                yield path, node


def links_made(source: str) -> set[str]:
    """Give the links that a module makes, by whatever name; other packages' are not meant."""
    nodes = list(ast.walk(ast.parse(source)))
    ours = {node.name: node.name for node in nodes if isinstance(node, ast.ClassDef)}
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            place = f"{getattr(node, 'module', '')}."
            for name in node.names:
                if f"{place}{name.name}".lstrip(".").split(".")[0] == "zdqn":
                    ours[name.asname or name.name.split(".")[0]] = name.name
    made = set()
    for call in (node.func for node in nodes if isinstance(node, ast.Call)):
        root = call
        while isinstance(root, ast.Attribute):
            root = root.value
        if isinstance(root, ast.Name) and root.id in ours:
            made.add(call.attr if isinstance(call, ast.Attribute) else ours[root.id])
    return made & LINKS


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule(rule):
    found = set(rule())
    listed = STILL_BREAKING.get(rule.__name__, set())
    assert found - listed == set(), rule.__doc__
    assert listed - found == set(), "these keep the rule now: take them out of STILL_BREAKING"


@pytest.mark.parametrize(
    ("source", "made"),
    [
        ("from zdqn.wire.request_sockets import Client\nClient(node, address)", {"Client"}),
        ("from zdqn.wire.request_sockets import Server as Desk\nDesk(node, address)", {"Server"}),
        ("from zdqn.wire import weight_sockets as w\nw.WeightPublisher(1)", {"WeightPublisher"}),
        ("import zdqn.wire.request_sockets\nzdqn.wire.request_sockets.Client(1)", {"Client"}),
        ("class Server: pass\ndef make(): return Server()", {"Server"}),
        ("import reverb\nreverb.Client('localhost')", set()),
        ("from zdqn.wire.node import Node\nNode(None).client(address)", set()),
        ("from zdqn.wire.request_sockets import Client\nmake: Client", set()),
    ],
)
def test_a_link_is_found_by_whatever_name_it_is_made(source, made):
    assert links_made(source) == made


def test_a_node_makes_every_link():
    assert links_made((ROOT / SOCKET_MAKER).read_text(encoding="utf-8")) == LINKS


def test_only_rules_are_broken():
    assert set(STILL_BREAKING) <= {rule.__name__ for rule in RULES}


@pytest.mark.parametrize("module", TESTED_ELSEWHERE)
def test_who_is_excused_exists_and_has_no_test_file(module):
    path = ROOT / module
    assert path in FILES
    mirror = ROOT / "tests" / path.relative_to(ROOT / "zdqn").with_name(f"test_{path.name}")
    assert not mirror.exists()
