"""Whole chains of Indian index options: collected, stored, analysed and served."""
