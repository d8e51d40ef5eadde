import pytest

from sweep.config.arguments import check_arguments, flags_first
from sweep.config.words import quoted


@pytest.mark.parametrize(
    ("typed", "ordered"),
    [
        ("model=resnet -m batch=1,2", "-m model=resnet batch=1,2"),
        ("-m model=resnet batch=1,2", "-m model=resnet batch=1,2"),
        ("model=resnet batch=1,2 --multirun", "--multirun model=resnet batch=1,2"),
        ("a=1 --cfg job b=2", "--cfg job a=1 b=2"),
        ("a=1 --cfg=job b=2", "--cfg=job a=1 b=2"),
        ("a=1 -cn X b=2", "-cn X a=1 b=2"),
        ("a=1 --config-dir D b=2 -m", "--config-dir D -m a=1 b=2"),
        ("a=1 --info defaults b=2", "--info defaults a=1 b=2"),
        ("--info a=1", "--info all a=1"),
        ("-i", "-i all"),
        ("--help", "--help"),
        ("-sc install=bash", "-sc install=bash"),
        ("a=1 -p model --cfg job", "-p model --cfg job a=1"),
        ("-m -- a=1 b=2", "-m a=1 b=2"),
        ("", ""),
    ],
)
def test_hydra_gets_flags_first_whatever_the_user_types(typed, ordered):
    assert flags_first(typed.split()) == ordered.split()


@pytest.mark.parametrize(
    ("home", "typed", "given"),
    [
        ("/home/u", "outputs=~/o", "outputs=/home/u/o"),
        ("/home/u", "outputs=~", "outputs=/home/u"),
        ("/home/a b", "model.path=~/x.onnx", 'model.path="/home/a b/x.onnx"'),
        ("/home/u", "batch=~/o", "batch=~/o"),
        ("/home/u", "outputs=x~other/o", "outputs=x~other/o"),
    ],
)
def test_home_is_expanded_where_a_path_is_meant(monkeypatch, home, typed, given):
    monkeypatch.setenv("HOME", home)
    assert flags_first([typed]) == [given]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "-m",
        "--multi batch=1,2",
        "--cfg job --resolve",
        "--cfg=job",
        "-c job -p model",
        "--info",
        "--info all model=resnet",
        "-cd conf -cn config",
        "+x=1 ++y=2 ~z -m batch=range(1,9)",
        "a='x, y' b=[1, 2]",
        "rules.checks=[]",
        "rules=2024-01",
        "rules=5.1.1",
        "outputs=q\\,",
        "--hydra-help",
    ],
)
def test_command_lines_that_are_fine(line):
    check_arguments(line.split(" ") if line else [])


@pytest.mark.parametrize("text", ["a\\b", "a\\", 'a"b', 'a\\"b', "\\\\", "x,y", "  ", "it's", "a=b", "[1", ""])
def test_a_quoted_value_comes_back_as_it_was(text):
    """Or a path with a backslash would be written somewhere else."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    assert str(OverridesParser.create().parse_override(f"key={quoted(text)}").value()) == text
