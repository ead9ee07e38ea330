"""A throw-away stack on a person's AWS account: deployed, used, checked, destroyed."""
