"""What users write becomes words of a shell: checked by a shell."""

import subprocess

import pytest

from zdqn.launch.shell_words import SETUP_FAILED, setup_line, shell_path

ODD = 'a b\'s $(touch pwned) `touch pwned`; "x" \\ *\nnext'


def shell(script, **environment):
    return subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=30, env=environment
    )


@pytest.mark.parametrize("path", [ODD, "plain/path", "-rf"])
def test_a_path_is_one_word(path):
    assert shell(f"printf %s {shell_path(path)}").stdout == path


@pytest.mark.parametrize(("path", "meant"), [("~/a b", "/home/x/a b"), ("~/", "/home/x")])
def test_home_is_that_of_whoever_runs_it(path, meant):
    assert shell(f"printf %s {shell_path(path)}", HOME="/home/x").stdout == meant


def test_setup_lines_change_the_shell_that_goes_on():
    lines = [setup_line("x=1; cd /"), setup_line("export y=$x # a comment")]
    assert shell("\n".join([*lines, "echo $y $PWD"])).stdout == "1 /\n"


@pytest.mark.parametrize("line", ["", "  ", "# a comment", "  # another"])
def test_one_that_does_nothing_is_no_mistake(line):
    assert shell(setup_line(line) + "\necho on").stdout == "on\n"


def test_one_that_fails_ends_the_script_and_is_named():
    done = shell(setup_line("echo 'it is' && false") + "\necho on")
    assert (done.returncode, done.stdout) == (SETUP_FAILED, "it is\n")
    assert done.stderr == "setup failed: echo 'it is' && false\n"
