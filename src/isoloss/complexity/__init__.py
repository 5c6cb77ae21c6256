"""How hard a corpus is: measures of one number a sequence, each with the interval of a bootstrap over documents."""
