# SPDX-License-Identifier: BSD-3-Clause
"""Importing a module by its file, where two directories have one of its name."""

import importlib.util


def load(name, path):
    """The module in PATH, under a NAME of its own."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
