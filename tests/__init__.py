"""Tests: unit · property · golden · contract · e2e · docs."""
