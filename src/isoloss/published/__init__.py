"""Published studies done again: data loaded and checked, handed to the laws room, compared with what was printed."""
