"""The paper recomputed: closed forms against each other, every row, and what would make one fail."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from xnorgrid import data
from xnorgrid.geometry import theory
from xnorgrid.geometry.angles import variance
from xnorgrid.geometry.dynamics import trajectories
from xnorgrid.geometry.patches import (
    fourier_slope,
    patches,
    principal_components,
    radial_power,
    sample_patches,
)
from xnorgrid.geometry.products import pooled_correlation, predicted_correlation
from xnorgrid.geometry.rows import Settings, near, reported, within
from xnorgrid.geometry.suite import run
from xnorgrid.geometry.ternary import ternary
from xnorgrid.geometry.vectors import (
    angles_between,
    angles_to_binary,
    binarise,
    generalised_binarisation,
    haar,
    sign_flip_hadamard,
    ternarise,
    walsh_hadamard,
)
from xnorgrid.sim.streams import new_seed

DIRECTORY = os.environ.get(data.VARIABLE)
COMMITTED = Path(__file__).resolve().parents[2] / "docs/geometry"


@pytest.fixture(scope="module", autouse=True)
def _no_directory():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(data.VARIABLE, raising=False)
        yield


@pytest.fixture(scope="module")
def sections():
    return run(Settings())


@pytest.fixture
def rng():
    return np.random.default_rng(new_seed())


def test_mean_cosine_is_known_for_short_vectors():
    assert theory.mean_cosine(1) == pytest.approx(1, abs=1e-12)
    assert theory.mean_cosine(2) == pytest.approx(2 * math.sqrt(2) / math.pi, abs=1e-12)
    assert theory.mean_cosine(3) == pytest.approx(math.sqrt(3) / 2, abs=1e-12)


def test_mean_cosine_of_consecutive_lengths():
    """Γ(z+1) = zΓ(z) makes their product elementary."""
    for n in range(1, 6000):
        product = theory.mean_cosine(n) * theory.mean_cosine(n + 1)
        assert product == pytest.approx(2 / math.pi * math.sqrt((n + 1) / n), abs=1e-9)


def test_variance_is_known_for_short_vectors():
    assert theory.variance_of_cosine(1) == pytest.approx(0, abs=1e-12)
    # The angle is uniform up to 45°.
    expected = 0.5 + 1 / math.pi - 8 / math.pi**2
    assert theory.variance_of_cosine(2) == pytest.approx(expected, abs=1e-12)


def test_limits():
    assert pytest.approx(0.64702, abs=5e-6) == theory.LIMIT_ANGLE
    assert math.degrees(theory.LIMIT_ANGLE) == pytest.approx(37.0714, abs=5e-5)
    assert pytest.approx(0.04507, abs=5e-6) == theory.VARIANCE
    assert pytest.approx(0.6817, abs=5e-5) == theory.PRINTED_VARIANCE
    assert pytest.approx(0.3522, abs=5e-5) == theory.SIGMA_OF_ANGLE
    assert theory.equivalent_flip_rate() == pytest.approx(0.101, abs=5e-4)
    far = 100_000
    assert far * theory.variance_of_cosine(far) == pytest.approx(theory.VARIANCE, rel=1e-3)
    sigma = theory.angle_moments(far)[1] * math.sqrt(far)
    assert sigma == pytest.approx(theory.SIGMA_OF_ANGLE, rel=1e-3)


def test_angle_moments_of_an_octant_agree_with_a_plain_sum():
    side = (np.arange(1500) + 0.5) / 1500
    z, turn = np.meshgrid(side, side * math.pi / 2)
    ring = np.sqrt(1 - z**2)
    angles = np.arccos((z + ring * np.cos(turn) + ring * np.sin(turn)) / math.sqrt(3))
    assert theory.angle_moments(3) == pytest.approx((angles.mean(), angles.std()), abs=1e-5)


@pytest.mark.parametrize("n", [3, 4, 27, 1152])
def test_density_of_random_pairs_has_the_mass_and_variance_it_should(n):
    edges = np.linspace(-1, 1, 200_001)
    middles, step = (edges[1:] + edges[:-1]) / 2, edges[1] - edges[0]
    density = theory.cosine_density(middles, n)
    assert density.sum() * step == pytest.approx(1, abs=1e-6)
    assert (density * middles**2).sum() * step == pytest.approx(1 / n, rel=1e-6)


@pytest.mark.parametrize("n", [1, 2, 10, 512])
def test_scaled_vectors_of_equal_scales_are_plain_ones(n):
    for scale in (1e-10, 1, 1e10):
        scales = np.full(n, scale)
        assert theory.mean_cosine_of_scaled(scales) == pytest.approx(
            theory.mean_cosine(n), abs=1e-6
        )
        turned = theory.mean_cosine_after_hadamard(scales)
        assert turned == pytest.approx(theory.mean_cosine(n), abs=1e-6)


def test_a_vector_along_one_axis_is_the_worst_case_and_hadamard_makes_it_the_best():
    scales = np.array([1, *[1e-9] * 63])
    assert theory.mean_cosine_of_scaled(scales) == pytest.approx(1 / 8, abs=1e-6)
    assert theory.mean_cosine_after_hadamard(scales) == pytest.approx(1, abs=1e-6)


def test_ternary_known_values():
    assert theory.ternary_cosine(0) == pytest.approx(math.sqrt(2 / math.pi))
    assert theory.ternary_zeros(0) == 0
    best = theory.ternary_optimum()
    assert best == pytest.approx(0.612, abs=5e-4)
    assert theory.ternary_zeros(best) == pytest.approx(0.46, abs=5e-3)
    assert math.degrees(math.acos(theory.ternary_cosine(best))) == pytest.approx(25.85, abs=5e-3)
    for step in (-1e-3, 1e-3):
        assert theory.ternary_cosine(best + step) < theory.ternary_cosine(best)


def test_binarise_takes_zero_for_plus_one():
    assert binarise(np.array([-0.5, 0.0, 2.0])).tolist() == [-1, 1, 1]
    assert ternarise(np.array([-0.5, 0.1, 2.0]), 0.2).tolist() == [-1, 0, 1]


def test_angles():
    vectors = np.array([[1.0, 1.0], [1.0, 0.0], [-2.0, 0.0]])
    assert np.degrees(angles_to_binary(vectors)) == pytest.approx([0, 45, 45])
    assert np.degrees(angles_between(vectors, vectors[[0, 0, 1]])) == pytest.approx([0, 45, 180])


def test_haar_is_orthogonal_and_has_no_preferred_signs(rng):
    matrices = [haar(6, rng) for _ in range(400)]
    for matrix in matrices:
        assert matrix @ matrix.T == pytest.approx(np.eye(6), abs=1e-12)
    # QR alone leaves the diagonal with one sign.
    diagonal = np.array([np.diag(matrix) for matrix in matrices])
    assert abs((diagonal > 0).mean() - 0.5) < 0.1


def test_walsh_hadamard_is_its_matrix(rng):
    matrix = np.array([[1.0]])
    for _ in range(4):
        matrix = np.kron([[1, 1], [1, -1]], matrix) / math.sqrt(2)
    vectors = rng.standard_normal((3, 16))
    assert walsh_hadamard(vectors) == pytest.approx(vectors @ matrix.T)
    assert walsh_hadamard(walsh_hadamard(vectors)) == pytest.approx(vectors)


@pytest.mark.parametrize("n", [0, 3, 500])
def test_walsh_hadamard_wants_a_power_of_two(n):
    with pytest.raises(ValueError, match=rf"power of two of entries, not {n}; pad them with zeros"):
        walsh_hadamard(np.ones((2, n)))


def test_sign_flips_come_before_each_transform(rng):
    vectors, signs = rng.standard_normal((2, 8)), 2.0 * rng.integers(0, 2, (2, 8)) - 1
    once = walsh_hadamard(vectors * signs[0])
    assert sign_flip_hadamard(vectors, signs[:1]) == pytest.approx(once)
    assert sign_flip_hadamard(vectors, signs) == pytest.approx(walsh_hadamard(once * signs[1]))


def test_generalised_binarisation_makes_the_angle_of_the_rotated_vector(rng):
    vectors, matrix = rng.standard_normal((5, 12)), haar(12, rng)
    turned = generalised_binarisation(vectors, lambda x: x @ matrix.T, lambda y: y @ matrix)
    assert angles_between(vectors, turned) == pytest.approx(angles_to_binary(vectors @ matrix.T))
    assert np.array_equal(
        generalised_binarisation(vectors, lambda x: x, lambda y: y), binarise(vectors)
    )


def test_predicted_correlation_of_one_filter_is_the_cosine(rng):
    binary, continuous = binarise(rng.standard_normal((1, 50))), rng.standard_normal((1, 50))
    angle = angles_between(binary, continuous)[0]
    for mean in (0, 0.4):
        assert predicted_correlation(binary, continuous, mean) == pytest.approx(math.cos(angle))


def test_predicted_correlation_is_that_of_every_activation_there_is(rng):
    """All 1024 activations of ten entries, weighted by their probability under a mean that is not 0."""
    binary = binarise(rng.standard_normal((4, 10)))
    continuous = rng.standard_normal((4, 10))
    # Three in four entries are +1: as a multiset of activations, 3 for each +1.
    activations = 1 - 2.0 * ((np.arange(1024)[:, None] >> np.arange(10)) & 1)
    counts = 3 ** (activations == 1).sum(1)
    left, right = (np.repeat(activations @ w.T, counts, axis=0) for w in (binary, continuous))
    expected = predicted_correlation(binary, continuous, 0.5, 0.75)
    assert pooled_correlation(left, right) == pytest.approx(expected, abs=1e-9)


def test_trajectory_by_hand():
    weights = trajectories(np.array([0.5]), 4, 1.0, 0.5)[:, 0]
    assert weights.tolist() == [0.5, 0.0, -0.5, 1.0, 0.5]


def test_principal_components_of_a_known_covariance(rng):
    matrix = haar(5, rng)
    spread = np.array([5.0, 4.0, 3.0, 2.0, 1.0])
    # Corners ±e_k: a covariance without sampling error.
    vectors = np.concatenate([np.diag(spread), -np.diag(spread)]) @ matrix.T + 7
    shares, components = principal_components(vectors)
    assert shares == pytest.approx(spread**2 / (spread**2).sum())
    assert np.abs(components @ matrix) == pytest.approx(np.eye(5), abs=1e-9)
    assert np.take_along_axis(components, np.abs(components).argmax(1)[:, None], 1).min() > 0


def test_radial_power_of_a_wave_and_of_a_known_slope(rng):
    x = np.arange(32)
    wave = np.broadcast_to(np.sin(2 * np.pi * 5 * x / 32), (1, 32, 32)) + 100
    power = radial_power(wave)
    assert power.argmax() == 4  # five cycles
    assert power.sum() == pytest.approx(power[4])
    frequencies = np.fft.fftfreq(32, 1 / 32)
    radii = np.rint(np.hypot(frequencies[:, None], frequencies))
    spectrum = np.where(radii > 0, np.maximum(radii, 1) ** -1.5, 0)
    image = np.fft.ifft2(spectrum).real[None]
    assert fourier_slope(radial_power(image), 8) == pytest.approx(-3)


def test_patches_are_those_of_the_image(rng):
    images = rng.integers(0, 256, (2, 5, 4, 3), dtype=np.uint8)
    found = {patch.tobytes() for patch in sample_patches(images, 400, rng)}
    expected = {
        images[k, r : r + 3, c : c + 3].astype(np.float32).tobytes()
        for k in range(2)
        for r in range(3)
        for c in range(2)
    }
    assert found == expected


def test_verdicts():
    assert near("k", "w", 1.04, 1, 0.05, "theory").passed is True
    assert near("k", "w", 1.06, 1, 0.05, "theory").passed is False
    assert near("k", "w", -10.4, -10, 0.05, "theory", relative=True).passed is True
    assert near("k", "w", math.nan, 1, 0.05, "theory").passed is False
    assert within("k", "w", 0.15, None, 0.15).passed is True
    assert within("k", "w", 0.16, None, 0.15).passed is False
    assert within("k", "w", 3, 4, None).passed is False
    assert reported("k", "w", 3).passed is None
    row = near("k", "w", 37, 37.07, 0.15, "theory", unit="°")
    assert row.accepted == "37.07° ± 0.15°, theory"
    assert near("k", "w", 1, 2, 0.05, "theory", relative=True).accepted == "2 ± 5 %, theory"
    assert within("k", "w", 1, 0, 2).accepted == "0 … 2"


def test_every_row_passes(sections):
    rows = [row for section in sections for row in section.rows]
    assert [row for row in rows if row.passed is False] == []
    assert {row.key for row in rows if row.passed is None} == {"ternary.best.zeros"}
    assert len({row.key for row in rows}) == len(rows) > 70
    for section in sections:
        assert all(row.key.startswith(f"{section.key}.") for row in section.rows)
        assert bool(section.rows) != bool(section.skipped)


def test_without_cifar10_the_section_says_what_is_missing(sections):
    (section,) = (section for section in sections if section.key == "patches")
    assert section.skipped.startswith("cifar10 is not part of xnorgrid and no directory was given")


def test_without_a_checkpoint_the_trained_network_is_left_out(sections):
    assert [section.key for section in sections if section.skipped] == ["patches", "trained"]
    assert sections[-1].skipped.endswith(
        "need the checkpoint of a training; name one with --checkpoint"
    )


def test_the_committed_report_is_what_the_command_writes(sections):
    """Rows, sources, tolerances and verdicts; digits may differ with another machine's rounding."""
    pytest.importorskip("matplotlib")
    from xnorgrid.geometry.report import markdown, report

    found = json.loads((COMMITTED / "report.json").read_text())
    assert found["failed"] == found["skipped"] == []
    assert (COMMITTED / "report.md").read_text() == markdown(found)
    fresh = report(sections, Settings())
    assert {name: found[name] for name in ("paper", "seed", "samples")} == {
        name: fresh[name] for name in ("paper", "seed", "samples")
    }
    of_key = {section["key"]: section for section in found["sections"]}
    assert set(of_key) - {section["key"] for section in fresh["sections"]} == {
        "latents", "training", "proportionality", "permutation", "unbinarised"
    }  # fmt: skip
    for section in fresh["sections"]:
        if section["skipped"]:
            continue
        committed = of_key[section["key"]]
        for name in ("title", "source"):
            assert committed[name] == section[name]
        assert committed["text"] == section["text"]
        assert committed["figures"] == section["figures"]
        for old, new in zip(committed["rows"], section["rows"], strict=True):
            assert {**old, "ours": 0} == {**new, "ours": 0}
            assert old["ours"] == pytest.approx(new["ours"], rel=1e-3, abs=1e-9)
    figures = {figure["file"] for section in found["sections"] for figure in section["figures"]}
    files = {path.name: path.stat().st_size for path in COMMITTED.iterdir()}
    assert set(files) == figures | {"report.md", "report.json"}
    assert sum(files.values()) < 600_000


@pytest.mark.skipif(DIRECTORY is None, reason=f"{data.VARIABLE} is not set")
def test_every_row_of_cifar10_passes():
    section = patches(Settings(directory=Path(DIRECTORY)))
    if section.skipped:
        pytest.skip(section.skipped)
    assert [row.key for row in section.rows if row.passed is False] == []
    assert [row.key for row in section.rows if row.passed is None] == ["patches.slope.all"]


def failed(section):
    return {row.key for row in section.rows if row.passed is False}


def test_the_printed_variance_is_rejected(monkeypatch):
    printed = (1 - 1 / math.pi) / 500
    measured = theory.variance_of_cosine(500)
    assert near("k", "w", 500 * measured, 500 * printed, 0.05, "", relative=True).passed is False
    settings = Settings(samples=4000)
    assert failed(variance(settings)) == set()
    with monkeypatch.context() as patch:
        patch.setattr(theory, "variance_of_cosine", lambda n: 0.68 / n)
        assert failed(variance(settings)) == {
            *(f"variance.{n}" for n in (500, 1152, 2304, 4608)),
            "variance.limit",
        }
    with monkeypatch.context() as patch:
        patch.setattr(theory, "VARIANCE", theory.PRINTED_VARIANCE)
        assert failed(variance(settings)) == {"variance.limit"}
    with monkeypatch.context() as patch:
        patch.setattr(theory, "PRINTED_VARIANCE", theory.VARIANCE)
        assert failed(variance(settings)) == {"variance.printed"}


def test_an_experiment_does_not_depend_on_the_others(sections):
    (section,) = (section for section in sections if section.key == "ternary")
    assert ternary(Settings()).rows == section.rows
    assert ternary(Settings(seed=1)).rows != section.rows


def test_missing_matplotlib_names_the_extra():
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from xnorgrid.extras import MissingExtra\n"
        "try:\n    import xnorgrid.geometry.report\n"
        "except MissingExtra as error:\n    print(error)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.stdout.strip() == (
        "matplotlib is not installed, and this part of xnorgrid needs it; "
        'install it with: pip install "xnorgrid[geometry]"'
    ), ran.stderr


def test_experiments_need_no_matplotlib():
    code = (
        "import sys, xnorgrid.geometry.suite; "
        "sys.exit(', '.join(n for n in ('matplotlib', 'torch') if n in sys.modules) or None)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
