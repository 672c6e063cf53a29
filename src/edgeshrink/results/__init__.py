"""Results: the judge, the ledger it fills, and the reports that are made of both."""
