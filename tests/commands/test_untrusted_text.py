"""Whatever servers, files and workers say is printed as text: no escape sequence of theirs reaches the terminal."""

import http.server
import json
import threading
import zipfile

import onnx
import pytest
from onnx import TensorProto, helper

from sweep.cli import main

ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eevil\r"

pytestmark = pytest.mark.usefixtures("empty_folder")


@pytest.fixture
def said(capfd):
    """Run a command; return all that it printed, which must be printable."""

    def run(*arguments, code=2):
        assert main(list(arguments)) == code
        captured = capfd.readouterr()
        text = captured.out + captured.err
        assert all(letter.isprintable() or letter == "\n" for letter in text), text
        assert "Traceback" not in text
        return text

    return run


def test_a_server_that_answers_with_escape_sequences(said):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.wfile.write(f"HTTP/1.0 404 No {ESCAPES} such\r\n\r\n".encode("latin-1", "replace"))

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        text = said("fetch", "resnet", "--url", f"http://127.0.0.1:{server.server_port}/{ESCAPES.strip()}.onnx")
    assert "404" in text
    assert "\\x1b" in text
    assert text.count("error: ") == len(text.splitlines()) == 1


def test_names_in_a_zip_and_in_a_model(said, tmp_path):
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.writestr(f"trials/{ESCAPES}", b"")
    assert "error: " in said("unpack", "in.zip")
    values = [helper.make_tensor_value_info(f"{ESCAPES}{name}", TensorProto.FLOAT, ["N", "M"]) for name in "xy"]
    node = helper.make_node("Relu", [values[0].name], [values[1].name])
    graph = helper.make_graph([node], ESCAPES, values[:1], values[1:])
    onnx.save(helper.make_model(graph), tmp_path / "evil.onnx")
    assert "\\x1b" in said("model=onnx", "model.path=evil.onnx", "backend=onnxruntime")


def test_what_a_worker_said_is_shown_as_text(said, tmp_path):
    said("backend=simulated", "backend.fault=crash", "run=quick", "batch=1", code=1)
    (log,) = tmp_path.glob("outputs/trials/*/001/worker.log")
    log.write_text(ESCAPES)
    record = json.loads(log.with_name("result.json").read_text())
    record["failure"]["last_words"] = record["failure"]["message"] = record["why"] = ESCAPES
    log.with_name("result.json").write_text(json.dumps(record))
    trial = log.parent.parent.name
    assert "\\x1b" in said("show", trial, code=0)
    said("ls", code=0)


def test_a_record_that_is_no_record(said, tmp_path):
    folder = tmp_path / "outputs" / "trials" / f"t{ESCAPES}" / "001"
    folder.mkdir(parents=True)
    (folder / "result.json").write_text("{")
    assert "\\x1b" in said("ls", code=1)
