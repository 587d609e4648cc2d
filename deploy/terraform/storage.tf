# Photographs come in to one bucket; artifacts, served models and the triggers' state are in
# another, so that writing an artifact is no event.
resource "google_project_service" "needed" {
  for_each = toset([
    "aiplatform.googleapis.com",
    "artifactregistry.googleapis.com",
    "cloudscheduler.googleapis.com",
    "dataflow.googleapis.com",
    "eventarc.googleapis.com",
    "iamcredentials.googleapis.com",
    "run.googleapis.com",
    "secretmanager.googleapis.com",
    "storage.googleapis.com",
  ])
  service            = each.value
  disable_on_destroy = false
}

resource "google_storage_bucket" "photographs" {
  name                        = "${var.project}-darkroom-photographs"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  versioning {
    enabled = true
  }
  lifecycle {
    prevent_destroy = true
  }
}

resource "google_storage_bucket" "pipelines" {
  name                        = "${var.project}-darkroom-pipelines"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  # Artifacts of runs only: what is served, and what triggers share, lie elsewhere.
  lifecycle_rule {
    condition {
      age            = 90
      matches_prefix = ["runs/"]
    }
    action {
      type = "Delete"
    }
  }
}

resource "google_artifact_registry_repository" "images" {
  repository_id = "darkroom"
  location      = var.region
  format        = "DOCKER"

  docker_config {
    immutable_tags = true
  }
  depends_on = [google_project_service.needed]
}
