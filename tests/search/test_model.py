"""What a search believes about N that it did not test: curve, edge, tail, drift and doubt on data with known truth."""

import math

import numpy as np
import pytest

from sweep.search.base import Domain, Observation, Question, Shown
from sweep.search.curve import fit
from sweep.search.evidence import pools
from sweep.search.model import LatencyModel

BOUND = 50_000_000
QUESTION = Question(Domain(1, 1024), BOUND, 99.0, 1440, 0.95)


def seen(n, centre, count=200, noise=0.0, drift=0.0, seed=0):
    rng = np.random.default_rng([seed, n])
    latencies = centre * (1 + noise * rng.standard_normal(count)) * (1 + drift * np.arange(count))
    over = int((latencies > BOUND).sum())
    shown = Shown.INVALID if over > count / 100 else Shown.VALID
    return Observation(n, count >= 1440, shown, latencies.astype(np.int64), over, count)


def model_of(*tests):
    return LatencyModel(QUESTION, pools(QUESTION, tests))


def line(n):
    return 1e6 + 0.15e6 * n


CURVES = {
    "line": (line, "line"),
    "steps of 32": (lambda n: 1e6 + 0.15e6 * 32 * math.ceil(n / 32), "steps of 32"),
    "knee": (lambda n: 1e6 + 0.05e6 * n + 0.3e6 * max(n - 128, 0), "knee at 128"),
    "parabola": (lambda n: 1e6 + 0.02e6 * n + 600 * n * n, "parabola"),
}


@pytest.mark.parametrize(("latency", "name"), CURVES.values(), ids=CURVES)
def test_the_curve_that_made_the_data_is_picked_and_tells_other_n(latency, name):
    n = np.array([1, 16, 50, 100, 128, 150, 200, 230, 270, 300], dtype=float)
    rng = np.random.default_rng(1)
    centre = np.array([latency(x) for x in n]) * (1 + 1e-4 * rng.standard_normal(n.size))
    curve = fit(n, centre, np.full(n.size, 1e-4), BOUND)
    assert curve.name == name
    for other in (80, 190, 250):
        assert curve.at(other) == pytest.approx(latency(other), rel=0.01)


def test_no_curve_from_one_point_and_a_level_one_from_points_that_do_not_rise():
    assert fit(np.array([4.0]), np.array([1e6]), np.array([1e-3]), BOUND) is None
    for count in (2, 3, 5):
        level = fit(np.arange(1.0, count + 1), np.linspace(2e6, 1e6, count), np.full(count, 1e-3), BOUND)
        assert (level.name, level.at(1), level.at(512)) == ("level", 1.5e6, 1.5e6)
    assert model_of().centre(5) == math.inf
    assert model_of(seen(4, 1e6)).edge(0.01) is None


def test_the_edge_is_where_the_percentile_meets_the_bound():
    sharp = model_of(*(seen(n, line(n)) for n in (1, 100, 300, 340)))
    assert sharp.tail(0.01) == pytest.approx(1)
    assert sharp.edge(0.01) == 326  # 1 + 0.15 * 326 = 49.9 ms
    assert sharp.edge(0.01, 0.1) == 293
    assert sharp.margin(293) == pytest.approx(0.1, abs=0.005)
    noisy = model_of(*(seen(n, line(n), 3000, noise=0.01) for n in (1, 100, 300, 340)))
    assert noisy.noise == pytest.approx(0.01, rel=0.1)
    assert noisy.tail(0.01) == pytest.approx(1 + 2.326 * 0.01, abs=0.002)
    assert noisy.edge(0.01) == pytest.approx((BOUND / 1.02326 - 1e6) / 0.15e6, abs=4)
    assert noisy.edge(0.5) > noisy.edge(0.01) > noisy.edge(0.001)
    assert noisy.over_rate(noisy.edge(0.5)) == pytest.approx(0.5, abs=0.15)
    assert model_of(*(seen(n, 60e6 + n) for n in (1, 5))).edge(0.01) is None
    assert model_of(*(seen(n, 1e6 + n) for n in (1, 500))).edge(0.01) == 1024


def test_a_tail_that_few_queries_cannot_show_is_taken_for_gaussian():
    few = model_of(*(seen(n, line(n), 20, noise=0.01) for n in (1, 300)))
    assert few.tail(0.01) >= 1 + 2.3 * few.noise


def test_drift_is_seen_where_noise_does_not_explain_it():
    drifting = model_of(*(seen(n, line(n), 1440, noise=0.002, drift=2e-5) for n in (100, 300)))
    assert drifting.drift == pytest.approx(2e-5, rel=0.1)
    assert drifting.tail(0.01) > 1.02  # late in a test
    for seed in range(10):
        assert model_of(*(seen(n, line(n), 1440, noise=0.02, seed=seed) for n in (100, 300))).drift == 0
    assert model_of(*(seen(n, line(n), 1440, drift=-2e-5) for n in (100, 300))).drift == 0
    assert model_of(seen(100, line(100), 3)).drift == 0


def test_doubt_is_how_far_whole_tests_differ_beyond_their_queries():
    same = [seen(n, line(n), 1440, noise=0.005) for n in (1, 100, 310, 315, 320, 325)]
    assert model_of(*same).doubt == 0
    shifts = (1.03, 0.97, 1.025, 0.975, 1.03, 0.97)
    differing = [
        seen(n, line(n) * shift, 1440, noise=0.005)
        for n, shift in zip((300, 305, 310, 315, 320, 325), shifts, strict=True)
    ]
    doubt = model_of(seen(1, line(1)), seen(100, line(100)), *differing).doubt
    assert 0.01 < doubt < 0.1
    assert model_of(*differing[:1]).doubt == 0


def test_latencies_that_are_missing_count_as_nothing_and_break_nothing():
    empty = Observation(8, True, Shown.VALID, np.zeros(0, np.int64), 0, 1440)
    model = model_of(empty)
    assert (model.curve, model.edge(0.01), model.drift, model.noise, model.doubt) == (None, None, 0.0, 0.0, 0.0)
    assert not model.leans_over(pools(QUESTION, [empty])[8])
