"""What a script on a machine answers, read from the pipes of a real process."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given, settings, strategies as st

from edgeshrink_targets.shell.channel import Channel, Lost, Silent, TooMuch
from edgeshrink_targets.shell.connection import printable
from edgeshrink_targets.shell.lock import Owner
from edgeshrink_targets.shell.remote import start_client

NONCE = "0123456789abcdef"
# Line ends, and what almost is a mark, are what could be mistaken.
PIECES = st.lists(
    st.one_of(
        st.binary(max_size=20), st.sampled_from([b"\n", b"\n\n", f"\n{NONCE[:-1]}".encode()])
    ),
    max_size=12,
)


@contextlib.contextmanager
def channel(*blocks):
    """Yield a channel whose script answers with blocks, one by one."""
    process = start_client(["cat"], feed=True)
    one = Channel(process, NONCE)
    try:
        for block in blocks:
            process.stdin.write(block)
            process.stdin.flush()
        process.stdin.close()
        yield one
    finally:
        one.close()


def mark(words):
    return f"\n{NONCE} {words}\n".encode()


def soon():
    return time.monotonic() + 10


@given(greeting=PIECES, pieces=PIECES, errors=st.binary(max_size=50))
@settings(max_examples=60)
def test_an_output_comes_back_byte_for_byte_and_line_by_line(greeting, pieces, errors):
    output = b"".join(pieces)
    lines = []
    whole = [*greeting, mark("begin"), *pieces, mark("exit 7"), errors, mark("over")]
    with channel(*whole) as one:
        assert one.words(soon()) == "begin"
        assert one.until_mark(soon(), most=1000, watch=lines.append) == output
        assert one.rest_of_mark(soon()) == "exit 7"
        assert one.until_mark(soon(), most=1000) == errors
    wanted = output.split(b"\n")
    if not wanted[-1]:
        wanted.pop()  # a line end is no line of its own
    assert lines == [line.decode("utf-8", "replace") for line in wanted]


@given(cut=st.integers(0, 40))
@settings(max_examples=20)
def test_an_answer_that_is_cut_anywhere_is_lost(cut):
    whole = mark("begin") + b"output" + mark("exit 0")

    def read(one):
        one.words(soon())
        one.until_mark(soon(), most=1000)
        one.rest_of_mark(soon())

    with channel(whole[: min(cut, len(whole) - 1)]) as one, pytest.raises(Lost):
        read(one)


def test_more_than_there_is_room_for_is_refused():
    with channel(mark("begin"), b"x" * 1001, mark("exit 0")) as one:
        one.words(soon())
        with pytest.raises(TooMuch):
            one.until_mark(soon(), most=1000)


def test_the_time_is_over_when_nothing_comes():
    process = start_client(["sleep", "60"])
    one = Channel(process, NONCE)
    try:
        with pytest.raises(Silent):
            one.words(time.monotonic() + 0.05)
    finally:
        one.close()
    assert process.returncode is not None


@given(st.text())
def test_what_a_stranger_says_is_shown_in_one_line_of_bounded_length(text):
    shown = printable(text, most=50)
    assert shown.isprintable()
    assert len(shown) <= 50


@given(st.text())
def test_a_line_of_a_lock_is_an_owner_or_nothing(line):
    owner = Owner.parse(line)
    assert owner is None or owner.line == line


def test_an_owner_is_gone_once_this_process_has_dropped_its_lock():
    owner = Owner.me("ab12")
    assert Owner.parse(owner.line) == owner
    owner.hold()
    assert not owner.is_gone()
    owner.drop()
    assert owner.is_gone()


def test_an_owner_on_another_host_is_never_known_to_be_gone():
    me = Owner.me("ab12")
    assert not Owner(me.token, "mary@lab", me.host, me.pid, me.since).is_gone()
