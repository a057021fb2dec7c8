"""What shadows left in a ledger: how a candidate, and each rule of `mode: shadow`, would have answered."""
