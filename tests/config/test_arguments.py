import pytest

from sweep.config.arguments import flags_first


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
