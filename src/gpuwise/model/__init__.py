"""The nouns: frozen dataclasses that flow between the rooms, and the ports through which a room is called.

Forbidden here: input and output of any kind, clocks, settings, and any import of another room.
Times are whole epoch seconds (`_s`), sizes bytes, power watts, ratios 0 to 1, money US dollars: the unit is in the
name.
A missing sample is NaN in an array and None in a field; it is never 0.
"""
