"""One stack of the pipeline, its components in the order the data flows.

The only place that reads the stack's configuration (Pulumi.yaml says what each key means)
and that knows both the infrastructure and the warehouse's SQL in schemas/warehouse.
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
from components.packages import function_code
from components.processing import Processing, ProcessingArgs, database_user, source_settings
from components.sample_dimensions import SampleDimensions, SampleDimensionsArgs
from components.storage import Storage, StorageArgs
from components.sweeping import Sweeping, SweepingArgs
from components.warehouse import Warehouse, WarehouseArgs
from schemas.runs import LOAD_DIMENSIONS, PROCESS_TRANSACTIONS
from schemas.warehouse.ddl import deployment_steps

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
keep_history = config.require_bool("keepHistory")

storage = Storage(
    "storage",
    StorageArgs(
        deployment=deployment,
        drop_bucket_name=config.require("dropBucketName") or None,
        keep_data=keep_data,
        rejected_retention_days=config.require_int("rejectedRetentionDays"),
        report_retention_days=config.require_int("reportRetentionDays"),
        dimension_retention_days=config.require_int("dimensionRetentionDays"),
        old_version_days=config.require_int("oldVersionDays"),
        archive_cold_class=config.require("archiveColdClass"),
        archive_cold_after_days=config.require_int("archiveColdAfterDays"),
    ),
)

network = Network(
    "network",
    NetworkArgs(
        deployment=deployment,
        storage=storage,
        vpc_cidr=config.require("vpcCidr"),
        availability_zones=config.require_object("availabilityZones"),
    ),
)

warehouse = Warehouse(
    "warehouse",
    WarehouseArgs(
        deployment=deployment,
        storage=storage,
        network=network,
        steps=deployment_steps(
            process_transactions_user=database_user(deployment, PROCESS_TRANSACTIONS),
            load_dimensions_user=database_user(deployment, LOAD_DIMENSIONS),
            keep_history=keep_history,
            status_ranks=source_settings(config.require("source")).status_ranks,
        ),
        keep_data=keep_data,
        database_name=config.require("databaseName"),
        warehouse_base_capacity=config.require_int("warehouseBaseCapacity"),
        warehouse_max_capacity=config.require_int("warehouseMaxCapacity"),
        warehouse_rpu_hours_per_day=config.require_int("warehouseRpuHoursPerDay"),
        lock_seconds=config.require_int("warehouseLockSeconds"),
        statement_seconds=config.require_int("warehouseStatementSeconds"),
    ),
)

processing = Processing(
    "processing",
    ProcessingArgs(
        deployment=deployment,
        storage=storage,
        network=network,
        warehouse=warehouse,
        script=ROOT / "jobs" / "glue_entry.py",
        wheel_directory=ROOT / config.require("wheelDirectory"),
        large_file_bytes=config.require_int("largeFileBytes"),
        large_job_workers=config.require_int("largeJobWorkers"),
        job_max_capacity=config.require_float("jobMaxCapacity"),
        job_timeout_minutes=config.require_int("jobTimeoutMinutes"),
        job_max_concurrent_runs=config.require_int("jobMaxConcurrentRuns"),
        max_reject_ratio=config.require("maxRejectRatio"),
        amount_classes=config.require("amountClasses"),
        keep_history=keep_history,
        same_key=config.require("sameKey"),
        orphan_days=config.require_int("orphanDays"),
        source=config.require("source"),
    ),
)

notifications = Notifications(
    "notifications",
    NotificationsArgs(
        deployment=deployment,
        runtime=runtime,
        storage=storage,
        processing=processing,
        emails=config.require_object("emails"),
        operators=config.require_object("operators"),
        warehouse=warehouse,
        open_lineage_url=config.require("openLineageUrl"),
    ),
)

ingestion = Ingestion(
    "ingestion",
    IngestionArgs(
        deployment=deployment,
        runtime=runtime,
        storage=storage,
        processing=processing,
        notifications=notifications,
    ),
)

archiving = Archiving(
    "archiving",
    ArchivingArgs(deployment=deployment, runtime=runtime, storage=storage, processing=processing, ingestion=ingestion),
)

sweeping = Sweeping(
    "sweeping",
    SweepingArgs(
        deployment=deployment,
        runtime=runtime,
        storage=storage,
        processing=processing,
        notifications=notifications,
        ingestion=ingestion,
        archiving=archiving,
        sweep_minutes=config.require_int("sweepMinutes"),
    ),
)

monitoring = Monitoring(
    "monitoring",
    MonitoringArgs(
        deployment=deployment,
        warehouse=warehouse,
        notifications=notifications,
        ingestion=ingestion,
        archiving=archiving,
        sweeping=sweeping,
        waiting_drop_minutes=config.require_int("waitingDropMinutes"),
        quiet_hours=config.require_int("quietHours"),
    ),
)

if config.require_bool("sampleDimensions"):
    SampleDimensions(
        "sample",
        SampleDimensionsArgs(
            deployment=deployment,
            storage=storage,
            files=sorted((ROOT / "schemas" / "samples").glob("*.csv")),
            after=[storage, network, warehouse, processing, notifications, ingestion, archiving],
        ),
    )

pulumi.export("drop_bucket", storage.drop.bucket)
pulumi.export("work_bucket", storage.work.bucket)
pulumi.export("archive_bucket", storage.archive.bucket)
pulumi.export("queue_url", ingestion.queue.url)
pulumi.export("dead_letter_queue_url", ingestion.dead_letter_queue.url)
pulumi.export("topic_arn", notifications.outcomes.arn)
pulumi.export("operators_topic_arn", notifications.operators.arn)
pulumi.export("transactions_job", processing.transactions_job.name)
pulumi.export("dimensions_job", processing.dimensions_job.name)
pulumi.export("large_job", processing.large_job_name)
pulumi.export("large_file_bytes", processing.large_file_bytes)
pulumi.export("sweep_function", sweeping.sweep.name)
pulumi.export("workgroup", warehouse.workgroup.workgroup_name)
pulumi.export("database", warehouse.database)
pulumi.export("dashboard", monitoring.dashboard)
