"""Non-negative least squares of relative errors, for models of a dozen coefficients."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["fit"]

#: Gradients and coefficients of columns of length 1 that count as zero.
_ZERO = 1e-9
#: Added to the diagonal: of columns that the data cannot tell apart, each gets a share.
_RIDGE = 1e-9


def fit(rows: Sequence[Sequence[float]], targets: Sequence[float]) -> list[float]:
    """Return x >= 0 with the least sum of ``(row · x / target - 1) ** 2`` over all rows.

    By the active-set method (Lawson and Hanson, Solving Least Squares Problems, chapter 23): coefficients
    enter one by one where the sum falls fastest, and leave when they would become negative. A column of zeros
    gets coefficient 0. ``targets`` are positive.
    """
    scaled = [[value / target for value in row] for row, target in zip(rows, targets, strict=True)]
    columns = list(zip(*scaled, strict=True))
    # Columns of length 1 make coefficients comparable.
    lengths = [sum(value * value for value in column) ** 0.5 for column in columns]
    columns = [
        tuple(value / (length or 1.0) for value in column)
        for column, length in zip(columns, lengths, strict=True)
    ]
    gram = [
        [sum(a * b for a, b in zip(one, other, strict=True)) for other in columns]
        for one in columns
    ]
    wanted = [sum(column) for column in columns]
    x = [0.0] * len(columns)
    inside: list[int] = []
    while True:
        slopes = [
            want - sum(a * b for a, b in zip(row, x, strict=True))
            for want, row in zip(wanted, gram, strict=True)
        ]
        outside = [k for k in range(len(x)) if k not in inside and slopes[k] > _ZERO]
        if not outside:
            break
        inside.append(max(outside, key=slopes.__getitem__))
        while True:
            solution = _solve(
                [[gram[i][j] + (i == j) * _RIDGE for j in inside] for i in inside],
                [wanted[i] for i in inside],
            )
            if min(solution) > _ZERO:
                break
            # As far towards the solution as no coefficient becomes negative.
            step = min(
                x[k] / (x[k] - value)
                for k, value in zip(inside, solution, strict=True)
                if value <= _ZERO
            )
            for k, value in zip(inside, solution, strict=True):
                x[k] += step * (value - x[k])
            for k in [k for k in inside if x[k] <= _ZERO]:
                inside.remove(k)
                x[k] = 0.0
        for k, value in zip(inside, solution, strict=True):
            x[k] = value
    return [value / (length or 1.0) for value, length in zip(x, lengths, strict=True)]


def _solve(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Solve a symmetric positive definite system by Gaussian elimination."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for k, pivot in enumerate(rows):
        for row in rows[k + 1 :]:
            factor = row[k] / pivot[k]
            for j in range(k, len(row)):
                row[j] -= factor * pivot[j]
    x: list[float] = []
    for row in reversed(rows):
        known = row[len(rows) - len(x) : len(rows)]
        rest = row[-1] - sum(a * b for a, b in zip(known, x, strict=True))
        x.insert(0, rest / row[len(rows) - len(x) - 1])
    return x
