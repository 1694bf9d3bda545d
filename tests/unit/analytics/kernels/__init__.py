"""Tests of the analytics kernels: pure and property-based; the goldens need the real data."""
