from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from optrading.collection.feeds.synthetic.noise import YEAR_S, BrownianPaths, mix, normals, seed_keys, uniforms

NOW_MICROS = 1_787_000_000_000_000


@given(seed=st.integers(), part=st.integers(-(2**63), 2**63 - 1))
def test_uniform_numbers_lie_inside_0_and_1_for_any_seed(seed: int, part: int) -> None:
    value = uniforms(mix(seed_keys(seed), part))[0]
    assert 0.0 < value < 1.0


def test_hashes_of_neighbouring_numbers_are_normal_and_uncorrelated() -> None:
    values = normals(mix(seed_keys(3), np.arange(100_000)))
    assert abs(values.mean()) < 0.02
    assert abs(values.std() - 1) < 0.02
    assert abs(np.corrcoef(values[1:], values[:-1])[0, 1]) < 0.02


@given(micros=st.integers(0, 2**52), seed=st.integers(0, 100))
def test_a_path_is_a_function_of_seed_and_time_only(micros: int, seed: int) -> None:
    paths = BrownianPaths(seed, 2)
    before = paths.at(micros)
    paths.at(micros + 12_345_678)
    np.testing.assert_array_equal(paths.at(micros), before)
    np.testing.assert_array_equal(BrownianPaths(seed, 2).at(micros), before)
    assert (BrownianPaths(seed + 1, 2).at(micros) != before).all()


def test_variance_grows_by_one_a_year_at_every_scale() -> None:
    paths = BrownianPaths(5, 400)
    for step_s in (0.5, 1, 60, 3600, 86_400):
        steps = [
            paths.at(start + round(step_s * 1e6)) - paths.at(start)
            for start in range(NOW_MICROS, NOW_MICROS + 20 * 97_000_003, 97_000_003)
        ]
        # 400 independent paths: the estimate is within a tenth.
        assert abs(np.var(steps) / (step_s / YEAR_S) - 1) < 0.15


def test_paths_have_no_jump_where_two_bridges_meet() -> None:
    paths = BrownianPaths(5, 100)
    block_micros = 2**23 * 1_000_000
    seam = NOW_MICROS // block_micros * block_micros
    step = paths.at(seam + 1_000_000) - paths.at(seam - 1_000_000)
    assert np.abs(step).max() < 6 * np.sqrt(2 / YEAR_S)


def test_paths_stay_where_they_belong_over_a_century() -> None:
    paths = BrownianPaths(5, 10)
    values = np.array([paths.at(day * 86_400_000_000) for day in range(0, 36_500, 20)])
    assert np.abs(values).max() < 2.0
    assert abs(values.std() - np.sqrt(2**23 / YEAR_S / 2)) < 0.03
