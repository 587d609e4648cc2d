# A commit on the main branch builds, compiles and submits: GitHub's token for it, and no key.
locals {
  deliveries = var.github_repository == "" ? 0 : 1
}

resource "google_service_account" "delivery" {
  account_id   = "darkroom-delivery"
  display_name = "Darkroom: builds images and submits a commit's pipeline"
}

resource "google_artifact_registry_repository_iam_member" "delivery_pushes_images" {
  location   = google_artifact_registry_repository.images.location
  repository = google_artifact_registry_repository.images.name
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.delivery.member
}

resource "google_storage_bucket_iam_member" "delivery_writes_pipelines" {
  bucket = google_storage_bucket.pipelines.name
  role   = "roles/storage.objectUser"
  member = google_service_account.delivery.member
}

resource "google_project_iam_member" "delivery" {
  for_each = toset(["roles/aiplatform.user", "roles/logging.logWriter"])
  project  = var.project
  role     = each.value
  member   = google_service_account.delivery.member
}

resource "google_service_account_iam_member" "delivery_acts_as_steps" {
  service_account_id = google_service_account.steps.name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.delivery.member
}

resource "google_iam_workload_identity_pool" "github" {
  count                     = local.deliveries
  workload_identity_pool_id = "darkroom-github"
}

resource "google_iam_workload_identity_pool_provider" "github" {
  count                              = local.deliveries
  workload_identity_pool_id          = google_iam_workload_identity_pool.github[0].workload_identity_pool_id
  workload_identity_pool_provider_id = "github"
  attribute_condition                = "assertion.repository == '${var.github_repository}' && assertion.ref == 'refs/heads/main'"
  attribute_mapping = {
    "google.subject"       = "assertion.sub"
    "attribute.repository" = "assertion.repository"
  }

  oidc {
    issuer_uri = "https://token.actions.githubusercontent.com"
  }
}

resource "google_service_account_iam_member" "github_is_delivery" {
  count              = local.deliveries
  service_account_id = google_service_account.delivery.name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principalSet://iam.googleapis.com/${google_iam_workload_identity_pool.github[0].name}/attribute.repository/${var.github_repository}"
}
