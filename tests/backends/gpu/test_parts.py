import pytest

from sweep.backends.gpu.parts import Part, Run, answers, room, split


def test_a_query_that_fits_is_one_launch():
    assert split(8, 8, None) == (Part(0, 8, 0, 8),)
    assert split(5, 8, None) == (Part(0, 5, 0, 5),)


def test_what_does_not_fill_a_launch_comes_first_so_that_little_is_waited_for():
    assert split(10, 4, None) == (Part(0, 2, 0, 2), Part(2, 4, 2, 4), Part(6, 4, 6, 4))


def test_an_engine_of_one_batch_gets_padding_in_places_of_its_own():
    assert split(10, 4, 4) == (Part(0, 2, 0, 4), Part(2, 4, 4, 4), Part(6, 4, 8, 4))
    assert room(split(10, 4, 4)) == 12


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("engine_batch", [1, 2, 3, 7, 8, 64])
def test_every_sample_is_run_once_and_no_two_parts_share_a_place(engine_batch, fixed):
    for count in range(1, 40):
        parts = split(count, engine_batch, engine_batch if fixed else None)
        assert [k for part in parts for k in range(part.start, part.start + part.count)] == list(range(count))
        places = [k for part in parts for k in range(part.place, part.place + part.size)]
        assert places == list(range(room(parts)))
        assert room(parts) <= room(split(40, engine_batch, engine_batch if fixed else None))


def test_answers_that_lie_side_by_side_are_one_copy():
    assert list(answers(split(10, 4, None))) == [Run(0, 0, 10)]
    assert list(answers(split(8, 4, 4))) == [Run(0, 0, 8)]


def test_answers_to_padding_are_left_where_they_are():
    assert list(answers(split(10, 4, 4))) == [Run(0, 0, 2), Run(2, 4, 8)]


@pytest.mark.parametrize(("count", "engine_batch", "fixed"), [(0, 4, None), (4, 0, None), (4, 4, 2)])
def test_what_cannot_be_cut_is_refused(count, engine_batch, fixed):
    with pytest.raises(ValueError, match="launches of"):
        split(count, engine_batch, fixed)
