"""Bad input: one clear line that names the field, the value, the choices and the fix, exit code 2, nothing measured."""

import os
import socket
from pathlib import Path

import pytest

from sweep.backends.onnxruntime import OnnxRuntimeBackend
from sweep.cli import main
from sweep.vocabulary import Precision

MODEL = min((Path(__file__).parents[1] / "data" / "onnx").glob("*inline.onnx"))

pytestmark = pytest.mark.usefixtures("empty_folder")


@pytest.fixture
def refused(capfd, tmp_path):
    """Run a command line that must be refused; return its one error line."""

    def run(*arguments):
        code = main(list(arguments))
        captured = capfd.readouterr()
        lines = [line for line in captured.err.splitlines() if not line.startswith("note: ")]
        assert code == 2, captured.err
        assert captured.out == ""
        assert len(lines) == 1, captured.err
        assert lines[0].startswith("error: ")
        assert not (tmp_path / "outputs" / "trials").exists()
        assert not (tmp_path / "outputs" / "sweeps").exists()
        return lines[0]

    return run


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["model=resnt"], ["model=resnt", "did you mean resnet", "digits", "mobilenet", "onnx"]),
        (["backend=tensorflow"], ["backend=tensorflow", "onnxruntime", "simulated"]),
        (["dataset=imagnet"], ["dataset=imagnet", "did you mean imagenet"]),
        (["rules=v9"], ["rules=v9", "v0.5", "current"]),
        (["seeds=v5.2"], ["seeds=v5.2", "did you mean v5.1", "v6.1", "null"]),
        (["seeds=[v5.1]"], ["seeds=", "v5.1", "null"]),
        (["dataset.repeat=0"], ["dataset.repeat=0", "1 to 1000"]),
        (["dataset=synthetic", "backend=simulated", "dataset.repeat=2"], ["dataset.repeat=2", "only digits"]),
        (["precision=int8", "int8.exclude=[no_such]"], ["int8.exclude=no_such", "choose one of: "]),
        (["int8.exclude=3"], ["int8.exclude=3", "int8.exclude=[NAME,...]"]),
        (["int8.exclude=null"], ["int8.exclude=null", "[] for none"]),
        (["int8.excluded=[a]"], ["int8.excluded"]),
        (["int8=a"], ["int8"]),
        (["batch=0"], ["batch=0", "1"]),
        (["batch=-1"], ["batch=-1"]),
        (["batch=abc"], ["batch=abc", "whole number"]),
        (["batch=1e9"], ["batch=", "1000000"]),
        (["batch=2.5"], ["batch=2.5", "whole number"]),
        (["batch=true"], ["batch="]),
        (["batch=[1,2]"], ["batch="]),
        (["batch=1,2"], ["batch=1,2", "add -m", "-m batch=1,2"]),
        (["-m", "batch=1,2", "batch=3,4"], ["batch", "more than once", "batch=1,2 batch=3,4"]),
        (["percentile=99.000001"], ["percentile=99.000001", "six digits"]),
        (["batch='8'"], ["batch='8'", "whole number"]),
        (["--bogus", "batch=1"], ["--bogus", "unknown flag", "--multirun"]),
        (["--multi-run", "batch=1,2"], ["--multi-run", "did you mean --multirun"]),
        (["-x"], ["-x", "unknown flag", "-m"]),
        (["--batch=8"], ["--batch", "setting", "write batch=8"]),
        (["--batch", "8"], ["--batch", "setting", "write batch=8"]),
        (["--target-latency-ms", "8"], ["write target_latency_ms=8"]),
        (["batch", "8"], ["batch: is a setting", "write batch=8"]),
        (["batch", "=", "8"], ["batch: is a setting"]),
        (["--cfg"], ["--cfg", "needs a value", "job|hydra|all"]),
        (["--cfg", "foo"], ["--cfg=foo", "hydra, job"]),
        (["--cfg=foo"], ["--cfg=foo", "hydra, job"]),
        (["-cn"], ["-cn", "needs a value", "NAME"]),
        (["-cn", "-m"], ["-cn", "needs a value", "NAME"]),
        (["--multirun=batch"], ["--multirun=batch", "takes no value"]),
        (["--cfg", "job", "-m", "batch=1,2"], ["--cfg and --multirun", "leave out -m"]),
        (["--info", "-m", "batch=1,2"], ["--info and --multirun", "leave out -m"]),
        (["--config", "user.conf"], ["--config", "unknown flag", "--config-dir", "--config-name"]),
        (["rules=0.5"], ["rules=0.5", "did you mean v0.5?", "one of your own needs quotes"]),
        (["batch=range(1,9)"], ["batch=range(1,9)", "add -m"]),
        (["batch=[8,16]"], ["batch=[8, 16]", "-m batch=8,16"]),
        (["batch=8..16"], ["batch='8..16'", "-m 'batch=range(8,17)'"]),
        (["batch=8 16"], ["batch='8 16'", "-m batch=8,16"]),
        (["-m", "batch=8;16"], ["batch=8;16", "a list with commas after -m"]),
        (["batch = 8"], ["write batch=8"]),
        ([" batch=8"], ["write batch=8"]),
        (["model=digits batch=8"], ["more than one setting", "leave out the quotes"]),
        (["batch=8\r"], ["batch=8\\r", "carriage return"]),
        ([""], ["empty word"]),
        (["model:digits"], ["model:digits", "write model=digits"]),
        (["my.onnx"], ["write model=onnx model.path=my.onnx"]),
        (["run=quick", "simulated"], ["write backend=simulated"]),
        (["model=digits,", "batch=8"], ["model=digits,", "write model=digits"]),
        (["run", "model=digits"], ["run: is a setting", "write run=VALUE"]),
        (["--batch-size", "8"], ["--batch-size", "write batch=8"]),
        (["--threads", "2"], ["write backend.threads=2"]),
        (["-b", "8"], ["-b", "write batch=8"]),
        (["--dry-run"], ["--dry-run", "--cfg job"]),
        (["--config-name=foo"], ["--config-name=foo", "foo.yaml"]),
        (["seed=3"], ["seed: unknown key", "backend.seed or dataset.seed or model.seed"]),
        (["BATCH=8"], ["BATCH: unknown key", "did you mean batch?"]),
        (["target_latency_ms=50ms"], ["target_latency_ms='50ms'", "leave out the unit"]),
        (["fetch", "model=resnat"], ["model=resnat", "did you mean resnet?"]),
        (["model=null"], ["model=null", "digits, mobilenet, onnx, resnet"]),
        (["model=[digits,b]"], ["model=[digits,b]", "digits, mobilenet, onnx, resnet"]),
        (["model={a:1}"], ["model={a:1}", "one of its choices"]),
        (["--info=foo"], ["--info=foo", "defaults-tree"]),
        (["--run", "--multirun"], ["--multirun and --run", "leave one of them out"]),
        (["rules.edition='v0.5 '"], ["rules.edition='v0.5 '", "letters"]),
        (["rules.bounded=1"], ["rules.bounded=1", "true"]),
        (["-m", "hydra.sweeper=null", "batch=1,2"], ["sweeper"]),
        (["hydra/sweeper=basic", "-m", "batch=1,2"], ["hydra/sweeper", "leave it out"]),
        (["threads=2"], ["threads: unknown key", "did you mean backend.threads?"]),
        (["samples_per_query=2"], ["samples_per_query: unknown key", "did you mean batch?"]),
        (["backend=simulated", "backend.threads=2"], ["it belongs to backend=auto, onnxruntime"]),
        (["-m", "batch=8,", "9"], ["batch=8,", "empty item", "write lists without blanks: batch=8,9"]),
        (["-m", "batch=8,,9"], ["batch=8,,9", "batch=8,9"]),
        (["-m", "batch=interval(1,4)"], ["batch=interval(1,4)", "write range("]),
        (["-m", "batch=range(1,3.5,0.5)"], ["batch=1.5,2.5", "whole number"]),
        (["-m", "batch=-1,-2,-3,-4,-5,-6"], ["batch=-1,-2,-3,-4,-5,...:"]),
        (["batch=${nope}"], ["batch", "'nope' not found"]),
        (["~batch"], ["~batch", "write batch=null"]),
        (["model.path=(1)/x.onnx"], ["model.path=(1)/x.onnx", "'model.path=\"(1)/x.onnx\"'"]),
        (["model.performance_sample_count=abc"], ["model.performance_sample_count=abc", "whole number"]),
        (["backend=simulated", "model.performance_sample_count=abc"], ["model.performance_sample_count=abc"]),
        (["model.target_latency_ms=abc"], ["model.target_latency_ms=abc", "number"]),
        (["target_latency_ms=1e-9"], ["target_latency_ms=1e-09", "more than 0.001"]),
        (["max_query_count=0"], ["max_query_count=0", "leave it out"]),
        (["timeout=5"], ["timeout=5", "timeout.load_s=SECONDS"]),
        (["telemetry=false"], ["telemetry=False", "telemetry.enabled=false"]),
        (["telemetry.enabled=2"], ["telemetry.enabled=2", "true or false"]),
        (["telemetry.interval_ms=5"], ["telemetry.interval_ms=5", "from 50 to 60000"]),
        (["telemetry.interval_ms=fast"], ["telemetry.interval_ms=fast", "whole number"]),
        (["telemetry.cooldown_s=0"], ["telemetry.cooldown_s=0", "more than 0"]),
        (["telemetry.cooldown_s=null"], ["telemetry.cooldown_s=null", "seconds"]),
        (["telemetry.retries=-1"], ["telemetry.retries=-1", "from 0 to 100"]),
        (["telemetry.reject=true", "telemetry.enabled=false"], ["telemetry.reject=True", "telemetry.enabled=false"]),
        (["+telemetry.retry=1"], ["telemetry.retry=1", "did you mean retries"]),
        (["telemetry.retries=1", "-m", "telemetry.reject=true,false"], ["telemetry", "cannot differ"]),
        (["-m", "outputs=a,b"], ["outputs", "cannot differ"]),
        (["-m", "resume=true,false"], ["resume", "cannot differ"]),
        (["hydra.sweep.dir=/proc/nowhere"], ["hydra.sweep.dir=/proc/nowhere", "another folder"]),
        (["dataset=synthetic", "model=resnet", "dataset.interpolation=area"], ["dataset.interpolation=area"]),
        (["backend=simulated", "backend.per_sampel_ms=3"], ["did you mean backend.per_sample_ms"]),
        (["backend=simulated", "backend.threads=3"], ["backend.threads: unknown key", "backend.per_sample_ms"]),
        (["bacth=3"], ["bacth", "unknown key", "did you mean batch"]),
        (["backend.thread=3"], ["backend.thread", "did you mean backend.threads"]),
        (["+colour=red"], ["colour=red", "unknown key"]),
        (["+target_latency=10"], ["target_latency=10", "did you mean target_latency_ms"]),
        (["+timeout.querry_s=10"], ["timeout.querry_s=10", "did you mean query_s"]),
        (["+rules.percentil=90"], ["rules.percentil=90", "did you mean percentile"]),
        (["+model.colour=red"], ["model.colour", "unknown"]),
        (["+backend.colour=red"], ["backend.colour", "unknown"]),
        (["+dataset.colour=red"], ["dataset.colour", "unknown"]),
        (["batch"], ["batch"]),
        (["batch="], ["batch"]),
        (["precision=fp8"], ["precision=fp8", "fp32", "fp16", "int8"]),
        (["mode=accurate"], ["mode=accurate", "accuracy"]),
        (["scenario=Offline"], ["scenario=Offline", "MultiStream"]),
        (["run=long"], ["run=long", "quick", "screening", "official"]),
        (["abort=maybe"], ["abort=maybe", "confident", "certain", "never"]),
        (["resume=perhaps"], ["resume=perhaps"]),
        (["target_latency_ms=0"], ["target_latency_ms=0"]),
        (["target_latency_ms=-5"], ["target_latency_ms=-5"]),
        (["target_latency_ms=nan"], ["target_latency_ms=nan"]),
        (["target_latency_ms=inf"], ["target_latency_ms=inf"]),
        (["target_latency_ms=1" + 400 * "0"], ["target_latency_ms=1000", "out of range"]),
        (["batch=1" + 400 * "0"], ["batch=1000", "whole number"]),
        (["target_latency_ms='50'"], ["target_latency_ms='50'", "number"]),
        (["percentile=100"], ["percentile=100"]),
        (["percentile=0"], ["percentile=0"]),
        (["percentile=0.99"], ["percentile=0.99", "did you mean 99?", "from 50 to 99.99"]),
        (["percentile=49"], ["percentile=49", "from 50 to 99.99"]),
        (["run=custom"], ["run=custom", "official, quick, screening"]),
        (["-m", "batch=range(17,8)"], ["batch=range(17,8)", "no value at all"]),
        (["-m", "model.path=glob(*.onnx)"], ["model.path=glob(*.onnx)", "choices of a group"]),
        (["timeout.load_s=0"], ["timeout.load_s=0"]),
        (["timeout.query_s=null"], ["timeout.query_s=null", "seconds"]),
        (["min_query_count=100", "max_query_count=50"], ["max_query_count=50", "min_query_count=100"]),
        (["min_duration_ms=5000", "max_duration_ms=100"], ["max_duration_ms=100", "min_duration_ms=5000"]),
        (["rules=current", "max_duration_ms=100"], ["max_duration_ms=100", "min_duration_ms=10000"]),
        (["run=official", "min_query_count=10"], ["min_query_count=10", "official", "run=screening"]),
        (["run=official", "target_latency_ms=11"], ["target_latency_ms=11", "official", "10 at most"]),
        (["run=official", "percentile=90"], ["percentile=90", "official"]),
        (["run=official", "performance_sample_count=9"], ["performance_sample_count=9", "official", "500 at least"]),
        (["run=official", "model=resnet", "dataset.count=9"], ["performance_sample_count=9", "1024 at least"]),
        (["run=official", "model.target_latency_ms=99"], ["target_latency_ms=99", "official", "10 at most"]),
        (["run=official", "model=resnet", "model.name=x", "model.target_latency_ms=99"], ["=99", "50 at most"]),
        (["run=official", "model=onnx", f"model.path={MODEL}", "model.target_latency_ms=99"], ["=99", "50 at most"]),
        (["run=official", "rules=current", "batch=4"], ["batch=4", "official", "has 8"]),
        (["rules.checks=[]"], ["rules.checks=[]", "v0.5", "performance_constraint"]),
        (["rules.percentile=50"], ["rules.percentile=50", "99"]),
        (["rules.run_classes.official.min_query_count=9"], ["official.min_query_count=9", "270336"]),
        (["rules.bounded=false"], ["rules.bounded=false", "true"]),
        (["rules.edition=mine", "rules.checks=[min_queries]"], ["rules.checks=[min_queries]", "add no_errors"]),
        (["rules.edition=mine", "~rules.run_classes.quick", "run=quick"], ["run=quick", "mine", "screening"]),
        (["backend.threads=0"], ["backend.threads=0"]),
        (["backend.threads=many"], ["backend.threads=many"]),
        (["model=onnx"], ["model.path"]),
        (["model=onnx", "model.path=missing.onnx"], ["model.path=", "missing.onnx", "no such file"]),
        (["dataset=imagenet", "model=resnet"], ["dataset", "python -m sweep dataset imagenet"]),
        (["mode=accuracy", "model=resnet"], ["mode=accuracy", "synthetic", "sweep fetch resnet"]),
        (["mode=accuracy", "backend=simulated"], ["mode=accuracy", "simulated"]),
        (["mode=accuracy", "dataset=synthetic"], ["mode=accuracy", "no labels"]),
        (["model=resnet", "model.weights=reference"], ["model.weights=reference", "sweep fetch resnet"]),
        (["model.weights=best"], ["model.weights=best"]),
        (["engine_batch=0"], ["engine_batch=0"]),
        (["performance_sample_count=0"], ["performance_sample_count=0"]),
        (["--config-name", "nothing"], ["nothing"]),
        (["--config-dir", "no/such/folder"], ["no/such/folder"]),
        (["hydra/launcher=joblib", "-m", "batch=1,2"], ["launcher=joblib"]),
        (["hydra.launcher=joblib", "-m", "batch=1,2"], ["hydra.launcher=joblib", "leave it out"]),
        (["hydra.launcher.n_jobs=2", "batch=1"], ["hydra.launcher.n_jobs=2", "leave it out"]),
        (["serch"], ["serch", "unknown command", "did you mean search=joint|max_streams|none"]),
        (["import_ck"], ["did you mean import-ck?"]),
        (["modle=resnet"], ["modle: unknown key; did you mean model?"]),
        (["modle"], ["did you mean model=digits|mobilenet|onnx|resnet or mode="]),
        (["--modle", "resnet"], ["did you mean the setting model=resnet?"]),
        (["model=onnx", "model.path=~nouser/x.onnx"], ["model.path=~nouser/x.onnx: there is no user nouser"]),
        (["outputs=~nouser/x"], ["outputs=~nouser/x: there is no user nouser"]),
        (["dataset=imagenet", "dataset.path=~nouser/x"], ["dataset.path=~nouser/x: there is no user nouser"]),
        (["hydra.run.dir=~nouser/x"], ["hydra.run.dir=~nouser/x: there is no user nouser"]),
        (["hydra.sweep.dir='~nouser/x'", "-m", "batch=1,2"], ["hydra.sweep.dir=~nouser/x: there is no user nouser"]),
        (["backned.threads=2"], ["backned.threads: unknown key", "did you mean backend.threads?"]),
        (["thread=2"], ["thread: unknown key", "did you mean backend.threads?"]),
        (["search.budget.second=4"], ["did you mean search.budget.seconds?"]),
        (["timout.load_s=4"], ["did you mean timeout.load_s?"]),
        (["--bacth", "3"], ["--bacth", "did you mean the setting batch=3?"]),
        (["model=net.onnx"], ["model=net.onnx", "write model=onnx model.path=net.onnx"]),
        (["model=nets/b"], ["write model=onnx model.path=nets/b"]),
        (["batch=${oc.env:N}"], ["batch=${oc.env:N}", "environment", 'batch="$N"']),
        (["batch=${oc.env:N,8}"], ["batch=${oc.env:N,8}", "environment"]),
        (["-m", "batch=1,${oc.env:N,8}"], ["batch=${oc.env:N,8}", "environment"]),
        (["study=${dataset.path}", "dataset.path=${oc.env:HOME}"], ["study=${dataset.path}", "environment"]),
        (["backend=${oc.create:${oc.env:N,{}}}"], ["backend="]),
        (["rules.checks=[no_errors,${oc.env:HOME}]"], ["rules.checks.1=${oc.env:HOME}", "environment"]),
        (["hydra.sweep.dir=${oc.env:HOME}/x"], ["hydra.sweep.dir=${oc.env:HOME}/x", "environment"]),
        (["hydra.sweep.dir=${oc.env:HOME}/x", "-m", "batch=1,2"], ["hydra.sweep.dir=${oc.env:HOME}/x", "environment"]),
        (["study=${hydra:sweep.dir}", "hydra.sweep.dir=${oc.env:HOME}/x"], ["study=", "environment"]),
        (["outputs=''"], ["outputs"]),
        (["-m", "batch=range(0)"], ["batch"]),
        (["search=max_stream"], ["search=max_stream", "did you mean max_streams", "joint", "none"]),
        (["search.name=max_stream"], ["search.name=max_stream", "did you mean max_streams"]),
        (["search=null"], ["search=null", "joint, max_streams, none"]),
        (["search.min=3"], ["search.min: unknown key; it belongs to search=joint, max_streams"]),
        (["search.budget.tests=3"], ["search.budget.tests: unknown key; it belongs to search=joint, max_streams"]),
        (["search=max_streams", "search.settings=3"], ["search.settings: unknown key; it belongs to search=joint"]),
        (["search=max_streams", "search.confidance=0.9"], ["did you mean search.confidence"]),
        (["search=max_streams", "search.budget.second=9"], ["did you mean search.budget.seconds"]),
        (["sweeps=max_streams_resnet_fp32", "search.mim=9"], ["did you mean search.min"]),
        (["search=max_streams", "+search.colour=red"], ["search.colour=red: unknown key"]),
        (["search=max_streams", "+search.budget.days=1"], ["search.budget.days=1: unknown key", "seconds"]),
        (["+search.colour=red"], ["search.colour=red: unknown key"]),
        (["search=max_streams", "search.algorithm=bisect"], ["did you mean bisection?", "boundary", "gp, grid, tpe"]),
        (["search=max_streams", "search.algorithm=null"], ["search.algorithm=null: unknown algorithm"]),
        (["search=max_streams", "search.min=9", "search.max=8"], ["search.min=9: is more than search.max=8"]),
        (["search=max_streams", "search.min=9000"], ["search.min=9000: is more than search.max=8192"]),
        (["search=max_streams", "search.min=0"], ["search.min=0", "whole number"]),
        (["search=max_streams", "search.max=2e6"], ["search.max=", "1000000"]),
        (["search=max_streams", "search.max=9", "search.step=9"], ["search.step=9: leaves nothing but 1", "8 at most"]),
        (["search=max_streams", "search.step=0"], ["search.step=0"]),
        (["search=max_streams", "search.confidence=0.5"], ["search.confidence=0.5: is out of range; more than 0.5"]),
        (["search=max_streams", "search.confidence=1"], ["search.confidence=1: is out of range"]),
        (["search=max_streams", "search.confidence=99"], ["search.confidence=99: is out of range"]),
        (["search=max_streams", "search.trials=0"], ["search.trials=0"]),
        (["search=max_streams", "search.seed=-1"], ["search.seed=-1"]),
        (["search=max_streams", "search.budget=60"], ["search.budget=60", "search.budget.seconds=NUMBER"]),
        (["search=max_streams", "search.budget.seconds=0"], ["search.budget.seconds=0"]),
        (["search=max_streams", "search.budget.queries=1439"], ["search.budget.queries=1439: is less than one full"]),
        (["search=joint", "run=official", "search.budget.seconds=59"], ["search.budget.seconds=59: is less than one"]),
        (["search=max_streams", "search.budget.tests=1.5"], ["search.budget.tests=1.5"]),
        (["search=max_streams", "search.min_accuracy=99"], ["search.min_accuracy=99", "did you mean 0.99?"]),
        (["search=max_streams", "search.min_accuracy=0"], ["search.min_accuracy=0", "at most 1"]),
        (["search=max_streams", "search.reference_accuracy=90"], ["without search.min_accuracy"]),
        (["search=max_streams", "search.min_accuracy=1", "search.reference_accuracy=101"], ["=101", "at most 100"]),
        (
            ["search=max_streams", "search.min_accuracy=1", "backend=simulated"],
            ["search.min_accuracy=1: the simulated backend computes nothing", "choose another backend"],
        ),
        (
            ["search=max_streams", "search.min_accuracy=1", "model=resnet"],
            ["search.min_accuracy=1: resnet has synthetic weights", "sweep fetch resnet"],
        ),
        (["search=max_streams", "search.storage=study.db"], ["search.storage=study.db", "sqlite:///"]),
        (["search=max_streams", "batch=8"], ["batch=8: is what the search finds", "search.min and search.max"]),
        (["search=max_streams", "-m", "batch=8,16"], ["batch=8,16: is what the search finds"]),
        (["search=max_streams", "mode=accuracy"], ["mode=accuracy", "search.min_accuracy=0.99"]),
        (["search=max_streams", "mode=accuracy", "model=resnet"], ["mode=accuracy", "leave it out"]),
        (["search=max_streams", "rules=current"], ["target_latency_ms=null", "target_latency_ms=50"]),
        (
            ["search=max_streams", "rules=current", "target_latency_ms=5", "run=official"],
            ["run=official: official current tests have 8 samples per query", "run=screening"],
        ),
        (["search=max_streams", "run=official", "percentile=90"], ["percentile=90", "official"]),
        (["search=max_streams", "engine_batch=0"], ["engine_batch=0"]),
        (["search=max_streams", "study=''"], ["study=''", "one line of text"]),
        (["search=max_streams", "study=[a]"], ["study=", "one line of text"]),
        (["study=mine"], ["study=mine", "add search=max_streams"]),
        (["-m", "search=none,max_streams"], ["search=none,max_streams", "cannot share a grid", "search=none"]),
        (["search=joint", "search.settings=0"], ["search.settings=0"]),
        (["search=joint", "search.space=[]"], ["search.space=[]", "must name keys"]),
        (["search=joint", "search.space={}"], ["search.space={}", "must name keys"]),
        (["search=joint", "search.space={engine_batch:[]}"], ["engine_batch has no values"]),
        (["search=joint", "search.space={engine_batch:8}"], ["engine_batch is not a list of values"]),
        (["search=joint", "search.space={backend.thread:[1]}"], ["=backend.thread:", "did you mean backend.threads"]),
        (["search=joint", "search.space={batch:[1]}"], ["=batch: is nothing that a search can try"]),
        (["search=joint", "search.space={backend.threads:[1,many]}"], ["backend.threads=many: must be a whole number"]),
        (["search=joint", "search.space={engine_batch:[0,8]}"], ["engine_batch=0"]),
        (["search=joint", "search.space={precision:[fp32,fp8]}"], ["precision=fp8", "fp16"]),
        (
            ["search=joint", "backend.threads=1", "search.space={backend.threads:[1,2]}"],
            ["backend.threads=1: is set, and to be tried as well", "search.space"],
        ),
        (["search=joint", "backend=simulated", "search.max=4"], ["search=joint: there are no settings left to try"]),
        (["+sweeps=resnet_fp23"], ["sweeps=resnet_fp23", "did you mean resnet_fp32?", "max_streams_resnet_fp32"]),
        (["sweeps=resnet_fp23"], ["sweeps=resnet_fp23", "did you mean resnet_fp32?"]),
        (["resnet_fp32"], ["resnet_fp32", "write sweeps=resnet_fp32"]),
        (["run=quick", "resnet_fp32"], ["write sweeps=resnet_fp32"]),
        (["-m", "sweeps=resnet_fp32,resnet_int8"], ["sweeps=resnet_fp32,resnet_int8", "one after the other"]),
        (["precision=int8", "calibration=64"], ["calibration=64: is a group", "calibration.count=NUMBER"]),
        (
            ["calibration.cont=64"],
            ["calibration.cont: unknown key", "did you mean calibration.count?", "calibration.method"],
        ),
        (["precision=int8", "calibration.count=7"], ["calibration.count=7", "from 8 to", "calibration.count=64"]),
        (["precision=int8", "calibration.count=many"], ["calibration.count=many", "whole number"]),
        (
            ["precision=int8", "calibration.count=1298"],
            ["calibration.count=1298: there are 1297 samples to calibrate with in dataset digits", "at most 1297"],
        ),
        (["calibration.method=max"], ["calibration.method=max", "did you mean minmax?", "entropy", "percentile"]),
        (
            ["model=onnx", f"model.path={MODEL}", "precision=int8", "calibration.count=1025"],
            ["calibration.count=1025", "dataset synthetic", "at most 1024"],
        ),
    ],
    ids=" ".join,
)
def test_one_line_names_the_field_and_the_fix(refused, arguments, words):
    line = refused(*arguments)
    for word in words:
        assert word in line, line


def test_a_configuration_of_somebody_elses_puts_no_secret_into_a_record(refused, tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "hunter2")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "theirs.yaml").write_text(
        "defaults: [config, _self_]\nmodel:\n  name: ${dataset.path}\ndataset:\n  path: ${oc.env:SECRET}\n"
    )
    for grid in ([], ["-m", "batch=1,2"]):
        line = refused("--config-dir", "theirs", "-cn", "theirs", *grid)
        assert "model.name=${dataset.path}: comes from the environment" in line
        assert "hunter2" not in line


@pytest.mark.parametrize("command", ["report", "ls", "show"])
def test_a_link_that_leads_to_itself_is_no_folder(refused, tmp_path, command):
    (tmp_path / "loop").symlink_to("loop")
    refused(command, "loop")


@pytest.mark.parametrize("written", ["${oc.env:SECRET}", "x${oc.decode:${oc.env:SECRET}}", "${dataset.path}"])
def test_nor_does_the_grid_of_its_configuration(refused, tmp_path, monkeypatch, written):
    monkeypatch.setenv("SECRET", "hunter2")
    params = f"{{batch: '1,2', study: '{written}', search: max_streams}}"
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "theirs.yaml").write_text(
        f"defaults: [config, _self_]\ndataset:\n  path: ${{oc.env:SECRET}}\nhydra:\n  sweeper:\n    params: {params}\n"
    )
    line = refused("--config-dir", "theirs", "-cn", "theirs", "backend=simulated", "-m")
    assert f"hydra.sweeper.params.study={written}: comes from the environment" in line
    assert "hunter2" not in line


@pytest.mark.parametrize("key", ["hydra.run.dir", "hydra.sweep.dir"])
def test_a_folder_with_files_in_it_is_not_taken_for_a_new_one(refused, tmp_path, key):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "results.csv").write_text("mine")
    grid = ["-m", "batch=1,2"] if key == "hydra.sweep.dir" else []
    line = refused("backend=simulated", "run=quick", f"{key}=mine", *grid)
    assert f"{key}=mine: is a folder that holds other files already" in line
    assert [(file.name, file.read_text()) for file in (tmp_path / "mine").iterdir()] == [("results.csv", "mine")]


def test_what_is_wrong_is_told_before_a_calibration(refused, tmp_path):
    """Which would take half a minute, for nothing."""
    assert "batch=0" in refused("sweeps=resnet_int8", "batch=0")
    assert not list(tmp_path.glob("cache/**/*int8*"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("batch: [1\nrun: quick\n", "mine.yaml:2: is not YAML"),
        ("batch:\t1\n\t- 2\n", "mine.yaml:"),
        ("batch: 1\nbatch: 2\n", "mine.yaml:2: is not YAML: found duplicate key batch"),
        ("defaults:\n  - config\n  - _self_\nbatch: ${oops\n", "error: "),
    ],
)
def test_a_configuration_of_the_users_that_is_damaged(refused, tmp_path, content, words):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "mine.yaml").write_text(content)
    line = refused("--config-dir", "mine", "-cn", "mine")
    assert words in line
    assert not line.endswith(": ")


def test_a_precision_that_this_machine_lacks(refused, monkeypatch):
    monkeypatch.setattr(OnnxRuntimeBackend, "precisions", lambda: (Precision.FP32,))
    line = refused("precision=int8")
    assert "precision=int8" in line
    assert "choose one of: fp32" in line


def test_a_backend_that_this_machine_lacks(refused, monkeypatch):
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "onnxruntime" else real(name, *rest)
    )
    for name in ("onnxruntime", "auto"):
        line = refused(f"backend={name}")
        assert f"backend={name}: onnxruntime is not installed; pip install onnxruntime" in line


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x07" + b"\xff" * 100])
def test_a_corrupt_onnx_file(refused, tmp_path, content):
    (tmp_path / "bad.onnx").write_bytes(content)
    line = refused("model=onnx", "model.path=bad.onnx")
    assert "bad.onnx" in line


def test_a_folder_instead_of_a_model(refused, tmp_path):
    (tmp_path / "folder.onnx").mkdir()
    assert "folder.onnx" in refused("model=onnx", "model.path=folder.onnx")


@pytest.mark.parametrize("grid", [[], ["-m", "batch=1,2"]])
def test_outputs_below_a_file(refused, tmp_path, grid):
    (tmp_path / "file").write_text("")
    line = refused("outputs=file/outputs", "run=quick", *grid)
    assert "outputs" in line
    assert "choose another" in line


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_outputs_that_cannot_be_written(refused, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    assert "outputs" in refused("outputs=locked/outputs")


def test_every_problem_of_a_grid_is_named_once(capfd):
    assert main(["run=long", "abort=maybe", "-m", "batch=0,1,2"]) == 2
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 3
    assert sorted(line.split("=")[0] for line in lines) == ["error: abort", "error: batch", "error: run"]


def test_every_problem_of_a_search_is_named(capfd):
    line = [
        "search=max_streams",
        "search.seed=-1",
        "search.trials=0",
        "study=''",
        "batch=8",
        "run=long",
        "mode=accuracy",
    ]
    assert main(line) == 2
    lines = capfd.readouterr().err.splitlines()
    assert sorted(line.split("=")[0].removeprefix("error: ") for line in lines) == [
        *("batch", "mode", "run", "search.seed", "search.trials", "study"),
    ]


def test_one_bad_point_stops_the_grid_before_it_begins(refused):
    assert "batch=abc" in refused("backend=simulated", "-m", "batch=4,8,abc")


@pytest.fixture
def closed_port():
    """A port of this machine on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_reference_model_without_network(refused, closed_port):
    line = refused("fetch", "resnet", "--url", f"http://127.0.0.1:{closed_port}/resnet.onnx")
    assert "resnet" in line


def test_dataset_command_without_images_or_labels(refused, tmp_path):
    assert "nowhere" in refused("dataset", "imagenet", "--images", "nowhere", "--labels", "val_map.txt")
    (tmp_path / "images").mkdir()
    assert "val_map.txt" in refused("dataset", "imagenet", "--images", "images", "--labels", "val_map.txt")
