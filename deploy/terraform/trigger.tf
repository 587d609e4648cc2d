# The trigger: a Cloud Run service, private; storage events and a clock call it.
locals {
  triggers = var.trigger_image == "" ? 0 : 1
}

resource "google_secret_manager_secret" "config" {
  secret_id = "darkroom-${var.pipeline}-config"

  replication {
    auto {}
  }
  depends_on = [google_project_service.needed]
}

resource "google_secret_manager_secret_version" "config" {
  secret      = google_secret_manager_secret.config.id
  secret_data = file(var.trigger_config)
}

resource "google_secret_manager_secret_iam_member" "trigger_reads_config" {
  secret_id = google_secret_manager_secret.config.id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.trigger.member
}

resource "google_cloud_run_v2_service" "trigger" {
  count    = local.triggers
  name     = "darkroom-${var.pipeline}-trigger"
  location = var.region
  ingress  = "INGRESS_TRAFFIC_INTERNAL_ONLY"

  template {
    service_account = google_service_account.trigger.email
    # An event waits for others of its heap, then photographs are listed and a run is submitted.
    timeout                          = "900s"
    max_instance_request_concurrency = 40

    scaling {
      max_instance_count = 3
    }
    containers {
      image = var.trigger_image

      env {
        name  = "DARKROOM_CONFIG"
        value = "/config/config.yaml"
      }
      env {
        name  = "DARKROOM_TARGET"
        value = "vertex"
      }
      # Cloud Run lets in only who may invoke it.
      env {
        name  = "DARKROOM_TRIGGER_SECRET"
        value = "iam"
      }
      env {
        name  = "GOOGLE_CLOUD_PROJECT"
        value = var.project
      }
      resources {
        limits = {
          cpu    = "1"
          memory = "2Gi"
        }
      }
      startup_probe {
        http_get {
          path = "/healthz"
        }
        failure_threshold = 10
      }
      volume_mounts {
        name       = "config"
        mount_path = "/config"
      }
    }
    volumes {
      name = "config"
      secret {
        secret = google_secret_manager_secret.config.secret_id
        items {
          version = google_secret_manager_secret_version.config.version
          path    = "config.yaml"
        }
      }
    }
  }
  depends_on = [google_secret_manager_secret_iam_member.trigger_reads_config]
}

resource "google_cloud_run_v2_service_iam_member" "caller" {
  count    = local.triggers
  name     = google_cloud_run_v2_service.trigger[0].name
  location = var.region
  role     = "roles/run.invoker"
  member   = google_service_account.caller.member
}

resource "google_project_iam_member" "caller_receives_events" {
  project = var.project
  role    = "roles/eventarc.eventReceiver"
  member  = google_service_account.caller.member
}

# Cloud Storage tells of new objects through Pub/Sub.
data "google_storage_project_service_account" "storage" {}

resource "google_project_iam_member" "storage_publishes_events" {
  project = var.project
  role    = "roles/pubsub.publisher"
  member  = "serviceAccount:${data.google_storage_project_service_account.storage.email_address}"
}

resource "google_eventarc_trigger" "photographs" {
  count           = local.triggers
  name            = "darkroom-${var.pipeline}-photographs"
  location        = var.region
  service_account = google_service_account.caller.email

  matching_criteria {
    attribute = "type"
    value     = "google.cloud.storage.object.v1.finalized"
  }
  matching_criteria {
    attribute = "bucket"
    value     = google_storage_bucket.photographs.name
  }
  destination {
    cloud_run_service {
      service = google_cloud_run_v2_service.trigger[0].name
      region  = var.region
      path    = "/events"
    }
  }
  depends_on = [
    google_project_iam_member.caller_receives_events,
    google_project_iam_member.storage_publishes_events,
  ]
}

resource "google_cloud_scheduler_job" "look" {
  count            = local.triggers
  name             = "darkroom-${var.pipeline}-look"
  region           = var.region
  schedule         = var.look_schedule
  attempt_deadline = "900s"

  http_target {
    http_method = "POST"
    uri         = "${google_cloud_run_v2_service.trigger[0].uri}/look"

    oidc_token {
      service_account_email = google_service_account.caller.email
      audience              = google_cloud_run_v2_service.trigger[0].uri
    }
  }
  depends_on = [google_project_service.needed]
}
