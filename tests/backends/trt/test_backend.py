"""`backend=tensorrt` as a whole: options, availability, cache and pipeline, on doubles of TensorRT and CUDA."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from tests.backends.conformance import BackendConformance
from tests.backends.gpu.doubles import NO_MEMORY, FakeRuntime
from tests.backends.wide import LIMIT, WIDTH, wide_model

from sweep.backends import tensorrt
from sweep.backends.base import Availability, EngineRequest
from sweep.backends.gpu import backend as gpu_backend
from sweep.backends.gpu.cuda import Cuda
from sweep.backends.options import Option
from sweep.backends.tensorrt import TensorRTBackend
from sweep.backends.trt import loading
from sweep.backends.trt.build import Built
from sweep.backends.trt.cache import LIMIT_GB
from sweep.backends.trt.flavours import LEAN, RTX, TENSORRT, Choice, Library
from sweep.backends.trt.loading import no_builder
from sweep.config.files import load_choice
from sweep.errors import BackendError, ConfigError, EngineOutOfMemoryError
from sweep.gpus import Gpu
from sweep.models.base import TensorSpec
from sweep.vocabulary import COMPUTED

from .doubles import World, engine_bytes

GPU = Gpu(0, "GPU-1", "NVIDIA RTX A6000", "580.65.06", "49140 MiB", "8.6")


class Machine(World):
    """A machine with a GPU and TensorRT."""

    def __init__(self, monkeypatch, tmp_path):
        super().__init__(FakeRuntime())
        self.cache = tmp_path / "cache"
        self.flavour = TENSORRT
        monkeypatch.setattr(Cuda, "open", lambda: Cuda(self.device))
        monkeypatch.setattr(loading, "choose", lambda name, gpu: Choice(self.flavour))
        monkeypatch.setattr(loading, "load", lambda flavour: Library(flavour, self.module, "11.4.0"))
        monkeypatch.setattr(loading, "build", self.build)
        monkeypatch.setattr(tensorrt, "visible_gpu", lambda: GPU)
        monkeypatch.setattr(tensorrt, "choose", lambda name, gpu: Choice(self.flavour))

    def request(self, samples_per_query=8, engine_batch=8, **options):
        return EngineRequest(
            model_path=self.cache / "model.onnx",
            inputs=(TensorSpec("samples", "uint8", (3,)),),
            predicts_class=True,
            samples_per_query=samples_per_query,
            engine_batch=engine_batch,
            options=TensorRTBackend.validate_options(options),
            model_digest="sha256:1",
            precision="fp32",
            cache=self.cache,
        )

    def facts(self, request):
        with TensorRTBackend(request) as backend:
            return backend.facts()


@pytest.fixture
def machine(monkeypatch, tmp_path):
    return Machine(monkeypatch, tmp_path)


class TestConformance(BackendConformance):
    @pytest.fixture
    def backend(self):
        return TensorRTBackend

    @pytest.fixture(params=["exact", "range"])
    def options(self, request):
        return {"profile": request.param}

    @pytest.fixture
    def request_of(self, machine, options):
        return lambda samples_per_query=8, engine_batch=8: machine.request(samples_per_query, engine_batch, **options)


def test_an_engine_is_built_once_for_its_batch(machine):
    first = machine.facts(machine.request())
    again = machine.facts(machine.request())
    assert (first["from_cache"], again["from_cache"], machine.builds) == (False, True, 1)
    assert first["profile"] == {"min": 8, "opt": 8, "max": 8}
    assert first["build_s"] == again["build_s"] == 1.5
    assert first["engine_sha256"] == again["engine_sha256"]
    assert (first["engine"], first["version"], first["tf32"]) == ("tensorrt", "11.4.0", True)
    assert json.loads(json.dumps(first)) == first


def test_an_engine_of_a_file_that_changed_meanwhile_is_not_kept(machine):
    """Fails where another file's engine lies under this one's digest, and passes for it from then on."""
    changed = replace(machine.request(), is_unchanged=lambda: False)
    with pytest.raises(BackendError, match="has changed since the sweep began"):
        machine.facts(changed)
    assert machine.facts(machine.request())["from_cache"] is False


def test_a_range_serves_several_batches(machine):
    for batch in (5, 7, 8):
        machine.facts(machine.request(batch, batch, profile="range"))
    assert machine.builds == 1
    machine.facts(machine.request(9, 9, profile="range"))
    assert machine.builds == 2


class TestTensorsThatAreTooLarge:
    """No convolution of TensorRT takes a tensor of more than 2^31-1 elements: its builder finds none."""

    @pytest.fixture
    def machine(self, machine):
        wide_model(machine.cache / "model.onnx")
        machine.row = 3 * WIDTH
        return machine

    @pytest.mark.parametrize("flavour", [TENSORRT, RTX], ids=lambda flavour: flavour.name)
    @pytest.mark.parametrize("options", [{}, {"profile": "range"}, {"profile": "range", "profile_max": 4096}])
    @pytest.mark.parametrize(
        ("n", "engine_batch", "launches"),
        [(LIMIT, LIMIT, 1), (LIMIT + 1, LIMIT + 1, 2), (3000, 3000, 5), (3000, 1000, 5), (3000, 500, 6), (2, 2, 1)],
    )
    def test_the_query_is_split_and_the_record_says_so(self, machine, flavour, options, n, engine_batch, launches):
        """Else a search reads the builder's refusal as what the GPU cannot do."""
        machine.flavour = flavour
        with TensorRTBackend(machine.request(n, engine_batch, **options)) as backend:
            backend.load({"samples": np.ones((n, 3), np.uint8)})
            assert backend.run(0, n, lambda: None)[0].tolist() == [3] * n
            facts = backend.facts()
        assert facts["launches_per_query"] == launches
        assert facts["profile"]["max"] <= LIMIT
        assert any("2^31-1" in note for note in facts["notes"]) is (launches > 1 and engine_batch > LIMIT)

    def test_the_parts_are_alike_so_that_an_engine_of_one_size_computes_on_little_padding(self, machine):
        facts = machine.facts(machine.request(LIMIT + 1, LIMIT + 1))
        assert facts["profile"]["max"] == (LIMIT + 2) // 2


@pytest.mark.parametrize(("options", "n"), [({}, 8), ({}, 1), ({"profile": "range"}, 1), ({"profile": "range"}, 7)])
def test_tensorrt_for_rtx_never_gets_a_profile_of_one_size(machine, options, n):
    """Such an engine carries padding that grows with N: gigabytes for MobileNet in int8."""
    machine.flavour = RTX
    profile = machine.facts(machine.request(n, n, **options))["profile"]
    assert profile["min"] < profile["max"]
    assert profile["min"] <= n <= profile["max"]
    if not options:
        assert profile["opt"] == n


@pytest.mark.parametrize(
    ("flavour", "precision", "said"),
    [(RTX, "int8", True), (RTX, "fp16", False), (TENSORRT, "int8", False)],
    ids=lambda value: getattr(value, "name", value),
)
def test_the_record_says_that_int8_is_slow_on_tensorrt_for_rtx(machine, tmp_path, flavour, precision, said):
    """Its fp16 is faster: a user would conclude that int8 is no gain on the GPU."""
    machine.flavour = flavour
    file = tmp_path / "mine.engine"
    file.write_bytes(engine_bytes(1, 8, 8))
    for options in ({}, {"engine": str(file)}):
        notes = machine.facts(replace(machine.request(**options), precision=precision))["notes"]
        assert any("int8 is slower" in note for note in notes) is said


def test_an_engine_is_never_larger_than_a_query(machine):
    assert machine.facts(machine.request(4, 32))["profile"]["max"] == 4


@pytest.mark.parametrize(
    "change",
    [
        {"model_digest": "sha256:2"},
        {"precision": "fp16"},
        {"engine_batch": 4},
        *(
            {"options": TensorRTBackend.validate_options({key: value})}
            for key, value in (
                ("tf32", False),
                ("workspace_mib", 64),
                ("optimization_level", 5),
                ("aux_streams", 0),
                ("profile", "range"),
            )
        ),
    ],
    ids=str,
)
def test_another_request_has_another_engine(machine, change):
    machine.facts(machine.request())
    machine.facts(replace(machine.request(), **change))
    assert machine.builds == 2


def test_what_only_the_pipeline_reads_changes_no_engine(machine):
    machine.facts(machine.request())
    machine.facts(machine.request(cuda_graphs=False, copy_stream=False))
    assert machine.builds == 1


@pytest.mark.parametrize(
    "gpu",
    [replace(GPU, name="NVIDIA A40"), replace(GPU, compute_capability="8.9")],
)
def test_another_gpu_has_another_engine(machine, monkeypatch, gpu):
    machine.facts(machine.request())
    monkeypatch.setattr(tensorrt, "visible_gpu", lambda: gpu)
    machine.facts(machine.request())
    assert machine.builds == 2


def test_another_of_the_same_gpus_or_a_new_driver_takes_the_same_engine(machine, monkeypatch):
    machine.facts(machine.request())
    monkeypatch.setattr(tensorrt, "visible_gpu", lambda: replace(GPU, uuid="GPU-2", index=1, driver="590.1"))
    machine.facts(machine.request())
    assert machine.builds == 1


def test_another_version_or_flavour_has_another_engine(machine, monkeypatch):
    machine.facts(machine.request())
    monkeypatch.setattr(loading, "load", lambda flavour: Library(flavour, machine.module, "11.5.0"))
    machine.facts(machine.request())
    machine.flavour = RTX
    machine.facts(machine.request())
    assert machine.builds == 3


def test_a_kept_engine_that_is_refused_is_built_again(machine, capsys):
    machine.facts(machine.request())
    machine.refuses = lambda data: "created with incompatible serialization version" if b'"number": 1' in data else None
    facts = machine.facts(machine.request())
    assert (machine.builds, facts["from_cache"]) == (2, False)
    assert "is built again: tensorrt 11.4.0 cannot load the engine" in capsys.readouterr().err
    assert machine.facts(machine.request())["from_cache"]


def test_a_new_engine_that_is_refused_is_one_line(machine):
    machine.refuses = lambda data: "The engine cannot run on this GPU, which has compute capability 9.0."
    with pytest.raises(BackendError, match=r"^tensorrt 11.4.0 cannot load .* compute capability 9.0\.$"):
        machine.facts(machine.request())
    assert machine.builds == 1
    assert not machine.device.live["stream"]


def test_one_that_is_refused_again_is_not_built_for_ever(machine):
    machine.facts(machine.request())
    machine.refuses = lambda data: "no"
    with pytest.raises(BackendError, match="cannot load"):
        machine.facts(machine.request())
    assert machine.builds == 2


def test_an_engine_that_is_loaded_is_not_removed_for_another(machine, monkeypatch):
    monkeypatch.setenv(LIMIT_GB, "0")
    with TensorRTBackend(machine.request()) as backend:
        file = machine.cache / "engines" / backend.facts()["engine_file"]
        machine.facts(machine.request(4, 4))
        assert file.exists()
    machine.facts(machine.request(5, 5))
    assert not file.exists()


def test_a_limit_that_is_none_is_refused_before_a_test(monkeypatch, machine):
    monkeypatch.setenv(LIMIT_GB, "much")
    with pytest.raises(ConfigError, match=f"^{LIMIT_GB}=much: is no size in GB"):
        TensorRTBackend.validate_options({})


def test_scratch_memory_that_does_not_fit_is_out_of_memory(machine):
    with TensorRTBackend(machine.request()) as backend:
        backend.load({"samples": np.zeros((8, 3), np.uint8)})
        machine.device.fail_next["cudaMalloc"] = NO_MEMORY
        with pytest.raises(EngineOutOfMemoryError, match="scratch memory of the engine"):
            backend.run(0, 8, lambda: None)


def test_everything_is_freed(machine):
    with TensorRTBackend(machine.request(12, 5)) as backend:
        backend.load({"samples": np.ones((12, 3), np.uint8)})
        assert backend.run(0, 12, lambda: None)[0].tolist() == [3] * 12
        assert backend.facts()["cuda_graphs"] is True
    assert machine.device.blocks == {}
    assert machine.live == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"inputs": (TensorSpec("samples", "uint8", (4,)),)},
            r"the engine takes samples \(uint8 \[3\]\), and the model",
        ),
        ({"inputs": (TensorSpec("samples", "float32", (3,)),)}, r"and the model samples \(float32 \[3\]\)"),
        ({"inputs": (TensorSpec("image", "uint8", (3,)),)}, r"and the model image"),
    ],
)
def test_an_engine_of_another_model_is_refused(machine, change, message):
    with pytest.raises(BackendError, match=message):
        machine.facts(replace(machine.request(), **change))


def test_an_engine_that_gives_no_class_ids_is_refused_for_a_model_that_does(machine, monkeypatch):
    data = engine_bytes(8, output="INT64")
    monkeypatch.setattr(loading, "build", lambda *_, **__: Built(data, 0.1))
    with pytest.raises(BackendError, match=r"gives top1 \(int64 \[\]\), not one int32 class id"):
        machine.facts(machine.request())


def test_no_flavour_is_one_line(machine, monkeypatch):
    monkeypatch.setattr(
        loading, "choose", lambda name, gpu: Choice(None, "tensorrt is not installed", "pip install it")
    )
    with pytest.raises(BackendError, match=r"^tensorrt is not installed; pip install it$"):
        machine.facts(machine.request())


class TestEngineFile:
    @pytest.fixture
    def file(self, tmp_path):
        path = tmp_path / "mine.engine"
        path.write_bytes(engine_bytes(1, 8, 8))
        return path

    def test_its_contents_are_part_of_the_options(self, machine, file):
        options = TensorRTBackend.validate_options({"engine": str(file)})
        assert options["engine_digest"] == f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
        assert TensorRTBackend.validate_options(options) == options
        file.write_bytes(engine_bytes(1, 16, 16))
        assert TensorRTBackend.validate_options({"engine": str(file)})["engine_digest"] != options["engine_digest"]
        with pytest.raises(ConfigError, match="backend.engine=.*is not the file any more"):
            TensorRTBackend.validate_options(options)

    def test_it_is_loaded_and_nothing_is_built(self, machine, file):
        machine.flavour = LEAN
        facts = machine.facts(machine.request(engine=str(file)))
        assert (facts["engine"], facts["engine_file"], machine.builds) == ("tensorrt_lean", "mine.engine", 0)
        assert facts["profile"] == {"min": 1, "opt": 8, "max": 8}
        assert machine.runtimes[-1].engine_host_code_allowed

    def test_a_file_that_changed_since_is_refused(self, machine, file):
        request = machine.request(engine=str(file))
        file.write_bytes(engine_bytes(1, 16, 16))
        with pytest.raises(BackendError, match="has changed since the sweep began"):
            machine.facts(request)
        file.unlink()
        with pytest.raises(BackendError, match="backend.engine=.*cannot be read: No such file"):
            machine.facts(request)

    def test_one_that_is_refused_is_named(self, machine, file):
        machine.refuses = lambda data: "Version tag does not match"
        with pytest.raises(BackendError, match=r"^backend.engine=.*mine.engine: .*Version tag does not match"):
            machine.facts(machine.request(engine=str(file)))

    def test_a_file_that_is_not_there_is_one_problem(self, machine, tmp_path):
        with pytest.raises(ConfigError, match=r"^backend.engine=.*/none: cannot be read: No such file or directory$"):
            TensorRTBackend.validate_options({"engine": str(tmp_path / "none")})

    def test_options_of_a_build_are_refused_with_it(self, machine, file):
        with pytest.raises(ConfigError) as raised:
            TensorRTBackend.validate_options({"engine": str(file), "tf32": False, "optimization_level": 3})
        assert [problem.field for problem in raised.value.problems] == ["backend.tf32", "backend.optimization_level"]


def test_a_flavour_that_builds_nothing_needs_an_engine(machine):
    machine.flavour = LEAN
    with pytest.raises(
        ConfigError, match="backend.engine: tensorrt_lean loads engines but builds none; set backend.eng"
    ):
        TensorRTBackend.validate_options({})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flavour": "trt"}, "backend.flavour=trt: is not a valid choice; choose one of: auto, tensorrt, "),
        ({"profile": "dynamic"}, "backend.profile=dynamic: is not a valid choice; choose one of: exact, range"),
        ({"profile": "range", "profile_max": 0}, "backend.profile_max=0: is out of range"),
        ({"profile_max": 32}, "backend.profile_max=32: is not read with backend.profile=exact; leave it out, or set"),
        ({"tf32": "yes"}, "backend.tf32=yes: must be true or false"),
        ({"workspace_mib": 0.5}, "backend.workspace_mib=0.5: must be a whole number"),
        ({"optimization_level": 6}, "backend.optimization_level=6: is out of range"),
        ({"aux_streams": -1}, "backend.aux_streams=-1: is out of range"),
        ({"version_compatible": 1}, "backend.version_compatible=1: must be true or false"),
        ({"engine_digest": "sha256:1"}, "backend.engine_digest=sha256:1: is set without an engine"),
        ({"threads": 2}, "backend.threads=2: unknown option"),
    ],
)
def test_a_wrong_option_is_one_line(machine, options, message):
    with pytest.raises(ConfigError) as raised:
        TensorRTBackend.validate_options(options)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


def test_a_flavour_that_is_not_here_is_refused_before_a_sweep_begins(monkeypatch):
    monkeypatch.setattr(
        tensorrt, "choose", lambda name, gpu: Choice(None, "tensorrt is not installed", "pip install it")
    )
    with pytest.raises(ConfigError, match="^backend.flavour=tensorrt: tensorrt is not installed; pip install it$"):
        TensorRTBackend.validate_options({"flavour": "tensorrt"})
    TensorRTBackend.validate_options({})


def test_version_compatible_engines_are_tensorrts_alone(machine):
    machine.flavour = RTX
    with pytest.raises(ConfigError, match="^backend.version_compatible=True: is not possible with tensorrt_rtx"):
        TensorRTBackend.validate_options({"version_compatible": True})


def test_the_file_of_its_options_says_the_defaults():
    shipped = load_choice("backend", "tensorrt")
    assert shipped.pop("name") == TensorRTBackend.name
    defaults = {key: option.default for key, option in _all_options().items()}
    assert defaults.pop("engine_digest") is None
    assert shipped == defaults


def _all_options() -> dict[str, Option]:
    return {**TensorRTBackend.OPTIONS, **TensorRTBackend.PIPELINE_OPTIONS}


def test_it_runs_every_precision():
    assert TensorRTBackend.precisions() == COMPUTED


class TestAvailability:
    @pytest.fixture(autouse=True)
    def _gpu(self, monkeypatch):
        monkeypatch.setattr(tensorrt, "usable_gpus", lambda: (GPU,))
        monkeypatch.setattr(tensorrt, "visible_gpu", lambda: GPU)
        monkeypatch.setattr(gpu_backend, "usable_gpus", lambda: (GPU,))

    def test_without_a_gpu_nothing_else_matters(self, monkeypatch):
        monkeypatch.setattr(tensorrt, "usable_gpus", lambda: ())
        monkeypatch.setattr(gpu_backend, "usable_gpus", lambda: ())
        assert TensorRTBackend.availability().detail == "no NVIDIA GPU found"

    def test_without_a_flavour_it_says_what_to_install(self, monkeypatch):
        monkeypatch.setattr(tensorrt, "choose", lambda name, gpu: Choice(None, "tensorrt is not installed", "pip"))
        assert TensorRTBackend.availability() == Availability(False, "tensorrt is not installed", "pip")

    @pytest.mark.parametrize(("flavour", "extra"), [(TENSORRT, "tensorrt"), (RTX, "tensorrt-rtx"), (LEAN, "tensorrt")])
    def test_what_cuda_lacks_is_in_the_flavours_extra(self, monkeypatch, flavour, extra):
        monkeypatch.setattr(tensorrt, "choose", lambda name, gpu: Choice(flavour))
        monkeypatch.setattr(tensorrt, "gpu_availability", lambda extra: Availability(False, "no cuda-python", extra))
        assert TensorRTBackend.availability() == Availability(False, "no cuda-python", extra)

    @pytest.mark.parametrize(
        ("flavour", "detail"),
        [(RTX, "tensorrt_rtx 1.7, RTX A6000"), (LEAN, f"tensorrt_lean 1.7, RTX A6000; {no_builder(LEAN)}")],
    )
    def test_what_there_is_is_named(self, monkeypatch, flavour, detail):
        monkeypatch.setattr(tensorrt, "choose", lambda name, gpu: Choice(flavour))
        monkeypatch.setattr(tensorrt, "gpu_availability", lambda extra: Availability(True, "RTX A6000"))
        monkeypatch.setattr(tensorrt, "installed_version", lambda flavour: "1.7")
        assert TensorRTBackend.availability() == Availability(True, detail)
