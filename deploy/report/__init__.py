"""The report for officials: what it says (content), how it is said (words), and as a page, tables or a draw."""
