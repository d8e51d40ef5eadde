"""Which setting a joint search tries next."""

import pytest

from sweep.search.settings import Tried, next_setting

SPACE = (("backend.threads", (1, 2, 4)), ("engine_batch", (None, 8)), ("precision", ("fp32", "fp16")))


def walk(space, seed, score, most=50):
    tried = []
    while (setting := next_setting(space, tried, seed)) is not None:
        tried.append(Tried(setting, score(setting)))
        assert len(tried) <= most
    return tried


def key(setting):
    return tuple(setting[name] for name, _ in SPACE)


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_every_setting_once_the_first_values_first(seed):
    tried = walk(SPACE, seed, lambda setting: float(setting["backend.threads"]))
    assert key(tried[0].setting) == (1, None, "fp32")
    assert len(tried) == len({key(one.setting) for one in tried}) == 12
    assert all(one.setting["engine_batch"] in {None, 8} for one in tried)


def test_replayed_it_asks_the_same_and_another_seed_asks_otherwise():
    first, again, other = ([key(one.setting) for one in walk(SPACE, seed, lambda setting: 7.0)] for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_what_did_well_is_tried_near():
    """With one good value among many, TPE tries it far more often than one time in eight."""
    space = (("a", tuple(range(8))), ("b", tuple(range(8))))
    tried = []
    for _ in range(24):
        setting = next_setting(space, tried, 0)
        tried.append(Tried(setting, 100.0 if setting["a"] == 5 else 1.0))
    assert sum(one.setting["a"] == 5 for one in tried[8:]) >= 4


def test_one_setting_alone():
    assert len(walk((("engine_batch", (8,)),), 0, lambda _: 0.0)) == 1
