"""The arena: methods of fitting scaling laws, scored where the truth is known and on runs that they did not see."""
