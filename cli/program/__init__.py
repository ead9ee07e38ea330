"""The Pulumi program as the command sees it: what it declares, what that costs, and the wheel that it ships."""
