"""One stack of the pipeline, its stages in the order the data flows.

The only place that reads the stack's configuration (Pulumi.yaml says what each key means)
and that knows both the infrastructure and the contract in schemas/.
"""

from __future__ import annotations

from pathlib import Path

import pulumi

from components.archiving import Archiving, ArchivingArgs
from components.deployment import Deployment
from components.functions import Runtime
from components.ingestion import Ingestion, IngestionArgs
from components.monitoring import Monitoring, MonitoringArgs
from components.network import Network, NetworkArgs
from components.notifications import Notifications, NotificationsArgs
from components.packages import function_code, job_wheel
from components.processing import (
    ERROR_LOG_GROUP,
    Processing,
    ProcessingArgs,
    role_name,
)
from components.sample_dimensions import SampleDimensions, SampleDimensionsArgs
from components.storage import Storage, StorageArgs
from components.sweeping import Sweeping, SweepingArgs
from components.warehouse import Warehouse, WarehouseArgs
from schemas.runs import LOAD_DIMENSIONS, PROCESS_TRANSACTIONS
from schemas.warehouse.sql import create_tables, grants

ROOT = Path(__file__).parent

config = pulumi.Config()
deployment = Deployment(
    project=pulumi.get_project(), environment=pulumi.get_stack(), region=pulumi.Config("aws").require("region")
)
runtime = Runtime(
    code=function_code(ROOT),
    powertools_layer_version=config.require_int("powertoolsLayerVersion"),
    log_retention_days=config.require_int("logRetentionDays"),
)
keep_data = config.require_bool("keepData")

storage = Storage(
    "storage",
    StorageArgs(
        deployment=deployment,
        drop_bucket_name=config.require("dropBucketName") or deployment.name("drop"),
        keep_data=keep_data,
        rejected_retention_days=config.require_int("rejectedRetentionDays"),
        report_retention_days=config.require_int("reportRetentionDays"),
        old_version_days=config.require_int("oldVersionDays"),
        archive_cold_class=config.require("archiveColdClass"),
        archive_cold_after_days=config.require_int("archiveColdAfterDays"),
    ),
)

network = Network(
    "network",
    NetworkArgs(
        deployment=deployment,
        vpc_cidr=config.require("vpcCidr"),
        availability_zones=config.require_object("availabilityZones"),
    ),
)

warehouse = Warehouse(
    "warehouse",
    WarehouseArgs(
        deployment=deployment,
        subnet_ids=network.subnet_ids,
        security_group_id=network.warehouse_security_group_id,
        port=network.warehouse_port,
        work_bucket_arn=storage.work_bucket_arn,
        statements=[
            *create_tables(),
            # Who signs in with a role is the database user that bears its name.
            *grants(
                process_transactions_user=f"IAMR:{role_name(deployment, PROCESS_TRANSACTIONS)}",
                load_dimensions_user=f"IAMR:{role_name(deployment, LOAD_DIMENSIONS)}",
            ),
        ],
        keep_data=keep_data,
        database_name=config.require("databaseName"),
        warehouse_base_capacity=config.require_int("warehouseBaseCapacity"),
        warehouse_rpu_hours_per_day=config.require_int("warehouseRpuHoursPerDay"),
    ),
)

processing = Processing(
    "processing",
    ProcessingArgs(
        deployment=deployment,
        drop_bucket_arn=storage.drop_bucket_arn,
        work_bucket=storage.work_bucket,
        work_bucket_arn=storage.work_bucket_arn,
        workgroup=warehouse.workgroup,
        workgroup_arn=warehouse.workgroup_arn,
        host=warehouse.host,
        port=warehouse.port,
        database=warehouse.database,
        copy_role_arn=warehouse.copy_role_arn,
        vpc_arn=network.vpc_arn,
        subnet_id=network.job_subnet_id,
        subnet_arn=network.job_subnet_arn,
        zone=network.job_zone,
        security_group_id=network.job_security_group_id,
        security_group_arn=network.job_security_group_arn,
        script=ROOT / "jobs" / "glue_entry.py",
        wheel=job_wheel(ROOT / config.require("wheelDirectory")),
        job_max_capacity=config.require_float("jobMaxCapacity"),
        job_timeout_minutes=config.require_int("jobTimeoutMinutes"),
        job_max_concurrent_runs=config.require_int("jobMaxConcurrentRuns"),
        max_reject_ratio=config.require("maxRejectRatio"),
        amount_classes=config.require("amountClasses"),
        source=config.require("source"),
        owns_glue_log_groups=config.require_bool("ownsGlueLogGroups"),
        log_retention_days=runtime.log_retention_days,
    ),
)

notifications = Notifications(
    "notifications",
    NotificationsArgs(
        deployment=deployment,
        runtime=runtime,
        drop_bucket=storage.drop_bucket,
        work_bucket=storage.work_bucket,
        work_bucket_arn=storage.work_bucket_arn,
        job_names=[processing.transactions_job, processing.dimensions_job],
        job_arns=processing.job_arns,
        job_log_group=ERROR_LOG_GROUP,
        emails=config.require_object("emails"),
    ),
)

ingestion = Ingestion(
    "ingestion",
    IngestionArgs(
        deployment=deployment,
        runtime=runtime,
        drop_bucket=storage.drop_bucket,
        drop_bucket_arn=storage.drop_bucket_arn,
        work_bucket=storage.work_bucket,
        work_bucket_arn=storage.work_bucket_arn,
        transactions_job=processing.transactions_job,
        dimensions_job=processing.dimensions_job,
        job_arns=processing.job_arns,
        topic_arn=notifications.topic_arn,
    ),
)

archiving = Archiving(
    "archiving",
    ArchivingArgs(
        deployment=deployment,
        runtime=runtime,
        drop_bucket=storage.drop_bucket,
        drop_bucket_arn=storage.drop_bucket_arn,
        work_bucket=storage.work_bucket,
        work_bucket_arn=storage.work_bucket_arn,
        archive_bucket=storage.archive_bucket,
        archive_bucket_arn=storage.archive_bucket_arn,
        job_names=[processing.transactions_job, processing.dimensions_job],
        job_arns=processing.job_arns,
    ),
)

sweeping = Sweeping(
    "sweeping",
    SweepingArgs(
        deployment=deployment,
        runtime=runtime,
        drop_bucket=storage.drop_bucket,
        drop_bucket_arn=storage.drop_bucket_arn,
        work_bucket=storage.work_bucket,
        work_bucket_arn=storage.work_bucket_arn,
        job_arns=processing.job_arns,
        queue_url=ingestion.queue_url,
        queue_arn=ingestion.queue_arn,
        archive_function=archiving.archive.name,
        archive_function_arn=archiving.archive.arn,
        notify_function=notifications.notify.name,
        notify_function_arn=notifications.notify.arn,
        sweep_minutes=config.require_int("sweepMinutes"),
    ),
)

monitoring = Monitoring(
    "monitoring",
    MonitoringArgs(
        deployment=deployment,
        topic_arn=notifications.topic_arn,
        queue=ingestion.queue,
        dead_letter_queue=ingestion.dead_letter_queue,
        failure_queues={
            "notify": notifications.notify.failure_queue,
            "archive": archiving.archive.failure_queue,
            "sweep": sweeping.sweep.failure_queue,
        },
        failed_runs_rule=notifications.notify.rules["failed"],
        function_names={
            "start_run": ingestion.start_run.name,
            "notify": notifications.notify.name,
            "archive": archiving.archive.name,
            "sweep": sweeping.sweep.name,
        },
        workgroup=warehouse.workgroup,
        waiting_drop_minutes=config.require_int("waitingDropMinutes"),
        quiet_hours=config.require_int("quietHours"),
    ),
)

if config.require_bool("sampleDimensions"):
    SampleDimensions(
        "sample",
        SampleDimensionsArgs(
            deployment=deployment,
            drop_bucket=storage.drop_bucket,
            files=sorted((ROOT / "schemas" / "samples").glob("*.csv")),
            after=[storage, warehouse, processing, notifications, ingestion, archiving],
        ),
    )

pulumi.export("drop_bucket", storage.drop_bucket)
pulumi.export("work_bucket", storage.work_bucket)
pulumi.export("archive_bucket", storage.archive_bucket)
pulumi.export("queue_url", ingestion.queue_url)
pulumi.export("dead_letter_queue_url", ingestion.dead_letter_queue_url)
pulumi.export("topic_arn", notifications.topic_arn)
pulumi.export("transactions_job", processing.transactions_job)
pulumi.export("dimensions_job", processing.dimensions_job)
pulumi.export("sweep_function", sweeping.sweep.name)
pulumi.export("workgroup", warehouse.workgroup)
pulumi.export("database", warehouse.database)
pulumi.export("dashboard", monitoring.dashboard)
