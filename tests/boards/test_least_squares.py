"""Non-negative least squares against solutions known by construction and by their conditions."""

import random

import pytest

from xnorgrid.boards.least_squares import fit
from xnorgrid.sim.streams import new_seed


def test_exact_data_give_back_their_coefficients():
    rng = random.Random(3)
    coefficients = [250.0, 3.0, 0.0, 12.5]
    rows = [
        [1, rng.randrange(1, 5000), rng.randrange(1, 300), rng.randrange(40)] for _ in range(12)
    ]
    targets = [sum(c * v for c, v in zip(coefficients, row, strict=True)) for row in rows]
    assert fit(rows, targets) == pytest.approx(coefficients, rel=1e-4, abs=1e-3)


def test_a_coefficient_that_would_be_negative_is_zero():
    # 10 - 2x: without the sign, (10, -2); with it the best constant of relative errors.
    xs = [1, 2, 3]
    targets = [10 - 2 * x for x in xs]
    constant, slope = fit([[1, x] for x in xs], targets)
    assert slope == 0
    inverse = [1 / target for target in targets]
    assert constant == pytest.approx(sum(inverse) / sum(v * v for v in inverse))


def test_the_gradient_is_zero_or_points_out_of_bounds():
    """What makes a non-negative x the best there is, for problems in which coefficients enter and leave."""
    seed = new_seed()
    rng = random.Random(seed)
    for _ in range(200):
        size = rng.randrange(1, 8)
        common = [rng.random() for _ in range(12)]
        rows = [[base + 0.2 * rng.random() for _ in range(size)] for base in common]
        targets = [0.5 + rng.random() for _ in rows]
        x = fit(rows, targets)
        assert min(x) >= 0
        errors = [
            sum(c * v for c, v in zip(x, row, strict=True)) / target - 1
            for row, target in zip(rows, targets, strict=True)
        ]
        for k, value in enumerate(x):
            slope = sum(
                error * row[k] / target
                for error, row, target in zip(errors, rows, targets, strict=True)
            )
            assert slope >= -1e-5
            if value > 1e-6:
                assert slope <= 1e-5


def test_what_never_occurs_costs_nothing():
    assert fit([[1, 0], [1, 0]], [4, 4]) == pytest.approx([4, 0])
