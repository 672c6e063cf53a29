from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
from hypothesis import given, strategies as st

from edgeshrink.errors import PluginError, UsageError
from edgeshrink.flag import Flag, build, options_of


@dataclass(frozen=True)
class Options:
    share: Annotated[float, Flag("A share.", min=0, below=1)]
    count: Annotated[int, Flag("A count.", above=0, max=9)] = 3
    kind: Annotated[Literal["cubic", "constant"], Flag("A kind.")] = "cubic"
    on: Annotated[bool, Flag("A switch.")] = False
    names: Annotated[tuple[str, ...], Flag("Names.")] = ()
    sizes: Annotated[tuple[int, ...], Flag("Sizes.", min=1)] = ()
    text: Annotated[str | None, Flag("A text.")] = None
    most: Annotated[int | Literal["auto"], Flag("A number, or a word.", min=1)] = "auto"


def made(**values: object) -> Options:
    return build(Options, {"share": 0.5, **values}, "thing")


def test_build_reads_every_type_from_text() -> None:
    texts = {
        "share": "0.25",
        "count": "4",
        "kind": "constant",
        "on": "yes",
        "names": "a,b",
        "sizes": "1,2",
        "text": "t",
        "most": "3",
    }
    assert build(Options, texts, "thing") == Options(
        0.25, 4, "constant", True, ("a", "b"), (1, 2), "t", 3
    )
    assert made(most="auto").most == "auto"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"share": 1.0}, "thing: share must be a number at least 0 and below 1; received 1.0"),
        ({"share": "1.5"}, "thing: share must be a number at least 0 and below 1; received 1.5"),
        ({"share": math.nan}, "thing: share must be a number at least 0 and below 1; received nan"),
        ({"share": "inf"}, "thing: share must be a number at least 0 and below 1; received inf"),
        ({"share": True}, "thing: share must be a number at least 0 and below 1; received True"),
        ({"share": None}, "thing: share must be a number at least 0 and below 1; received None"),
        ({"count": 0}, "thing: count must be a whole number above 0 and at most 9; received 0"),
        ({"count": 2.5}, "thing: count must be a whole number above 0 and at most 9; received 2.5"),
        ({"count": "x"}, "thing: count must be a whole number above 0 and at most 9; received 'x'"),
        ({"kind": "cubi"}, "thing: kind must be one of cubic, constant; received 'cubi'"),
        ({"on": "maybe"}, "thing: on must be true or false; received 'maybe'"),
        ({"on": 1}, "thing: on must be true or false; received 1"),
        ({"names": 7}, "thing: names must be a list; received 7"),
        ({"sizes": [1, 0]}, "thing: sizes must be a whole number at least 1; received 0"),
        ({"text": 7}, "thing: text must be text; received 7"),
        ({"most": 0}, "thing: most must be a whole number at least 1 or auto; received 0"),
        ({"most": "all"}, "thing: most must be a whole number at least 1 or auto; received 'all'"),
        ({"shar": 0.5}, "thing has no option 'shar'"),
    ],
)
def test_build_refuses_in_one_sentence(values: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        made(**values)
    assert str(caught.value) == message


def test_build_offers_near_matches() -> None:
    with pytest.raises(UsageError) as caught:
        made(kind="konstant")
    assert caught.value.hint == "did you mean 'constant'?"
    with pytest.raises(UsageError) as caught:
        made(shar=1)
    assert caught.value.hint == "did you mean 'share'?"


def test_build_names_the_value_that_is_missing() -> None:
    with pytest.raises(UsageError, match="thing needs a value: A share"):
        build(Options, {}, "thing")


@given(st.floats(min_value=0, max_value=1, exclude_max=True, allow_subnormal=False))
def test_a_number_is_the_same_from_its_text(share: float) -> None:
    assert made(share=str(share)) == made(share=share)


@given(st.one_of(st.floats(), st.integers(), st.text(max_size=8), st.none(), st.booleans()))
def test_build_gives_a_number_within_its_bounds_or_a_usage_error(value: object) -> None:
    try:
        share = made(share=value).share
    except UsageError:
        return
    assert 0 <= share < 1


@given(st.integers())
def test_whole_numbers_of_any_size_are_bounded(value: int) -> None:
    if 0 < value <= 9:
        assert made(count=str(value)).count == value
    else:
        with pytest.raises(UsageError):
            made(count=str(value))


def test_a_field_without_a_flag_is_refused_by_name() -> None:
    @dataclass(frozen=True)
    class Bad:
        share: float = 0.5

    with pytest.raises(PluginError, match=r"Bad.share must be Annotated"):
        options_of(Bad)
