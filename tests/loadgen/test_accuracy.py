"""LoadGen's accuracy log, and top-1 accuracy from it."""

import json
import math
import struct
from pathlib import Path

import pytest

from sweep.errors import LogError
from sweep.loadgen.accuracy import Accuracy, Response, read_accuracy_log, score_top1

DATA = Path(__file__).parents[1] / "data" / "loadgen_logs"


def entry(seq_id, qsl_idx, value):
    data = value if isinstance(value, str) else struct.pack("<f", value).hex().upper()
    return {"seq_id": seq_id, "qsl_idx": qsl_idx, "data": data}


@pytest.fixture
def log(tmp_path):
    """Write an accuracy log as LoadGen does, an object per line, from (qsl_idx, class id) pairs or from text."""

    def write(content):
        path = tmp_path / "mlperf_log_accuracy.json"
        if not isinstance(content, str):
            lines = (json.dumps(entry(number, *pair)) for number, pair in enumerate(content))
            content = "[\n" + ",\n".join(lines) + "\n]\n"
        path.write_text(content)
        return path

    return write


def refused(path, labels=(0,)):
    with pytest.raises(LogError) as caught:
        score_top1(path, labels)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


def test_the_responses_of_a_real_log_are_read():
    responses = read_accuracy_log(DATA / "v0.7_example_accuracy.json")
    assert responses[0] == Response(0, 45875, bytes.fromhex("00C05844"))
    classes = [(response.qsl_idx, struct.unpack("<f", response.data)[0]) for response in responses]
    assert classes == [(45875, 867.0), (5465, 174.0), (11969, 745.0), (46913, 827.0)]


def test_accuracy_is_printed_as_it_always_was(log):
    """Scripts look for this very line in accuracy.txt."""
    labels = [1] * 376 + [2] * 124
    assert (
        str(score_top1(log([(index, 1.0) for index in range(500)]), labels)) == "accuracy=75.200%, good=376, total=500"
    )


def test_samples_are_matched_by_index_not_by_order(log):
    accuracy = score_top1(log([(2, 7.0), (0, 5.0), (1, 9.0)]), [5, 6, 7])
    assert accuracy == Accuracy(good=2, total=3, accuracy=pytest.approx(200 / 3))


def test_only_the_first_response_for_a_sample_counts(log):
    """MultiStream repeats samples to fill its last query."""
    repeated = [(0, 5.0), (1, 6.0), (0, 4.0), (1, math.nan), (0, "00")]
    assert score_top1(log(repeated), [5, 7]) == Accuracy(1, 2, 50.0)


def test_class_ids_are_little_endian_floats_up_to_any_label(log):
    assert score_top1(log([(0, "00C05844"), (1, "00000000"), (2, "00000080")]), [867, 0, 0]).good == 3


def test_missing_samples_are_named(log):
    assert "no response for 7 of 9 samples (1, 2, 3, 5, 6, ...)" in refused(log([(0, 1.0), (4, 1.0)]), [1] * 9)


def test_the_log_of_a_performance_test_scores_nothing(log):
    path = log("[\n]\n")
    assert read_accuracy_log(path) == []
    assert "no response for 1 of 1 samples (0)" in refused(path)


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [
        ([(0, math.nan)], "is nan, not a class id"),
        ([(0, math.inf)], "is inf, not a class id"),
        ([(0, 1.5)], "is 1.5, not a class id"),
        ([(0, "00C058")], "has 3 bytes"),
        ([(0, "")], "has 0 bytes"),
        ([(0, "00C0584400C05844")], "has 8 bytes"),
        ([(1, 1.0)], "sample 1 is outside the dataset of 1 samples"),
        ([(-1, 1.0)], "sample -1 is outside"),
        ([(0, "0G")], "entry 0 is not a response"),
        ([(0, 1.0), (0.0, 1.0)], "entry 1 has a seq_id or qsl_idx"),
        ([(True, 1.0)], "entry 0 has a seq_id or qsl_idx"),
        (["0", "1"], "entry 0 is not a response"),
    ],
)
def test_an_answer_that_is_no_class_id_is_refused(pairs, reason, log):
    if pairs == ["0", "1"]:
        pairs = "[0, 1]"
    assert reason in refused(log(pairs))


def test_a_log_shortened_for_a_submission_is_refused_as_such():
    assert "shortened for a submission" in refused(DATA / "v0.7_example_accuracy_shortened.json")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty file"),
        (" \n", "empty file"),
        ("[", "cut off"),
        ('[\n{ "seq_id" : 0, "qsl_idx" : 0, "data" : "0000803F" }\n', "cut off"),
        ('[\n{ "seq_id" : 0, "qsl_idx" : 0, "data" : "0000803F" },\n]\n', "not valid JSON at line 3"),
        ('{"Result is": "VALID"}', "not a LoadGen accuracy log; it looks like JSON"),
        ("accuracy=75.200%, good=376, total=500", "it looks like some other text"),
        ("<html>", "it looks like HTML"),
        ("[" * 100_000, "cut off"),
    ],
)
def test_what_is_no_whole_accuracy_log_is_refused_by_name(text, reason, log):
    assert reason in refused(log(text))


@pytest.mark.parametrize("blanks", ["\n", " \n"])
def test_megabytes_of_blanks_are_refused_in_a_moment(blanks, log):
    """The look for the mark of a shortened log once took time that grew with the square of its size."""
    assert "cut off" in refused(log(f"[\n{blanks * (1_000_000 // len(blanks))}"))


@pytest.mark.parametrize("mark", ["...", "  ... \r", "\t...\t"])
def test_a_shortened_log_is_known_however_its_mark_is_indented(mark, log):
    assert "shortened for a submission" in refused(log(f'[\n{{ "seq_id" : 0\n{mark}\n ]\n'))


def test_an_index_of_thousands_of_digits_is_not_quoted_whole(log):
    assert len(refused(log([(10**4000, 1.0)]))) < 300


def test_a_missing_log_is_refused_by_name(tmp_path):
    assert "no such file" in refused(tmp_path / "mlperf_log_accuracy.json")


@pytest.mark.parametrize("name", ["pretty", "per line"])
def test_no_cut_of_an_accuracy_log_passes_for_the_whole(name, log, tmp_path):
    whole = DATA / "v0.7_example_accuracy.json" if name == "pretty" else log([(index, 1.0) for index in range(4)])
    data = whole.read_bytes()
    responses = read_accuracy_log(whole)
    cut = tmp_path / "cut.json"
    for size in range(len(data)):
        cut.write_bytes(data[:size])
        if data[size:].strip():
            with pytest.raises(LogError):
                read_accuracy_log(cut)
        else:
            assert read_accuracy_log(cut) == responses


def test_nothing_to_score_against_is_the_callers_mistake(log):
    with pytest.raises(ValueError, match="no labels"):
        score_top1(log([(0, 1.0)]), [])
