"""Stage `report`: one page and one table that say what a run did and how well."""
