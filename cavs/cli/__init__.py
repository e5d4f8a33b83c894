"""The command line: ``cavs train``, ``evaluate``, ``predict``, ``draw`` and ``info``."""

from cavs.cli.main import main as main
