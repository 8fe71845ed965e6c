"""Decide where a request goes, and what becomes of one that failed: values in, a decision with its reason out."""
