"""Lines through values of few studies."""

import numpy as np
import pytest

from isoloss.data_dependence.meta import meta_regression


def test_the_line_passes_through_exact_values():
    x = np.array([1.0, 2.0, 4.0, 5.0])
    line = meta_regression(3 - 0.5 * x, np.full(4, 0.01), x, np.zeros(4))
    assert line.level == pytest.approx(3)
    assert line.at(10.0) == pytest.approx(-2)
