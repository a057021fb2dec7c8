"""The explaining evaluator: a walk over the policies' syntax trees that keeps what every part came to."""
