import pytest

from sweep.backends.gpu.parts import ALIGNMENT, Layout, Part, split, split_evenly


def test_a_query_that_fits_is_one_launch():
    assert split(8, 8, None) == (Part(0, 8, 0, 8),)
    assert split(5, 8, None) == (Part(0, 5, 0, 5),)


def test_what_does_not_fill_a_launch_runs_first_so_that_little_is_waited_for():
    assert split(10, 4, None) == (Part(8, 2, 2, 2), Part(0, 4, 0, 4), Part(4, 4, 1, 4))


def test_an_engine_of_one_batch_gets_padding():
    assert split(10, 4, 4) == (Part(8, 2, 2, 4), Part(0, 4, 0, 4), Part(4, 4, 1, 4))


def test_even_launches_have_one_size_and_are_as_few():
    assert split_evenly(10, 4) == (Part(8, 2, 2, 4), Part(0, 4, 0, 4), Part(4, 4, 1, 4))
    for count in range(1, 200):
        for engine_batch in (1, 3, 8, 136):
            parts = split_evenly(count, engine_batch)
            assert len(parts) == len(split(count, engine_batch, None))
            assert len({part.size for part in parts}) == 1
            assert parts[0].size <= engine_batch
            assert sum(part.size for part in parts) - count < len(parts)


@pytest.mark.parametrize("sample", [1, 3, 4, 12, 256, 784, 150528])
@pytest.mark.parametrize("how", ["as it comes", "fixed", "evenly"])
@pytest.mark.parametrize("engine_batch", [1, 2, 3, 7, 8, 64])
def test_every_sample_is_run_once_and_no_two_parts_share_a_place(engine_batch, how, sample):
    fixed_batch = None if how == "as it comes" else engine_batch
    layout = Layout.of(sample, engine_batch)
    for count in range(1, 40):
        parts = split_evenly(count, engine_batch) if how == "evenly" else split(count, engine_batch, fixed_batch)
        assert sorted(k for part in parts for k in range(part.start, part.start + part.count)) == list(range(count))
        places = sorted((part.slot * layout.stride, part.size * sample) for part in parts)
        assert all(begin % ALIGNMENT == 0 for begin, _ in places)
        ends = [begin + size for begin, size in places]
        assert all(end <= begin for end, (begin, _) in zip(ends, places[1:], strict=False))
        assert ends[-1] == layout.room(parts) >= layout.used(parts)
        assert layout.room(parts) <= layout.room(split(40, engine_batch, fixed_batch))


def test_alignment_takes_less_than_its_own_size_for_each_part():
    """A place of 64 samples for every launch of 8 would take eight times the memory."""
    parts = split(1024, 8, None)
    assert Layout.of(150528, 8).room(parts) == 1024 * 150528
    assert Layout.of(4, 8).room(parts) <= len(parts) * ALIGNMENT


@pytest.mark.parametrize(("count", "engine_batch", "fixed"), [(0, 4, None), (4, 0, None), (4, 4, 2)])
def test_what_cannot_be_cut_is_refused(count, engine_batch, fixed):
    with pytest.raises(ValueError, match="launches of"):
        split(count, engine_batch, fixed)
