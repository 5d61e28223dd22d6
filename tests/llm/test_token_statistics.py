import numpy as np

from shiftbench.evaluation.llm.token_statistics import phase_means, phases


def test_phases_leave_the_closing_token_out() -> None:
    values = np.array([1.0, 2.0, 100.0, 5.0, 7.0])
    assert phases(5, 2) == (slice(0, 2), slice(3, 5))
    assert phase_means(values, 2) == (1.5, 6.0)


def test_without_a_closing_token_all_is_thinking() -> None:
    assert phase_means(np.array([1.0, 2.0]), None) == (1.5, 0.0)


def test_the_mean_over_no_token_is_0() -> None:
    assert phase_means(np.array([9.0, 4.0]), 0) == (0.0, 4.0)  # closes at once
    assert phase_means(np.array([3.0, 9.0]), 1) == (3.0, 0.0)  # nothing behind it
    assert phase_means(np.array([9.0]), 0) == (0.0, 0.0)
