"""Calibration: test sheets to print, their measurement by hand or from a scan, and the look-up tables that follow."""
