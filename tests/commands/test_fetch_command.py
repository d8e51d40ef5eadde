"""`sweep fetch`: usage errors are one line."""

import pytest

from sweep.cli import main


@pytest.fixture(autouse=True)
def _own_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SWEEP_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "model: must be given; choose one of: mobilenet, resnet"),
        (["resnt"], "model=resnt: unknown model; did you mean resnet? choose one of: mobilenet, resnet"),
        (["digits"], "model=digits: has no reference file to download; choose one of: mobilenet, resnet"),
        (["resnet", "mobilenet"], "mobilenet: sweep fetch takes no such argument; see python -m sweep fetch --help"),
        (["resnet", "--mirror", "x"], "--mirror: unknown flag; choose one of: --help, --url"),
        (["resnet", "--url"], "--url: expected one argument; see python -m sweep fetch --help"),
        (["resnet", "--url", ""], "--url=: is not a URL to download from; begin with https://, http:// or file://"),
        (["resnet", "--url", "ftp://host/file"], "--url=ftp://host/file: is not a URL to download from"),
    ],
)
def test_a_usage_error_is_one_line(capfd, arguments, line):
    assert main(["fetch", *arguments]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(f"error: {line}")
    assert err.count("\n") == 1


def test_help_names_the_models(capfd):
    with pytest.raises(SystemExit) as ended:
        main(["fetch", "--help"])
    assert ended.value.code == 0
    assert "one of: mobilenet, resnet" in capfd.readouterr().out
