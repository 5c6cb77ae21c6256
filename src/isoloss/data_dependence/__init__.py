"""How laws change with data: joint fits, comparisons of predictors, the balance between corpora."""
