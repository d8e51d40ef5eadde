"""Sweeps and searches of MLPerf Inference tests, with verdicts that can be trusted."""

__version__ = "0.1.0"
