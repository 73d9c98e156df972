"""YAML that a person reads, and every parser alike: PyYAML is one of version 1.1, as kubectl is."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from zdqn.launch.kubernetes.yaml_text import to_yaml

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
LINES = st.lists(st.text("ab #:-'\"|>\t\n", max_size=6), max_size=5).map("\n".join)
VALUES = st.recursive(
    st.one_of(TEXT, LINES, st.integers(), st.booleans()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=12,
)


@given(st.dictionaries(TEXT, VALUES, max_size=4))
def test_whatever_is_written_is_read_again(document):
    assert (yaml.safe_load(to_yaml(document)) or {}) == document


ODD = [
    "", " ", "yes", "No", "ON", "y", "null", "~", "true", "1", "1e3", "0x1f", "012", "1:30", "1Gi",
    "2026-01-01", "a: b", "a #b", "- a", "*a", "&a", "!a", "%a", "@a", "`a", "a\nb", "a\nb\n",
    "\ta", "a\\b", 'a"b', "a'b", "é", "\x7f", "\u2028", "{a}", "[a]", "=", "<<", ".inf", "$(A)",
    "---", "...", "?", ": ", "#",
]  # fmt: skip


@pytest.mark.parametrize("text", ODD)
def test_text_stays_text_as_a_value_and_as_a_key(text):
    document = {"value": text, "list": [text], text: {"in": text}}
    assert yaml.safe_load(to_yaml(document)) == document


def test_it_reads_like_what_a_person_writes():
    document = {
        "kind": "Service",
        "labels": {"app.kubernetes.io/name": "zdqn", "odd": "yes"},
        "ports": [{"name": "a", "port": 5556}, {"name": "b", "port": 5555}],
        "args": ["memory", "/config/run.toml", "tcp://x:1"],
        "text": "[run]\n\nseed = 1\n",
        "nothing": {},
        "none": [],
        "on": True,
    }
    assert (
        to_yaml(document, "What it is.\n\nAnd why.")
        == """\
# What it is.
#
# And why.
kind: Service
labels:
  app.kubernetes.io/name: zdqn
  odd: "yes"
ports:
  - name: a
    port: 5556
  - name: b
    port: 5555
args:
  - memory
  - /config/run.toml
  - "tcp://x:1"
text: |
  [run]

  seed = 1
nothing: {}
none: []
"on": true
"""
    )
