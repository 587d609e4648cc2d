output "cluster" {
  description = "The config's section `cluster`."
  value = {
    registry = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}"
    vertex = {
      project         = var.project
      location        = var.region
      pipeline_root   = "gs://${google_storage_bucket.pipelines.name}/runs"
      service_account = google_service_account.steps.email
    }
  }
}

output "photographs" {
  description = "Where photographs go: the config's `data` names a folder in it."
  value       = "gs://${google_storage_bucket.photographs.name}"
}

output "trigger_state" {
  description = "The config's `trigger.state`."
  value       = "gs://${google_storage_bucket.pipelines.name}/triggers"
}

output "delivery" {
  description = "The repository's variables for .github/workflows/deliver.yaml."
  value = {
    DELIVERY_ACCOUNT  = google_service_account.delivery.email
    IDENTITY_PROVIDER = one(google_iam_workload_identity_pool_provider.github[*].name)
  }
}
