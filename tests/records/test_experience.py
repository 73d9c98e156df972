"""Experience that exists already: what is read of it, and what is refused."""

import io
import zipfile

import numpy as np
import pytest

from zdqn.data import EnvironmentSpec, LoggedEpisode
from zdqn.errors import FileError, UsageError
from zdqn.records.experience import (
    ArrayExperience,
    check_experience,
    open_experience,
    read_npz,
)

SPEC = EnvironmentSpec((2,), "float32", 3)


def steps(ends="...T..C", **changes):
    """Steps of a small world: `T` terminates, `C` truncates; observations count on."""
    count = len(ends)
    arrays = {
        "observations": np.arange(2 * count, dtype=np.float32).reshape(count, 2),
        "actions": np.arange(count) % 3,
        "rewards": np.linspace(-1, 1, count),
        "terminated": np.array([letter == "T" for letter in ends], np.bool_),
        "truncated": np.array([letter == "C" for letter in ends], np.bool_),
        **changes,
    }
    return {name: array for name, array in arrays.items() if array is not None}


def follow(arrays):
    """Give next observations that fit; at an end one that stands nowhere else."""
    ends = arrays["terminated"] | arrays["truncated"]
    following = np.roll(arrays["observations"], -1, axis=0)
    following[ends] = 1000 + np.arange(ends.sum())[:, np.newaxis]
    following[-1] = 2000
    return following


def told(experience):
    return [
        (episode.observations.tolist(), episode.actions.tolist(), episode.terminated)
        for episode in experience.episodes()
    ]


def slowly(arrays):
    """Give the same by walking through the steps one by one."""
    episodes, begin = [], 0
    observations, final = arrays["observations"], list(arrays.get("final_observations", []))
    for step in range(len(observations)):
        over = arrays["terminated"][step] or arrays["truncated"][step]
        if not over and step + 1 < len(observations):
            continue
        terminated = bool(arrays["terminated"][step])
        seen, count = [row.tolist() for row in observations[begin : step + 1]], step + 1 - begin
        if "next_observations" in arrays:
            seen.append(arrays["next_observations"][step].tolist())
        elif "final_observations" in arrays:
            seen.append(final.pop(0).tolist())
        elif terminated:
            seen.append(seen[-1])
        else:
            count -= 1
        if count:
            actions = arrays["actions"][begin : begin + count].tolist()
            episodes.append((seen, actions, terminated))
        begin = step + 1
    return episodes


ENDS = ["...T..C", "T", "C", "..", "TTT", "CCC", "T.C..", ".....T", "..C.T."]


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("last", ["none", "next", "final"])
def test_steps_become_the_episodes_that_a_walk_through_them_finds(ends, last):
    arrays = steps(ends)
    if last == "next":
        arrays["next_observations"] = follow(arrays)
    if last == "final":
        count = len(slowly(steps(ends.replace(".", "."), next_observations=follow(arrays))))
        arrays["final_observations"] = 500 + np.arange(2 * count, dtype="f4").reshape(count, 2)
    experience = ArrayExperience(arrays, "data")
    assert told(experience) == slowly(arrays) == told(experience)
    kept = sum(len(actions) for _, actions, _ in slowly(arrays))
    assert experience.steps == len(ends)
    assert experience.left_out == len(ends) - kept


def test_without_a_last_observation_only_steps_that_bootstrap_are_left_out():
    assert ArrayExperience(steps("..T"), "data").left_out == 0
    assert ArrayExperience(steps("..C"), "data").left_out == 1
    assert ArrayExperience(steps("..T.."), "data").left_out == 1  # the end of the arrays
    arrays = steps("..C", final_observations=np.zeros((1, 2), np.float32))
    assert ArrayExperience(arrays, "data").left_out == 0


def next_to(arrays, **changes):
    return {**arrays, "next_observations": follow(arrays), **changes}


BROKEN = follow(steps())
BROKEN[1] += 1


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (steps(actions=None), 'no array "actions"'),
        (steps(terminated=None, dones=np.zeros(7, np.bool_)), '"terminated".*has dones instead'),
        (steps(reward=np.zeros(7)), 'an array "reward".*"rewards"'),
        (next_to(steps(), final_observations=np.zeros((2, 2), "f4")), "both"),
        (steps(rewards=np.zeros(6)), r"rewards has the shape \(6,\).*7 actions"),
        (steps(actions=np.zeros((7, 1), int)), r"actions has the shape \(7, 1\)"),
        (steps(observations=np.zeros((8, 2), "f4")), r"observations has the shape \(8, 2\)"),
        (steps(terminated=np.zeros(7)), r"terminated has the dtype float64.*astype\(bool\)"),
        (steps(final_observations=np.zeros((3, 2), "f4")), "3 final_observations, but 2 episodes"),
        (steps(final_observations=np.zeros((2, 3), "f4")), r"final_observations are.*\(3,\)"),
        (next_to(steps(), next_observations=BROKEN), r"next_observations\[1\] is not"),
    ],
)
def test_arrays_that_do_not_fit_each_other_are_refused(arrays, words):
    with pytest.raises(UsageError, match=words) as error:
        ArrayExperience(arrays, "some.npz")
    assert "some.npz" in str(error.value)


def changed(key, place, value, dtype=None):
    arrays = steps("...T..T")
    arrays[key] = arrays[key].astype(dtype or arrays[key].dtype)
    arrays[key][place] = value
    return arrays


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (changed("observations", 5, np.nan), "episode 1 has an observation that is not finite"),
        (changed("observations", 0, np.inf), "episode 0 has an observation that is not finite"),
        (changed("rewards", 2, np.nan), "episode 0 has a reward that is not finite"),
        (changed("rewards", 4, 1e31), "episode 1 has a reward"),
        (changed("actions", 6, 3), "episode 1 has the action 3 at its step 2.*from 0 to 2"),
        (changed("actions", 0, -1), "the action -1 at its step 0"),
        (changed("actions", 0, 1, np.float64), "actions of dtype float64"),
        (changed("observations", 0, 1, np.float64), "float64.*float32.*Nothing is cast"),
        (steps("T", observations=np.zeros((1, 4), "f4")), r"shape \(4,\).*\(2,\)"),
        (steps("C"), "holds no step that makes a transition"),
        (steps(""), "holds no step"),
    ],
)
def test_what_does_not_fit_the_environment_is_refused(arrays, words):
    with pytest.raises(UsageError, match=words) as error:
        check_experience(ArrayExperience(arrays, "some.npz"), SPEC)
    assert "some.npz" in str(error.value)


def test_what_fits_is_counted():
    assert check_experience(ArrayExperience(steps("...T..C"), "data"), SPEC) == 6


def test_where_a_run_has_masks_steps_without_any_are_refused_in_words():
    masked = EnvironmentSpec((2,), "float32", 3, action_masks=True)
    with pytest.raises(
        UsageError, match=r"data has no masks.*environment\.action_masks.*Agent\.log"
    ):
        check_experience(ArrayExperience(steps("...T..C"), "data"), masked)


def test_a_file_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, **steps())
    assert told(open_experience(str(path))) == told(ArrayExperience(steps(), "data"))
    np.savez_compressed(path, **steps())
    assert told(read_npz(path)) == told(ArrayExperience(steps(), "data"))


def test_nothing_in_a_file_is_executed(tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, **steps(), payload=np.array([print], dtype=object))
    with pytest.raises(FileError, match="plain arrays"):
        read_npz(path)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04broken"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, content):
    path = tmp_path / "data.npz"
    with pytest.raises(FileError, match=r"data\.npz"):
        read_npz(path)
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"data\.npz"):
        read_npz(path)
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as file:
        file.writestr("observations.npy", b"none")
    path.write_bytes(whole.getvalue())
    with pytest.raises(FileError, match=r"data\.npz"):
        read_npz(path)
    np.save(tmp_path / "one.npy", np.zeros(3))
    path.write_bytes((tmp_path / "one.npy").read_bytes())
    with pytest.raises(FileError, match=r"data\.npz"):
        read_npz(path)


def test_an_episode_counts_its_steps():
    episode = LoggedEpisode(np.zeros((3, 1)), np.zeros(2, int), np.zeros(2), terminated=True)
    assert len(episode) == 2


def write_parts(path, compression=zipfile.ZIP_STORED, **parts):
    """Write a .npz file of parts as they are given."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in parts.items():
            archive.writestr(f"{name}.npy", data)
    return path


def header_of(shape):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )
    return buffer.getvalue()


@pytest.mark.parametrize("how", ["a shape", "a header", "a method", "a password", "its packing"])
def test_a_file_that_was_made_to_break_its_reader_is_refused_in_words(tmp_path, how):
    path = tmp_path / "hostile.npz"
    if how == "a shape":
        write_parts(path, actions=header_of((2**60,)))
    elif how == "a header":
        write_parts(path, actions=b"\x93NUMPY\x01\x00\x76\x00" + b"[" * 118)
    else:
        write_parts(path, zipfile.ZIP_DEFLATED, actions=header_of((500,)) + bytes(range(200)) * 10)
        data = bytearray(path.read_bytes())
        central = data.rfind(b"PK\x01\x02")
        if how == "a method":
            data[central + 10] = data[8] = 99
        elif how == "a password":
            data[central + 8] = data[6] = 1
        else:
            data[50:80] = b"\xff" * 30
        path.write_bytes(data)
    with pytest.raises(FileError, match=r"Cannot read .*hostile\.npz"):
        read_npz(path)


def test_a_small_file_that_unpacks_to_more_than_there_is_room_for_is_not_unpacked(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("os.sysconf", lambda name: 1_000 if name == "SC_PHYS_PAGES" else 10)
    path = write_parts(tmp_path / "a.npz", zipfile.ZIP_DEFLATED, actions=bytes(100_000))
    assert path.stat().st_size < 10_000
    with pytest.raises(FileError, match=r"unpacks to 100,000 bytes.*10,000 bytes of memory"):
        read_npz(path)
