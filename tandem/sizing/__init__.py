"""How long the legs of a request take, and what a load asks of each machine: arithmetic on the catalog's figures."""
