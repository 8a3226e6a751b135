"""Mixtures from and to other programs."""
