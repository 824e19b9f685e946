"""Plots and templates of the HTML reports."""
