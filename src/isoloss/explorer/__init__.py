"""Laws to play with: one page whose sliders move budgets and corpora, and whose numbers follow from a law's draws."""
