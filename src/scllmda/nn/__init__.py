"""Torch modules and their training loops.

Holds the networks of the published systems, one file each. Torch only: no AnnData, no files.
"""
