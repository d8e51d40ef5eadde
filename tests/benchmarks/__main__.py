"""Run the benchmarks: `python tests/benchmarks [NAME ...] [--rounds N]`; figures are medians over the rounds."""

import argparse
import importlib
import os
import platform

BENCHMARKS = {
    "sut": ("sut_overhead", "LoadGen's median query latency over an engine that does no work"),
    "sweep": ("sweep_overhead", "time of a warm point beyond LoadGen's own test"),
    "start": ("start_up", "wall time of commands that measure nothing"),
    "load": ("load_records", "time to read records: parsed, as checked objects, as a DataFrame"),
    "search": ("search_curves", "queries, error and honesty of searchers on simulated curves"),
    "compare": ("compare_noise", "false alarms and missed drops of comparisons on simulated noise"),
    "gpu": ("gpu_pipeline", "what each part of the GPU pipeline is worth; needs a CUDA GPU"),
    "int8": ("int8_kernels", "int8 on this CPU by the kernels of before and of now"),
    "memory": ("worker_memory", "peak memory of a worker that holds 1024 ResNet-50 samples"),
}


def main():
    """Run the benchmarks named on the command line, all of them by default."""
    parser = argparse.ArgumentParser(prog="python tests/benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"unknown benchmark: {', '.join(sorted(unknown))}; choose from {', '.join(BENCHMARKS)}")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs, load {load:.2f} at the start")
    for name in arguments.names or BENCHMARKS:
        module, title = BENCHMARKS[name]
        print(f"\n### {name}: {title}\n", flush=True)
        for line in importlib.import_module(module).measure(arguments.rounds):
            print(line, flush=True)


if __name__ == "__main__":
    main()
