"""Published studies done again: data loaded, checked, handed to the rooms of laws, compared with what was printed."""
