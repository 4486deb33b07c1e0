"""Rules of play, one game a module.

They take plain levels and know no problem; problems name the rules that they use.
"""
