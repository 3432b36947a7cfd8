"""What a round allots and what it takes: a plan, who makes it, and a link that spends it, one file per radio."""
