# SPDX-License-Identifier: BSD-3-Clause
"""The fixtures of deciding.py, whose name, unlike this one's, no other suite has."""

from deciding import *  # noqa: F401,F403
