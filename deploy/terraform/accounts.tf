# One account for what the steps do, one for what starts runs, one that may only knock.
resource "google_service_account" "steps" {
  account_id   = "darkroom-steps"
  display_name = "Darkroom: the steps of a pipeline"
}

resource "google_service_account" "trigger" {
  account_id   = "darkroom-trigger"
  display_name = "Darkroom: starts runs"
}

resource "google_service_account" "caller" {
  account_id   = "darkroom-caller"
  display_name = "Darkroom: brings events and the clock to the trigger"
}

resource "google_storage_bucket_iam_member" "steps_read_photographs" {
  bucket = google_storage_bucket.photographs.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.steps.member
}

resource "google_storage_bucket_iam_member" "steps_write_artifacts" {
  bucket = google_storage_bucket.pipelines.name
  role   = "roles/storage.objectUser"
  member = google_service_account.steps.member
}

resource "google_artifact_registry_repository_iam_member" "steps_pull_images" {
  location   = google_artifact_registry_repository.images.location
  repository = google_artifact_registry_repository.images.name
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.steps.member
}

# Custom jobs, and Dataflow where ingest or transform use it. These have no narrower scope.
resource "google_project_iam_member" "steps" {
  for_each = toset([
    "roles/aiplatform.user",
    "roles/dataflow.developer",
    "roles/dataflow.worker",
    "roles/logging.logWriter",
  ])
  project = var.project
  role    = each.value
  member  = google_service_account.steps.member
}

# A custom job and a Dataflow job that a step starts run as the steps' own account.
resource "google_service_account_iam_member" "steps_act_as_themselves" {
  service_account_id = google_service_account.steps.name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.steps.member
}

resource "google_secret_manager_secret_iam_member" "steps_read_notify_secrets" {
  for_each  = var.notify_secrets
  secret_id = each.value
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.steps.member
}

# To list photographs, to keep its state and the compiled pipeline, to start a run as the steps.
resource "google_storage_bucket_iam_member" "trigger_lists_photographs" {
  bucket = google_storage_bucket.photographs.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.trigger.member
}

resource "google_storage_bucket_iam_member" "trigger_keeps_state" {
  bucket = google_storage_bucket.pipelines.name
  role   = "roles/storage.objectUser"
  member = google_service_account.trigger.member
}

resource "google_project_iam_member" "trigger_starts_runs" {
  project = var.project
  role    = "roles/aiplatform.user"
  member  = google_service_account.trigger.member
}

resource "google_service_account_iam_member" "trigger_acts_as_steps" {
  service_account_id = google_service_account.steps.name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.trigger.member
}
