"""The sources of the documentation's pages, which ``make docs`` builds."""
