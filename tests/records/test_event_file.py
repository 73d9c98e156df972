"""TensorBoard's files, against a reader that goes by the definition."""

import math
import os

import pytest

from tests.records.event_reader import (
    fields,
    first_step,
    read_event,
    read_file,
    records,
    slow_crc32c,
)
from zdqn.errors import FileError
from zdqn.records.event_file import (
    EventFile,
    as_record,
    crc32c,
    encode_scalars,
    encode_start,
    encode_text,
    encode_version,
)


def test_the_checksum_is_that_of_the_standard():
    assert crc32c(b"123456789") == 0xE3069283  # RFC 3720, appendix B.4, and every catalogue
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"") == 0


@pytest.mark.parametrize("data", [b"\x00", b"zdqn", bytes(range(256)) * 3])
def test_the_checksum_is_that_of_the_definition(data):
    assert crc32c(data) == slow_crc32c(data)


def test_a_record_is_its_message_between_checksums():
    assert records(as_record(b"one") + as_record(b"") + as_record(b"x" * 300)) == [
        b"one", b"", b"x" * 300,
    ]  # fmt: skip


@pytest.mark.parametrize("step", [0, 1, 127, 128, 300, 2**40])
def test_numbers_come_back(step):
    told = {"metrics/loss": 0.5, "ü": -3.0, "large": 1e300, "small": -1e300, "none": math.nan}
    wall_time_s, read_step, values = read_event(encode_scalars(1.5e9, step, told))
    assert (wall_time_s, read_step) == (1.5e9, step)
    assert math.isnan(values.pop("none"))
    assert values == {"metrics/loss": 0.5, "ü": -3.0, "large": math.inf, "small": -math.inf}


def test_a_text_comes_back():
    assert read_event(encode_text(2.0, 7, "summary", "# über\n" * 50)) == (
        2.0, 7, {"summary/text_summary": "# über\n" * 50},
    )  # fmt: skip


def test_what_another_program_writes_for_the_same_is_the_same():
    """What tensorboardX 2.6.5 writes, byte by byte."""
    assert encode_scalars(1.5e9, 300, {"metrics/loss": 0.5}).hex() == (
        "09000000c00b5ad64110ac022a150a130a0c6d6574726963732f6c6f7373150000003f"
    )
    assert encode_text(1.5e9, 300, "summary", "# hi").hex() == (
        "09000000c00b5ad64110ac022a320a300a1473756d6d6172792f746578745f73756d6d617279420e0807120412"
        "0208014204232068694a080a060a0474657874"
    )
    assert as_record(b"zdqn").hex() == "0400000000000000424552047a64716e0a85a93f"
    assert fields(encode_version(1.0)) == {1: [1.0], 3: [b"brain.Event:2"]}


def test_a_session_begins_as_tensorboard_itself_writes_it():
    """What tensorboard 2.21.0 makes of ``session_log`` with ``status`` START, byte by byte."""
    assert encode_start(1.5e9, 300).hex() == "09000000c00b5ad64110ac023a020801"


def test_files_of_two_starts_have_two_names(tmp_path):
    one, other = EventFile(tmp_path, 1.0), EventFile(tmp_path, 2.0, first_step=9)
    assert one.path != other.path
    one.add(encode_scalars(3.0, 4, {"loss": 5.0}))
    assert read_file(one.path) == [(3.0, 4, {"loss": 5.0})]
    assert read_file(other.path) == []
    assert (first_step(one.path), first_step(other.path)) == (0, 9)


def test_an_event_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    file = EventFile(tmp_path, 1.0)
    before, write = file.path.read_bytes(), os.write
    room = [10]

    def write_some(descriptor, data):
        if not room[0]:
            raise OSError(28, "No space left on device")
        written = write(descriptor, data[: room[0]])
        room[0] -= written
        return written

    monkeypatch.setattr("os.write", write_some)
    with pytest.raises(FileError, match=r"tfevents.*: No space left on device"):
        file.add(encode_scalars(3.0, 4, {"loss": 5.0}))
    monkeypatch.setattr("os.write", write)
    assert file.path.read_bytes() == before
    file.add(encode_scalars(3.0, 4, {"loss": 5.0}))
    assert len(read_file(file.path)) == 1


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileError, match=r"Cannot write .*nowhere"):
        EventFile(tmp_path / "nowhere", 1.0)
