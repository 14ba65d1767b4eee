# SPDX-License-Identifier: BSD-3-Clause
"""Importing this package registers every behaviour: one module per theme."""

import importlib
import os

for _file in sorted(os.listdir(os.path.dirname(__file__))):
    if _file.endswith(".py") and not _file.startswith("_"):
        importlib.import_module("." + _file[:-3], __name__)
