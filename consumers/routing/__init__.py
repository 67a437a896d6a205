"""Which incident goes to which sink, when and in which words: routes, their file, what is wrong with one."""
