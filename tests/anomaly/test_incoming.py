"""Lines from pipes and from files that grow, rotate and shrink."""

import os
import threading
import time

import pytest

from gmmaudio.anomaly import incoming
from gmmaudio.anomaly.incoming import FollowedFile, LineSplitter, Stop, pipe_lines

PATIENCE = 20.0  # seconds until a test gives up; lines come within milliseconds


@pytest.fixture
def stop():
    made = Stop()
    yield made
    made.close()


class Follower:
    """Follows a file in a thread."""

    def __init__(self, path, stop, position=None):
        self.lines, self.stop = [], stop
        self.followed = FollowedFile(path, stop, position=position, poll=0.01)
        self.position = None
        self.thread = threading.Thread(target=self._follow)
        self.thread.start()

    def _follow(self):
        for line in self.followed:
            self.lines.append(line)
            self.position = self.followed.position

    def expect(self, *lines):
        """Wait for these lines, all of them."""
        end = time.monotonic() + PATIENCE
        while len(self.lines) < len(lines) and time.monotonic() < end:
            time.sleep(0.002)
        assert self.lines == list(lines)

    def end(self):
        self.stop.ask()
        self.thread.join(PATIENCE)
        self.followed.close()
        assert not self.thread.is_alive()


@pytest.fixture
def follow(stop):
    followers = []

    def start(path, position=None):
        followers.append(Follower(path, stop, position))
        return followers[-1]

    yield start
    for follower in followers:
        follower.end()


def test_lines_are_the_same_however_the_bytes_are_cut():
    data = "a\n\nbé\nlast".encode()
    for size in (1, 2, 3, 100):
        splitter = LineSplitter()
        pieces = [piece for i in range(0, len(data), size) for piece in splitter.push(data[i : i + size])]
        pieces += splitter.flush()
        assert [line for line, _ in pieces] == ["a", "", "bé", "last"]
        assert sum(n for _, n in pieces) == len(data)


def test_a_line_that_is_too_long_is_none_and_the_next_one_is_itself(monkeypatch):
    monkeypatch.setattr(incoming, "LONGEST_LINE", 10)
    splitter = LineSplitter()
    pieces = [piece for block in (b"short\n" + b"x" * 8, b"y" * 50, b"z\nnext\n") for piece in splitter.push(block)]
    assert pieces == [("short", 6), (None, 60), ("next", 5)]


def test_a_pipe_gives_its_last_line_without_a_line_feed(stop):
    reading, writing = os.pipe()
    os.write(writing, b"1\n2")
    os.close(writing)
    assert list(pipe_lines(reading, stop)) == ["1", "2"]
    os.close(reading)


def test_a_stop_ends_a_pipe_that_is_silent(stop):
    reading, writing = os.pipe()
    threading.Timer(0.05, stop.ask).start()
    assert list(pipe_lines(reading, stop)) == []
    os.close(reading)
    os.close(writing)


def test_a_growing_file_is_followed_and_an_unfinished_line_waited_for(follow, tmp_path):
    path = tmp_path / "log"
    path.write_text("1\n2")
    follower = follow(path)
    follower.expect("1")
    with path.open("a") as file:
        file.write("3\n")
    follower.expect("1", "23")


def test_a_file_that_is_not_there_is_waited_for(follow, tmp_path):
    follower = follow(tmp_path / "log")
    (tmp_path / "log").write_text("1\n")
    follower.expect("1")


def test_a_renamed_file_is_read_to_its_end_before_the_new_one(follow, tmp_path):
    path = tmp_path / "log"
    path.write_text("1\n")
    follower = follow(path)
    follower.expect("1")
    with path.open("a") as file:
        path.rename(tmp_path / "log.1")
        file.write("2\n3")
    path.write_text("4\n")
    follower.expect("1", "2", "3", "4")


def test_a_truncated_file_is_read_from_its_start(follow, tmp_path):
    path = tmp_path / "log"
    path.write_text("first\nsecond\n")
    follower = follow(path)
    follower.expect("first", "second")
    path.write_text("3\n")
    follower.expect("first", "second", "3")


def test_a_position_goes_on_after_the_last_line_that_was_given(stop, tmp_path):
    path = tmp_path / "log"
    path.write_text("1\n2\n3\n")
    followed = FollowedFile(path, stop)
    lines = iter(followed)
    assert [next(lines), next(lines)] == ["1", "2"]
    again = FollowedFile(path, stop, position=followed.position)
    assert next(iter(again)) == "3"
    again.close()
    followed.close()


def test_a_position_finds_a_file_that_was_renamed_meanwhile(follow, stop, tmp_path):
    path = tmp_path / "log"
    path.write_text("1\n2\n")
    followed = FollowedFile(path, stop)
    assert next(iter(followed)) == "1"
    position = followed.position
    followed.close()
    path.rename(tmp_path / "log.1")
    path.write_text("3\n")
    follow(path, position).expect("2", "3")


def test_a_position_in_another_file_of_the_same_inode_is_not_believed(follow, stop, tmp_path):
    path = tmp_path / "log"
    path.write_text("1\n2\n")
    followed = FollowedFile(path, stop)
    assert next(iter(followed)) == "1"
    position = followed.position
    followed.close()
    path.write_text("9\n8\n")
    follow(path, position).expect("9", "8")
