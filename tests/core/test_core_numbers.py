import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoloss.core.estimate import Estimate
from isoloss.core.numbers import duration, fixed, percent, plain, power_of_ten, si, value_and_interval
from isoloss.core.reading import toml_in

SCALES = {"k": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (94_000, "94k"),
        (1.5e6, "1.5M"),
        (2e9, "2B"),
        (999.9, "1k"),
        (100, "100"),
        (0.5, "0.5"),
        (0, "0"),
        (-12e3, "−12k"),
    ],
)
def test_counts_are_written_with_the_fields_own_suffixes(value: float, text: str) -> None:
    assert si(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(1e12, "10¹²"), (1.5e12, "1.5×10¹²"), (1e-9, "10⁻⁹"), (9.97e11, "10¹²"), (-1e3, "−10³")]
)
def test_budgets_are_powers_of_ten(value: float, text: str) -> None:
    assert power_of_ten(value) == text


@given(st.floats(min_value=1, max_value=9e14))
def test_a_count_read_back_is_the_count_to_three_digits(value: float) -> None:
    text = si(value)
    scale = SCALES.get(text[-1], 1.0)
    number = text[:-1] if text[-1] in SCALES else text
    # Half a unit of the third digit is at most 5e-3 of the value.
    assert float(number) * scale == pytest.approx(value, rel=5.01e-3)


@given(st.floats(min_value=1e-4, max_value=9.9e5), st.booleans())
def test_plain_numbers_keep_three_digits_and_never_an_exponent(value: float, trim: bool) -> None:
    text = plain(value, trim=trim)
    assert "e" not in text
    assert float(text) == pytest.approx(value, rel=5.01e-3)


def test_a_rounded_zero_has_no_sign() -> None:
    assert fixed(-0.001, 2) == "0.00"
    assert fixed(-0.006, 2) == "−0.01"


@given(
    st.floats(min_value=-5, max_value=5),
    st.floats(min_value=1e-3, max_value=3),
    st.floats(min_value=0, max_value=1),
)
def test_an_intervals_digits_distinguish_its_ends(centre: float, width: float, share: float) -> None:
    """Rounding may move an end by a twentieth of the width at most: the printed interval is the interval."""
    low, high = centre - share * width, centre + (1 - share) * width
    _, interval = value_and_interval(Estimate(value=centre, low=low, high=high))
    read = [float(end.replace("−", "-")) for end in interval.strip("[]").split(", ")]
    assert abs(read[0] - low) <= 0.051 * width
    assert abs(read[1] - high) <= 0.051 * width


def test_what_is_unknown_is_a_dash_and_what_was_not_resampled_has_no_interval() -> None:
    assert value_and_interval(None) == ("–", "")
    assert value_and_interval(Estimate(value=math.nan)) == ("–", "")
    assert value_and_interval(Estimate(value=0.5)) == ("0.500", "")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.02, "0.02 s"), (43, "43 s"), (312, "5 min 12 s"), (12_000, "3 h 20 min"), (59.7, "1 min 0 s")],
)
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@given(st.floats(min_value=-10, max_value=10), st.floats(min_value=1e-3, max_value=10))
def test_an_intervals_variance_is_the_square_of_the_standard_error_it_came_from(value: float, stderr: float) -> None:
    assert Estimate.from_stderr(value, stderr).variance == pytest.approx(stderr**2)
    assert Estimate(value=value).variance == 0


@pytest.mark.parametrize("digits", [20, 5000, 100_000])
def test_a_whole_number_of_any_length_is_refused_in_the_words_of_the_file(digits):
    with pytest.raises(ValueError) as refused:
        toml_in(f"seed = {'9' * digits}")
    assert "sys." not in str(refused.value)


def test_a_printed_estimate_is_its_value_and_interval():
    assert str(Estimate(value=218068672.37, low=190426224.7, high=None)) == "2.181e+08"
    printed = str(Estimate(value=0.446727, low=0.41247, high=0.48258))
    assert [float(part) for part in printed.replace("[", "").replace("]", "").replace(",", "").split()] == [
        0.4467,
        0.4125,
        0.4826,
    ]


@pytest.mark.parametrize(
    ("share", "digits", "text"),
    [(0.996, 2, "100 %"), (0.9996, 3, "100 %"), (9.996, 3, "1,000 %"), (0.994, 2, "99 %"), (0.0951, 2, "9.5 %")],
)
def test_a_share_just_below_a_power_of_ten_has_no_exponent(share, digits, text):
    assert percent(share, digits) == text
