"""What a run is and what it leaves behind: specs, counts, rules, records, tables, the archive. No torch."""
