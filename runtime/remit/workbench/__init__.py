"""What people do with agents before they are live: compare, test, replay, explain."""
