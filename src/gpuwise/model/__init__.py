"""The types: frozen dataclasses that packages exchange, and the ports through which a package is called.

Forbidden here: input and output of any kind, clocks, settings, and imports of other packages.
The unit is in the name. Times are whole epoch seconds (`_s`), sizes bytes, power watts, ratios 0 to 1, money US
dollars.
A missing sample is NaN in an array and None in a field; it is never 0.
"""
