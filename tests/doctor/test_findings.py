from zdqn.doctor.findings import Finding, Verdict, bad, good, odd
from zdqn.errors import ConfigError


def test_only_what_is_bad_has_an_exit_code():
    assert good("disk", "large") == Finding("disk", Verdict.GOOD, "large", "", 0)
    assert odd("disk", "small", "Make room.") == Finding(
        "disk", Verdict.ODD, "small", "Make room.", 0
    )
    found = bad("disk", ConfigError("full"), "Make room.")
    assert found == Finding("disk", Verdict.BAD, "full", "Make room.", ConfigError.exit_code)
