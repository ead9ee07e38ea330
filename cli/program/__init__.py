"""Tools for the Pulumi program: the resources that it declares, their costs, the job's wheel, the data contract."""
