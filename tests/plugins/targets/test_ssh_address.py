"""Addresses of ssh machines, and what ssh's own words come to, without any ssh."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, strategies as st

from edgeshrink.api import UsageError
from edgeshrink_targets.ssh.address import Address
from edgeshrink_targets.ssh.trouble import explain


@pytest.mark.parametrize(
    ("text", "address", "words"),
    [
        ("ssh:pi", Address("pi"), ["--", "pi"]),
        ("ssh://pi", Address("pi"), ["--", "pi"]),
        ("ssh://me@10.0.0.7", Address("10.0.0.7", "me"), ["-l", "me", "--", "10.0.0.7"]),
        ("ssh://lab.example.org:22", Address("lab.example.org", "", 22), None),
        ("ssh://me@[fe80::1%eth0]:2222", Address("fe80::1%eth0", "me", 2222), None),
        ("ssh://[::1]", Address("::1"), ["--", "::1"]),
    ],
)
def test_an_address_is_read(text, address, words):
    assert Address.parse(text) == address
    assert words is None or address.words == words


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("pi", "begins with ssh:"),
        ("adb:pi", "begins with ssh:"),
        ("ssh://", "names a host"),
        ("ssh:", "names a host"),
        ("ssh://@pi", "names a host"),
        ("ssh://pi:secret@host", "holds no password"),
        ("ssh://-oProxyCommand=id", "names a host"),
        ("ssh://-oProxyCommand", "does not begin with '-'"),
        ("ssh://-l@host", "names a host"),
        ("ssh://$(id)", "names a host"),
        ("ssh://pi;id", "names a host"),
        ("ssh://pi/home", "names a host"),
        ("ssh://pi?x=1", "names a host"),
        ("ssh://pi#x", "names a host"),
        ("ssh://a b", "names a host"),
        ("ssh://::1", "names a host"),
        ("ssh://pi:", "names a host"),
        ("ssh://pi:0", "from 1 to 65535; received 0"),
        ("ssh://pi:65536", "from 1 to 65535"),
        ("ssh://pi:" + "9" * 200, "from 1 to 65535"),
        ("ssh://pi\n", "no control characters"),
        ("ssh://pi\x1b[2J", "no control characters"),
        ("ssh://" + "a" * 400, "is short"),
    ],
)
def test_what_is_no_address_is_refused(text, why):
    with pytest.raises(UsageError, match=re.escape(why)) as caught:
        Address.parse(text)
    assert str(caught.value).isprintable()
    assert caught.value.hint


def test_a_password_is_not_repeated():
    with pytest.raises(UsageError) as caught:
        Address.parse("ssh://pi:secret@host")
    assert "secret" not in f"{caught.value} {caught.value.hint}"


@given(st.text(max_size=40), st.sampled_from(["ssh:", "ssh://", "ssh://a@", ""]))
def test_an_address_is_either_refused_or_safe(text, prefix):
    try:
        address = Address.parse(prefix + text)
    except UsageError:
        return
    assert not address.host.startswith("-")
    assert not address.user.startswith("-")
    assert not re.search(r"[\s;&|$`'\"\\<>(){}*?!#/@]", address.host + address.user)
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize(
    ("words", "fact"),
    [
        ("ssh: connect to host 10.0.0.7 port 22: Connection refused", "refuses connections"),
        ("ssh: connect to host pi port 22: No route to host", "is not in this network"),
        ("ssh: connect to host pi port 22: Network is unreachable", "is not in this network"),
        ("ssh: connect to host pi port 22: Connection timed out", "does not answer"),
        ("ssh: connect to host pi port 22: Operation timed out", "does not answer"),
        ("Connection timed out during banner exchange", "does not speak ssh"),
        ("kex_exchange_identification: Connection closed by remote host", "was cut"),
        ("me@pi: Permission denied (publickey,password).", "accepts none of your keys"),
        ("Timeout, server pi not responding.", "no sign of life"),
        ("No ED25519 host key is known for pi\r\nHost key verification failed.", "not known here"),
        ("something new", "cannot be used: something new"),
        ("", "its answer ended early, and ssh with 255"),
    ],
)
def test_the_words_of_ssh_become_a_sentence_with_a_hint(words, fact):
    error = explain("ssh://pi", "pi", words, 255)
    assert str(error).startswith("ssh://pi ")
    assert fact in str(error)
    assert error.hint


@given(st.text())
def test_no_words_of_ssh_are_shown_raw_or_at_length(words):
    error = explain("ssh://pi", "pi", words, 255)
    assert str(error).isprintable()
    assert len(str(error)) < 500
