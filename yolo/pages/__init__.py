"""Charts and templates of the HTML reports."""
