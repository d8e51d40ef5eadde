"""Each kind of answer is given for what was seen, and for nothing less."""

import numpy as np
import pytest

from sweep.search.base import Domain, Observation, Question, Shown
from sweep.search.bisection import BisectionSearcher
from sweep.search.boundary import BoundarySearcher
from sweep.search.certificate import Status, certify

V, X, F, M, R = Shown.VALID, Shown.INVALID, Shown.FAILED, Shown.OUT_OF_MEMORY, Shown.REFUSED


def seen(n, shown, over=0, count=1440, full=True, busy=False):
    latencies = np.full(count, 40, np.int64)
    latencies[:over] = 60
    return Observation(n, full, shown, latencies, over, count, busy)


@pytest.mark.parametrize("make", [BisectionSearcher, BoundarySearcher])
@pytest.mark.parametrize(
    ("tests", "status", "answer", "first_invalid", "undecided", "words"),
    [
        ([(4, V), (5, X, 40)], Status.EXACT, 4, 5, None, "N=5 is not VALID: 40 of 1440 queries over the bound"),
        ([(4, V), (5, M, 0, 0)], Status.EXACT, 4, 5, None, "N=5 is not VALID: out of memory"),
        ([(4, V), (5, F, 0, 0), (5, F, 0, 0)], Status.OPEN, 4, None, None, "N=5 bounds the search without a verdict"),
        ([(4, V), (5, R, 0, 0)], Status.OPEN, 4, None, None, "without a verdict: could not be set up here"),
        ([(4, V), (5, X, 40), (7, V, 14)], Status.INTERVAL, 4, 5, None, "N=5 is not VALID: 40 of 1440"),
        ([(2, X, 40), (4, V, 12)], Status.UNCONFIRMED, 4, None, (5, 8), "nothing above it was shown INVALID"),
        ([(4, V), (7, X, 40)], Status.INTERVAL, 4, 7, (5, 6), "N=7 is not VALID"),
        ([(4, V), (5, F, 0, 0)], Status.OPEN, 4, None, (5, 8), "nothing above it was shown INVALID"),
        ([(4, V), (5, V, 14), (7, X, 40)], Status.INTERVAL, 4, 7, (5, 6), "N=7 is not VALID"),
        ([(4, V, 12), (5, X, 40)], Status.UNCONFIRMED, 4, 5, None, "N=4 was VALID, but not surely: 12 of 1440"),
        ([(1, X, 40), (2, X, 40)], Status.NONE_VALID, None, 1, None, "the smallest N=1 is not VALID: 40 of 1440"),
        ([(1, M, 0, 0)], Status.NONE_VALID, None, 1, None, "the smallest N=1 is not VALID: out of memory"),
        (
            [(1, F, 0, 0), (1, F, 0, 0)],
            Status.UNKNOWN,
            None,
            None,
            None,
            "no N was shown VALID or INVALID; N=1: FAILED",
        ),
        ([(8, V)], Status.ALL_VALID, 8, None, None, "N=8 is VALID, and the search may ask for no more"),
        ([(8, V, 0, 100, False)], Status.UNKNOWN, None, None, None, "no N was shown VALID or INVALID"),
        ([(1, X, 15)], Status.UNKNOWN, None, None, None, "15 of 1440 queries over the bound"),
        ([(1, X, 15), (4, X, 40)], Status.UNKNOWN, None, 4, (1, 3), "no N was shown VALID, up to N=4"),
        ([(2, X, 17), (2, X, 18)], Status.UNKNOWN, None, None, None, "N=2 was INVALID in 2 of 2 full tests, but not"),
        ([(2, F, 0, 0), (2, F, 0, 0), (4, X, 40)], Status.UNKNOWN, None, 4, (1, 3), "no N was shown VALID, up to N=4"),
        ([], Status.UNKNOWN, None, None, None, "no N was shown VALID or INVALID"),
    ],
)
def test_a_status_for_what_was_seen(make, tests, status, answer, first_invalid, undecided, words):
    searcher = make(Question(Domain(1, 8), 50, 99.0, 1440, 0.95))
    for test in tests:
        searcher.tell(seen(*test))
    certificate = certify(searcher, is_complete=True)
    assert certificate.status is status
    assert certificate.max_streams == answer
    assert certificate.first_invalid == first_invalid
    assert certificate.undecided == undecided
    assert words in certificate.why
    assert (certificate.confidence is None) == (answer is None)
    if status in (Status.EXACT, Status.INTERVAL, Status.OPEN, Status.ALL_VALID):
        assert certificate.confidence >= 0.95
    assert certificate.tests == sum(test[1] is not R for test in tests)
    assert sum(one.full_tests + one.short_tests for one in certificate.evidence) == len(tests)
    roles = {one.samples_per_query: one.role for one in certificate.evidence if one.role}
    assert roles.get(answer, "answer") == "answer"


BUSY = {"busy": True}


@pytest.mark.parametrize(
    ("tests", "disturbed", "status"),
    [
        ([(4, V), (5, X, 40)], False, Status.EXACT),
        ([(4, V), (5, X, 40, BUSY)], True, Status.OPEN),
        ([(4, V, 0, BUSY), (5, X, 40)], True, Status.INTERVAL),
        ([(4, V, 0, BUSY), (4, V), (5, X, 40, BUSY), (5, X, 40)], False, Status.EXACT),
        # One undisturbed INVALID that could be luck, which a disturbed one does not make sure.
        ([(4, V), (5, X, 15), (5, X, 900, BUSY)], False, Status.OPEN),
        ([(4, V), (5, M, 0, BUSY)], False, Status.EXACT),
        ([(4, V), (5, X, 40), (7, X, 40, BUSY)], False, Status.EXACT),
        # Not shown INVALID, but what might have been VALID is neither.
        ([(4, V), (5, X, 15, BUSY), (6, X, 40)], True, Status.INTERVAL),
        ([(4, V), (5, X, 15, BUSY)], True, Status.OPEN),
        ([(8, V, 0, BUSY)], True, Status.ALL_VALID),
        ([(4, V), (2, X, 15, BUSY), (5, X, 40)], False, Status.EXACT),
        ([(1, X, 40, BUSY)], True, Status.UNKNOWN),
        ([(1, X, 40, BUSY), (1, X, 40)], False, Status.NONE_VALID),
        # Set aside: an undisturbed test was VALID.
        ([(4, X, 40, BUSY), (4, V), (5, X, 40)], False, Status.EXACT),
    ],
)
def test_an_answer_that_no_undisturbed_test_shows_is_disturbed_and_claims_less(tests, disturbed, status):
    """Fails where a neighbour's load makes an answer too small, and it calls itself exact."""
    searcher = BoundarySearcher(Question(Domain(1, 8), 50, 99.0, 1440, 0.95))
    for n, shown, *rest in tests:
        over = next((one for one in rest if isinstance(one, int)), 0)
        searcher.tell(seen(n, shown, over, busy=BUSY in rest, count=0 if shown is M else 1440))
    certificate = certify(searcher, is_complete=True)
    assert (certificate.disturbed, certificate.status) == (disturbed, status)
    assert ("disturbed" in certificate.remark) is disturbed
    if disturbed and certificate.confidence is not None:
        assert certificate.confidence <= 0.99
