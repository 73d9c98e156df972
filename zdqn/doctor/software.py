"""What is installed, and in which version."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib import metadata

from zdqn.config import Config
from zdqn.doctor.findings import Finding, bad, good, odd
from zdqn.errors import ConfigError, RoleFailedError
from zdqn.roles.compiling.loop_compiler import find_cpp_compiler
from zdqn.wire.library import GET_CURVE, LIBZMQ, OLDEST_SAFE, has_curve
from zdqn.wire.releases import own_release

_PACKAGES = ("torch", "numpy", "gymnasium", "pyzmq", "msgspec", "cloudpickle", "click")


def examine_software(config: Config | None) -> Iterator[Finding]:
    """Look at Python, the packages, libzmq, and what computes.

    Args:
        config: of the run; None: what any run needs.
    """
    yield good("zdqn", f"{own_release() or 'not installed'}, Python {platform.python_version()}")
    try:
        versions = [f"{name} {metadata.version(name)}" for name in _PACKAGES]
    except metadata.PackageNotFoundError as error:
        missing = RoleFailedError(f"The package {error.name} is missing. Install zdqn again.")
        yield bad("packages", missing)
    else:
        yield good("packages", ", ".join(versions))
    yield _libzmq()
    section = config.learner if config is not None else None
    yield _compiler(section.compile if section is not None else "auto")
    yield from _device(section.device if section is not None else "auto")


def _libzmq() -> Finding:
    version = ".".join(map(str, LIBZMQ))
    if LIBZMQ < OLDEST_SAFE:
        oldest = ".".join(map(str, OLDEST_SAFE))
        return odd(
            "libzmq",
            f"{version}: strangers can crash or starve a server that is older than {oldest}",
            "Install a newer pyzmq: its wheels bring libzmq along.",
        )
    if not has_curve():
        return odd(
            "libzmq",
            f"{version}, built without CURVE: no link can be encrypted",
            GET_CURVE,
        )
    return good("libzmq", f"{version}, with CURVE")


def _compiler(wanted: bool | str) -> Finding:
    found = find_cpp_compiler()
    if found is not None:
        return good("C++ compiler", f"{found}, for learner.compile")
    text = "none (no $CXX, no g++)"
    if wanted is True:
        error = ConfigError(f"learner.compile is true, but there is no compiler: {text}.")
        return bad("C++ compiler", error, "Install g++, or set learner.compile = false.")
    if wanted == "auto":
        return odd(
            "C++ compiler",
            f"{text}: updates are not compiled, and several times slower in long runs",
            "Install g++ on the learner's machine.",
        )
    return good("C++ compiler", f"{text}, and learner.compile is false")


def _device(wanted: str) -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        yield good("GPU", torch.cuda.get_device_name())
    elif wanted == "cuda":
        error = ConfigError('learner.device is "cuda", but PyTorch finds no GPU here.')
        remedy = 'Install PyTorch for CUDA and its driver, or set learner.device = "auto".'
        yield bad("GPU", error, remedy)
    else:
        yield good("GPU", "none; the learner computes on the CPU")
