import pytest

from harness.core.numbers import integer, number


def test_numbers_are_read_as_they_are_written() -> None:
    assert (integer("-12"), integer(" 7 "), number("1e-3"), number("-0.5")) == (-12, 7, 0.001, -0.5)


@pytest.mark.parametrize("text", ["1_0", "٣", "１０", "", "x"])
def test_what_other_programs_do_not_read_is_refused(text: str) -> None:
    for read in (integer, number):
        with pytest.raises(ValueError, match=r"."):
            read(text)
