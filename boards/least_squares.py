"""Non-negative least squares of relative errors, for models of a dozen coefficients."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["fit"]

#: Sweeps over all coefficients at most; the change at which a sweep is the last.
_SWEEPS = 200_000
_SETTLED = 1e-9


def fit(rows: Sequence[Sequence[float]], targets: Sequence[float]) -> list[float]:
    """Return x >= 0 with the least sum of ``(row · x / target - 1) ** 2`` over all rows.

    By coordinate descent, which comes as close as one likes, since the sum is convex. A column of zeros gets
    coefficient 0. ``targets`` are positive.
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
    for _ in range(_SWEEPS):
        change = 0.0
        for k, of_k in enumerate(gram):
            if not lengths[k]:
                continue
            gradient = wanted[k] - sum(a * b for a, b in zip(of_k, x, strict=True))
            value = max(0.0, x[k] + gradient)
            change = max(change, abs(value - x[k]))
            x[k] = value
        if change < _SETTLED:
            break
    return [value / (length or 1.0) for value, length in zip(x, lengths, strict=True)]
