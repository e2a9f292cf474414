"""Stage `retrieve`: rank gallery items by nearness to each query and score the ranking."""
