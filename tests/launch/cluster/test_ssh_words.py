"""What it means when no agent answers."""

import pytest

from zdqn.errors import ConfigError, MismatchError, NotAllowedError, PeerUnavailableError
from zdqn.launch.cluster.ssh_words import explain_ssh
from zdqn.launch.shell_words import SETUP_FAILED


@pytest.mark.parametrize(
    ("code", "line", "kind", "words"),
    [
        (255, "Host key verification failed.", NotAllowedError, "Run `ssh me@h` once"),
        (255, "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @", NotAllowedError,
         "`ssh-keygen -R h`"),
        (255, "me@h: Permission denied (publickey).", NotAllowedError, "ssh-copy-id me@h"),
        (255, "ssh: Could not resolve hostname h: Name or service not known", PeerUnavailableError,
         "Correct the name"),
        (255, "ssh: connect to host h port 22: Connection refused", PeerUnavailableError,
         "no sshd listens"),
        (255, "ssh: connect to host h port 22: Connection timed out", PeerUnavailableError,
         "ssh -v me@h true"),
        (255, "something else", PeerUnavailableError, 'ssh failed. It said: "something else"'),
        (127, "sh: 1: python4: not found", ConfigError, "its python cannot be run"),
        (1, "No module named zdqn.launch.cluster", MismatchError, "has no zdqn, or an older"),
        (SETUP_FAILED, "setup failed: module load x", ConfigError, "setup failed: module load"),
        (3, "", PeerUnavailableError, "ended with exit code 3 before it spoke"),
    ],
)  # fmt: skip
def test_each_failure_has_a_reason_and_a_way_out(code, line, kind, words):
    error = explain_ssh("me@h", code, [line] if line else [], began=False)
    assert type(error) is kind
    assert str(error).startswith("me@h: ")
    assert words in str(error)


def test_a_connection_that_was_there_has_broken():
    error = explain_ssh("h", 255, ["client_loop: send disconnect: Broken pipe"], began=True)
    assert isinstance(error, PeerUnavailableError)
    assert 'the connection broke (exit code 255). ssh said: "client_loop' in str(error)
