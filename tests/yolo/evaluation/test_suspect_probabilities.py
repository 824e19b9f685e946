import numpy as np
import pytest

from yolo.evaluation.calibration import probabilities


@pytest.mark.parametrize('share', [0.02, 0.1, 0.3])
def test_the_share_of_wrong_ones_at_each_value_comes_back(share):
    """Right values have the density 8 (1 - x)^7, wrong ones 2 x, so that the true probability is known."""
    rng = np.random.default_rng(0)
    number = 40_000
    is_wrong = rng.random(number) < share
    values = np.where(is_wrong, np.sqrt(rng.random(number)), 1 - rng.random(number) ** (1 / 8))
    found = probabilities(values, np.sqrt(rng.random(10_000)))
    wrong, right = share * 2 * values, (1 - share) * 8 * (1 - values) ** 7
    for low in (0.1, 0.3, 0.5, 0.7, 0.9):
        some = (values >= low) & (values < low + 0.1)
        assert found[some].mean() == pytest.approx((wrong / (wrong + right))[some].mean(), abs=0.08)
    order = np.argsort(values)
    assert (np.diff(found[order]) >= 0).all()


def test_values_below_all_wrong_ones_are_right_and_nothing_gives_nothing():
    assert not probabilities(np.linspace(0, 0.4, 50), np.linspace(0.5, 1, 50)).any()
    assert probabilities(np.append(np.zeros(99), 0.8), np.linspace(0.5, 1, 50))[-1] > 0.4
    assert not len(probabilities(np.zeros(0), np.ones(3)))
    assert not probabilities(np.ones(3), np.zeros(0)).any()


def test_equal_values_have_equal_probabilities():
    found = probabilities(np.array([0.0, 0, 0, 1, 1]), np.array([1.0, 1, 0, 1]))
    assert len(set(found[:3])) == 1
    assert len(set(found[3:])) == 1
    assert found[3] > found[0]
