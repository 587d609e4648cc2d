"""Measurements, side by side in one run; never part of the tests."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
