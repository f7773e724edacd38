"""The price of the recorder, measured beside its peers in one run: ``python -m bench``.

Every number here is a measurement of one machine at one moment. Nothing is asserted and no test depends on
it; what travels between machines are the ratios in ``baseline.json``.
"""
