"""What every backend must do: subclass `BackendConformance` and override its fixtures."""

import numpy as np
import pytest

from sweep.backends.base import Availability
from sweep.errors import ConfigError
from sweep.vocabulary import Precision

SLOTS = 12


class BackendConformance:
    """Inherited by the test class of each backend."""

    @pytest.fixture
    def backend(self):
        """Return the backend's class."""
        raise NotImplementedError

    @pytest.fixture
    def options(self):
        """Options as a user would type them."""
        return {}

    @pytest.fixture
    def request_of(self, backend, options):
        """Make an `EngineRequest`; `samples_per_query` and `engine_batch` may be given."""
        raise NotImplementedError

    @pytest.fixture
    def samples(self, request_of):
        draw = np.random.default_rng(0)
        return {
            spec.name: draw.integers(0, 16, (SLOTS, *spec.shape)).astype(spec.dtype) for spec in request_of().inputs
        }

    def test_says_whether_it_can_run_here(self, backend):
        availability = backend.availability()
        assert isinstance(availability, Availability)
        assert availability.detail
        assert availability.available or availability.fix

    def test_offers_a_precision(self, backend):
        assert backend.precisions()
        assert all(isinstance(precision, Precision) for precision in backend.precisions())

    def test_unknown_option_is_refused_by_name(self, backend, options):
        with pytest.raises(ConfigError, match="backend.no_such_option"):
            backend.validate_options({**options, "no_such_option": 1})

    def test_validated_options_are_complete_and_stable(self, backend, options):
        complete = backend.validate_options(options)
        assert backend.validate_options(complete) == complete

    @pytest.mark.parametrize("cores", [1, 2, 6, 128])
    def test_every_value_of_its_search_space_validates(self, backend, options, cores):
        """A search over settings may try each of them, on a machine of any size."""
        space = backend.search_space(cores)
        assert all(space.values())
        for key, values in space.items():
            assert len(set(values)) == len(values)
            if key == "engine_batch":
                assert all(value is None or value > 0 for value in values)
                continue
            group, _, option = key.partition(".")
            assert group == "backend"
            for value in values:
                assert backend.validate_options({**options, option: value})[option] == value

    def test_construction_does_nothing(self, backend, request_of):
        """Nothing may be built before `__enter__`: a request that cannot work must still construct."""
        backend(request_of())

    def test_answers_every_sample(self, backend, request_of, samples):
        with backend(request_of(samples_per_query=4)) as engine:
            engine.load(samples)
            for slot, count in ((0, 4), (3, 4), (SLOTS - 1, 1), (2, 3)):
                outputs = engine.run(slot, count, lambda: None)
                assert outputs
                assert all(len(output) == count for output in outputs)

    def test_does_the_host_work_exactly_once_before_it_returns(self, backend, request_of, samples):
        with backend(request_of(samples_per_query=8, engine_batch=2)) as engine:
            engine.load(samples)
            for count in (1, 3, 8):
                calls = []
                engine.run(0, count, lambda calls=calls: calls.append(1))
                assert calls == [1]

    def test_an_error_in_the_host_work_is_not_lost(self, backend, request_of, samples):
        def fail():
            raise RuntimeError("host work failed")

        with backend(request_of(samples_per_query=4)) as engine:
            engine.load(samples)
            with pytest.raises(RuntimeError, match="host work failed"):
                engine.run(0, 4, fail)

    def test_a_split_query_answers_like_a_whole_one(self, backend, request_of, samples):
        answers = []
        for engine_batch in (8, 3, 1):
            with backend(request_of(samples_per_query=8, engine_batch=engine_batch)) as engine:
                engine.load(samples)
                answers.append([output.copy() for output in engine.run(1, 8, lambda: None)])
        for split in answers[1:]:
            for whole, part in zip(answers[0], split, strict=True):
                np.testing.assert_allclose(part, whole, rtol=1e-5, atol=1e-6)

    def test_reads_the_slots_it_is_given(self, backend, request_of, samples):
        """A query at slot s must answer as the same samples at slot 0 do."""
        with backend(request_of(samples_per_query=4)) as engine:
            engine.load(samples)
            shifted = [output.copy() for output in engine.run(5, 4, lambda: None)]
            engine.load({name: np.ascontiguousarray(array[5:9]) for name, array in samples.items()})
            for left, right in zip(shifted, engine.run(0, 4, lambda: None), strict=True):
                np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6)

    def test_what_ran_before_changes_nothing(self, backend, request_of, samples):
        """A warm worker runs one trial after another: a record must not depend on which came first."""
        request = request_of(samples_per_query=4)
        with backend(request) as engine:
            engine.load(samples)
            first = [output.copy() for output in engine.run(0, 4, lambda: None)]
            for slot in range(1, 6):
                engine.run(slot, 4, lambda: None)
            if backend.reusable:
                engine.load(samples)
                again = [output.copy() for output in engine.run(0, 4, lambda: None)]
        if not backend.reusable:
            with backend(request) as engine:
                engine.load(samples)
                again = [output.copy() for output in engine.run(0, 4, lambda: None)]
        for left, right in zip(first, again, strict=True):
            np.testing.assert_array_equal(left, right)

    def test_can_be_entered_again_after_leaving(self, backend, request_of, samples):
        for _ in range(2):
            with backend(request_of(samples_per_query=2)) as engine:
                engine.load(samples)
                engine.run(0, 2, lambda: None)
