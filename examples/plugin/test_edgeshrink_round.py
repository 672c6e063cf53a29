from edgeshrink_round import Round

from edgeshrink.testing import check_faces, check_light, check_method


def test_round_is_light():
    check_light("edgeshrink_round")


def test_round_imports_what_stays():
    check_faces("edgeshrink_round")


def test_round_keeps_the_rules():
    check_method(Round, {"bits": 4})
