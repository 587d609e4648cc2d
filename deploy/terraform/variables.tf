variable "project" {
  description = "Id of the Google Cloud project."
  type        = string
}

variable "region" {
  description = "Region of everything."
  type        = string
  default     = "europe-west4"
}

variable "pipeline" {
  description = "Name of the pipeline, as its config has it."
  type        = string
  default     = "flowers"
}

variable "trigger_image" {
  description = "The image darkroom-trigger by digest, as the build prints it; empty: no trigger yet."
  type        = string
  default     = ""
}

variable "trigger_config" {
  description = "The config's file, which the trigger reads; its section `trigger` says when."
  type        = string
  default     = "../../configs/flowers.yaml"
}

variable "look_schedule" {
  description = "When the trigger looks of itself, for what no event told it."
  type        = string
  default     = "17 * * * *"
}

variable "github_repository" {
  description = "OWNER/NAME whose main branch may build and submit; empty: none."
  type        = string
  default     = ""
}

variable "notify_secrets" {
  description = "Names of the Secret Manager secrets that the config's `notify` reads."
  type        = set(string)
  default     = []
}
