"""Hands the compiled part to CMake; everything else stands in pyproject.toml."""

from setuptools import setup

setup(cmake_source_dir=".")
